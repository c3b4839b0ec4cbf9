"""What is trained and how it is applied: low-rank updates, the bank that blends them, the library that keeps them."""
