"""Its hook asks for what the host does not give."""

from mdkif import hookimpl


@hookimpl
def mdkif_skills(manager, config):
    return []
