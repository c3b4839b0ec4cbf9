"""`mdkif demo`: from files to a blend that beats the model alone."""

from mdkif import Command, hookimpl


@hookimpl
def mdkif_commands() -> list[Command]:
    """One command, `demo`."""
    return [
        Command(
            name="demo",
            title="Train skills, learn a router, and see the blend on an unseen task",
            target="mdkif_demo.cli:demo",
        )
    ]
