"""It cannot be imported."""

raise RuntimeError("\x1b[31mout of order\nfor good")
