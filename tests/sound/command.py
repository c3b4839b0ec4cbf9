"""A command."""

from mdkif import Command, hookimpl


@hookimpl
def mdkif_commands():
    """The command."""
    return [Command(name="case", title="A command", target=f"{__name__}:command")]


def command():
    """Nothing."""
