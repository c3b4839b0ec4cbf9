"""What a store holds, whether it is whole, and what to do with what is not."""
