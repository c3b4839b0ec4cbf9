"""Its hook has a name that no hook has."""

from mdkif import hookimpl


@hookimpl
def mdkif_skils():
    return []
