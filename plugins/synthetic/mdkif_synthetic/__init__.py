"""A seeded, synthetic teaching hospital in the official layouts, so that the real converters run everywhere."""

from mdkif import Command, hookimpl

from .generation import Written, generate

__all__ = ["Written", "generate", "mdkif_commands"]


@hookimpl
def mdkif_commands() -> list[Command]:
    """The command `mdkif synth`."""
    return [
        Command(
            name="synth",
            title="Write a synthetic hospital: fourteen data sets in their official layouts",
            target="mdkif_synthetic.cli:synth",
        )
    ]
