"""What every stage works with: plugins, store, progress and one base model, loaded when first needed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .conversion import Conversion, convert
from .declarations import Dataset, Instructed
from .errors import BadInput
from .plugins import Plugins
from .progress import Progress
from .records import Record
from .splits import policy
from .store import Store

if TYPE_CHECKING:
    from .encoding import Encoder, Format
    from .models import Base
    from .templating import Template

Sources = Mapping[str, Path]


@dataclass
class Workspace:
    """Plugins, a store and one base model; `format` is "auto", "chat" or "plain" (see `Encoder`)."""

    plugins: Plugins
    store: Store
    base_name: str | None = None
    progress: Progress = field(default_factory=Progress)
    dtype: str = "auto"
    device: str = "auto"
    format: Format = "auto"

    @cached_property
    def base(self) -> Base:
        """The frozen base model. Raises BadInput if none was named or it does not exist."""
        from . import models

        if self.base_name is None:
            raise BadInput("No base model was named: add --base, for instance --base smollm2.")
        return models.load(self.plugins, self.store, self.base_name, self.dtype, self.device)

    def template(self, declared: Instructed) -> Template:
        """The skill's or task's template, the user's own first."""
        from .templating import Template

        return Template(declared, (self.store.templates,))

    def encoder(self, declared: Instructed, max_length: int) -> Encoder:
        """What turns records into this base model's tokens."""
        from .encoding import Encoder

        return Encoder(self.base, self.template(declared), max_length, self.format)

    def records(
        self,
        declared: Instructed,
        sources: Sources,
        conversion: Conversion,
        data: Mapping[str, Any] | None = None,
        split_policy: str = "official",
    ) -> Iterator[Record]:
        """The records of a skill or task from the data sets whose paths are given, merged in order.

        `data` holds converter options that take the place of the skill's or task's own, each for the data
        sets that have it, `split_policy` a name of `splits.policy`. Raises BadInput if no path is
        given, or for a data set it does not read.
        """
        check_sources(declared, sources)
        datasets = [self.plugins.get(Dataset, name) for name in sources]
        for option in data or {}:
            if all(option not in dataset.options for dataset in datasets):
                known = ", ".join(sorted({name for dataset in datasets for name in dataset.options})) or "none"
                raise BadInput(f"{', '.join(sources)} has no option '{option}': its options are {known}.")
        for dataset, path in zip(datasets, sources.values(), strict=True):
            source = declared.source(dataset.name)
            given = {name: value for name, value in (data or {}).items() if name in dataset.options}
            options = {**source.options, **given}
            yield from convert(dataset, path, conversion, options, policy(split_policy, source.sizes))


def check_sources(declared: Instructed, sources: Sources) -> None:
    """Raises BadInput if no path is given to a skill or task, or one for a data set it does not read."""
    for name in sources:
        declared.source(name)
    if not sources:
        first = declared.sources[0].dataset
        raise BadInput(
            f"The {declared.kind} '{declared.name}' needs its data: add --source {first}=PATH "
            f"('mdkif show {declared.name}' tells where to get it)."
        )


def sample(records: Iterable[Record], sizes: Mapping[str, int], seed: int) -> dict[str, list[Record]]:
    """Seeded uniform samples of several splits in one pass; memory is bounded by the sizes.

    `sizes` maps each wanted split to how many of its records are drawn, 0 for all.
    """
    draws = {split: random.Random(f"{split}:{seed}") for split in sizes}
    chosen: dict[str, list[Record]] = {split: [] for split in sizes}
    seen = dict.fromkeys(sizes, 0)
    for record in records:
        split = record.split
        if split not in sizes:
            continue
        seen[split] += 1
        if not sizes[split] or len(chosen[split]) < sizes[split]:
            chosen[split].append(record)
        elif (place := draws[split].randrange(seen[split])) < sizes[split]:
            chosen[split][place] = record
    for split, kept in chosen.items():
        draws[split].shuffle(kept)
    return chosen
