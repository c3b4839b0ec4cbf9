"""`mdkif bench`: what mdkif exists for, measured beside its peers."""

from mdkif import Command, hookimpl


@hookimpl
def mdkif_commands() -> list[Command]:
    """One command, `bench`."""
    return [
        Command(name="bench", title="Measure mdkif beside its peers, on the same work", target="mdkif_bench.cli:bench")
    ]
