"""Stage I: one skill is trained alone on the frozen base."""
