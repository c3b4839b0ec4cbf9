"""Where things lie on disk, and files that appear whole or not at all."""
