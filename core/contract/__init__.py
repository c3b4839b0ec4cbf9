"""The contract of plugins: what they declare and follow, how they are found, checked, explained and installed."""
