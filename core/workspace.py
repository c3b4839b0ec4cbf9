"""What every stage works with: plugins, store, progress and one base model, loaded when first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .contract.declarations import Dataset, PromptedSpec
from .contract.discovery import Plugins
from .data.conversion import ConversionReport, convert
from .data.records import Record
from .data.sources import Sources, check_sources
from .data.splits import policy
from .errors import BadInput
from .progress import Progress
from .store.layout import Store

if TYPE_CHECKING:
    from .models.base import Base
    from .prompts.encoding import Encoder, Format
    from .prompts.templates import Template


@dataclass
class Workspace:
    """Plugins, a store and one base model; `dtype` is a name of `choose_dtype`, `format` one of `Encoder`."""

    plugins: Plugins
    store: Store
    base_name: str | None = None
    progress: Progress = field(default_factory=Progress)
    dtype: str | None = None
    device: str = "auto"
    format: Format = "auto"

    @cached_property
    def base(self) -> Base:
        """The frozen base model. Raises BadInput if none was named or it does not exist."""
        from .models import loading as models

        if self.base_name is None:
            raise BadInput("No base model was named: add --base, for instance --base smollm2.")
        return models.load(self.plugins, self.store, self.base_name, self.dtype, self.device)

    def template(self, declared: PromptedSpec) -> Template:
        """The skill's or task's template, the user's own first."""
        from .prompts.templates import Template

        return Template(declared, (self.store.templates,))

    def encoder(self, declared: PromptedSpec, max_length: int) -> Encoder:
        """What turns records into this base model's tokens."""
        from .prompts.encoding import Encoder

        return Encoder(self.base, self.template(declared), max_length, self.format)

    def records(
        self,
        declared: PromptedSpec,
        sources: Sources,
        conversion: ConversionReport,
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
