"""What a task's own few records teach: what is minimised on them, for how long, and the small adapter that learns."""
