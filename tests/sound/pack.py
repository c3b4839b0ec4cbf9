"""A pack of one trained skill."""

from mdkif import Pack, hookimpl


@hookimpl
def mdkif_packs():
    """The pack."""
    return [Pack(name="case", title="A pack", base="tiny", licence="CC0-1.0", package=__name__)]
