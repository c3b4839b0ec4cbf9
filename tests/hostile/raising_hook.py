"""Its hook fails."""

from mdkif import hookimpl


@hookimpl
def mdkif_datasets():
    return [{}["nothing"]]
