"""A seeded, synthetic teaching hospital in the official layouts, so that the real converters run everywhere."""

from typing import TYPE_CHECKING, Any

from mdkif import Command, hookimpl

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    if name not in ("Written", "generate"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import generation  # fourteen writers, which `mdkif list` does without

    return getattr(generation, name)
