"""What every stage is given: plugins, store, progress and one base model, loaded when first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .contract.declarations import PromptedSpec
from .contract.discovery import Plugins
from .contract.events import Events
from .data.conversion import ConversionReport
from .data.records import Record
from .data.sampling import sample
from .data.sources import Sources, found_sources, opened, read, releases
from .data.splits import RESERVED
from .errors import BadInput
from .models import loading
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

    @property
    def base_label(self) -> str:
        """What the base model is called in the store. Raises BadInput if none was named."""
        if self.base_name is None:
            raise BadInput("No base model was named: add --base, for instance --base smollm2.")
        return loading.label(self.base_name)

    @cached_property
    def base(self) -> Base:
        """The frozen base model. Raises BadInput if none was named or it does not exist."""
        if self.base_name is None:
            raise BadInput("No base model was named: add --base, for instance --base smollm2.")
        return loading.load(self.plugins, self.store, self.base_name, self.dtype, self.device, self.progress.note)

    @cached_property
    def events(self) -> Events:
        """What listeners among the plugins are told of the work."""
        return Events(self.plugins, self.progress)

    def found(self, declared: PromptedSpec, sources: Sources) -> Sources:
        """The sources given or, without any, the installed ones, which are told (see `sources.found_sources`)."""
        found = found_sources(self.plugins, declared, sources)
        for dataset, release in releases(self.plugins, found).items() if not sources else ():
            self.progress.note(f"{declared.name} reads {dataset}, {release}.")
        return found

    def template(self, declared: PromptedSpec) -> Template:
        """The skill's or task's template, the user's own first."""
        from .prompts.templates import Template

        return Template.of(declared, (self.store.templates,))

    def encoder(self, template: Template, max_length: int) -> Encoder:
        """What turns records into this base model's tokens."""
        from .prompts.encoding import Encoder

        return Encoder(self.base, template, max_length, self.format)

    def records(
        self,
        declared: PromptedSpec,
        sources: Sources,
        report: ConversionReport,
        data: Mapping[str, Any] | None = None,
        split_policy: str = "official",
        reserve: float = 0.0,
    ) -> Iterator[Record]:
        """The records of a skill or task from the data sets whose paths are given (see `sources.opened`)."""
        return read(opened(self.plugins, declared, sources, data), report, split_policy, reserve)

    def drawn(
        self,
        declared: PromptedSpec,
        sources: Sources,
        sizes: Mapping[str, int],
        seed: int,
        report: ConversionReport,
        data: Mapping[str, Any] | None = None,
        split_policy: str = "official",
        reserve: float = RESERVED,
        *,
        stratified: bool = False,
    ) -> dict[str, list[Record]]:
        """A seeded sample of each of some splits (see `sampling.sample`); what was skipped as malformed is said."""
        records = self.records(declared, sources, report, data, split_policy, reserve)
        found = sample(records, sizes, seed, stratified=stratified)
        if skipped := report.malformed_rows:
            self.progress.note(f"{skipped} malformed row(s) of {', '.join(sources)} were skipped.")
        return found
