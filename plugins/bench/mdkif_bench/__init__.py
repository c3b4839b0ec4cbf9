"""`mdkif bench`: blending and scoring measured beside their peers."""

from mdkif import Command, hookimpl


@hookimpl
def mdkif_commands() -> list[Command]:
    """One command, `bench`."""
    return [Command(name="bench", title="Measure speed beside the peers, in one run.", target="mdkif_bench.cli:bench")]
