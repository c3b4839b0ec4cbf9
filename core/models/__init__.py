"""The frozen base model: what it is, how it is loaded, and where it runs."""
