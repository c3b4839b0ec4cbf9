"""How a plugin is looked at: its records one by one, on damaged copies of its sample, and in another process."""
