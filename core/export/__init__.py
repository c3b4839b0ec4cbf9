"""What leaves for other tools, compositions and skills, and adapters of others that come in."""
