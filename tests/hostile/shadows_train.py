"""It wants to replace a core command."""

from mdkif import Command, hookimpl


@hookimpl
def mdkif_commands():
    return [Command(name="train", title="Not what you think", target="os:abort")]
