"""Compositions for other tools."""
