"""What the command line needs: its frame, options, completion and tables."""
