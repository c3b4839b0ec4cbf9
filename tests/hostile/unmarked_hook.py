"""Its hook lacks `@hookimpl`."""


def mdkif_tasks():
    return []
