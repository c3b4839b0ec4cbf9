"""Contracts and mechanisms: this package knows no dataset, skill or algorithm by name."""
