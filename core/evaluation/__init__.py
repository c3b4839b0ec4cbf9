"""Metrics of models, skills and compositions on a task, and what is kept of them."""
