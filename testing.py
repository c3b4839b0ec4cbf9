"""For the tests of plugins: the conformance kit as one assertion."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from .core.toolkit import Toolkit


def assert_conforms(target: str, sources: Mapping[str, Path] | None = None) -> None:
    """Assert that a plugin, by its distribution or the name of what it provides, keeps every rule of `mdkif check`.

    `sources` maps data sets to the files they are checked on; without one the sample in the plugin's
    package is used, and there must be one. Raises AssertionError with a line for each rule that is
    broken or could not be checked, each with its remedy; BadInput if nothing is installed by that name.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = list(Toolkit(folder).check(target, sources))
    wrong = [f"{each.subject}, {each.rule}: {each.remedy}" for each in found if each.state != "kept"]
    if wrong:
        raise AssertionError("\n".join([f"{target} breaks {len(wrong)} of {len(found)} rules.", *wrong]))
