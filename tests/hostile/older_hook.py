"""Its hook is of another contract: no hook of today has a name like it."""

from mdkif import hookimpl


@hookimpl
def mdkif_knowledge_experts():
    return []
