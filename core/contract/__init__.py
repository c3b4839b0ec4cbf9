"""The contract of plugins: what they declare, how they are found, checked, explained, told of and installed."""
