"""What data sets are checked on: the source given, or the sample in the package of their plugin."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ..contract.declarations import Dataset, PromptedSpec
from ..contract.discovery import Plugin, Plugins
from ..data.sources import Sources

NO_SAMPLE = "There is no sample of it: give --source {0}=PATH, or ship an invented one in the folder sample/{0}."


def sample(plugin: Plugin, dataset: str, sources: Sources) -> Path | None:
    """The path given for a data set or, in the package of its plugin, the folder `sample/DATASET`."""
    if dataset in sources:
        return sources[dataset]
    spec = find_spec(plugin.module)
    shipped = Path(spec.origin).parent / "sample" / dataset if spec and spec.origin else None
    return shipped if shipped and shipped.exists() else None


def samples(plugins: Plugins, declared: PromptedSpec, sources: Sources) -> dict[str, Path]:
    """The samples there are of the data sets that a skill or task reads."""
    found = {}
    for each, plugin in plugins.all(Dataset):
        if each.name in declared.reads and (path := sample(plugin, each.name, sources)):
            found[each.name] = path
    return found
