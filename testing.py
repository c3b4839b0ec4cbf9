"""For the tests of plugins: the conformance kit as one assertion, and what else a plugin's tests need of mdkif."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from .core.contract.declarations import Dataset, PromptedSpec
from .core.data.conversion import ConversionReport
from .core.data.records import Record
from .core.errors import BadInput
from .core.inspection.bowl import Bowl
from .core.inspection.questions import given_to, questions
from .core.inspection.samples import sample
from .core.prompts.templates import Instruction
from .core.toolkit import Toolkit

__all__ = [
    "Bowl",
    "Instruction",
    "assert_conforms",
    "given_to",
    "instructions_of",
    "questions",
    "records_of",
    "run",
    "sample_of",
    "shortcuts",
]


def assert_conforms(target: str, sources: Mapping[str, Path] | None = None) -> None:
    """Assert that a plugin, by its distribution or the name of what it provides, keeps every rule of `mdkif check`.

    `sources` maps data sets to the files they are checked on; without one the sample in the plugin's
    package is used, and there must be one. Raises AssertionError with a line for each rule that is
    broken or could not be checked, each with its remedy; BadInput if nothing is installed by that name.
    """
    with _toolkit() as kit:
        found = list(kit.check(target, sources))
    wrong = [f"{each.subject}, {each.rule}: {each.remedy}" for each in found if each.state != "kept"]
    if wrong:
        raise AssertionError("\n".join([f"{target} breaks {len(wrong)} of {len(found)} rules.", *wrong]))


def sample_of(dataset: str) -> Path:
    """The sample that the plugin of a data set ships. Raises BadInput if there is no such data set, or no sample."""
    with _toolkit() as kit:
        plugin = kit.plugins.owner(kit.plugins.get(Dataset, dataset))
    found = sample(plugin, dataset, {})
    if found is None:
        raise BadInput(f"{plugin.dist} ships no sample of '{dataset}': put one into the folder sample/{dataset}.")
    return found


def records_of(
    name: str,
    source: Path | None = None,
    *,
    dataset: str = "",
    split_policy: str = "official",
    report: ConversionReport | None = None,
) -> list[Record]:
    """The records of a skill or task as the verbs read them, with the converter options that it declares.

    `dataset` is which of its data sets is read, by default the first, and `source` where that lies, by
    default in the sample that its plugin ships. `report` counts what is left out. Raises BadInput as
    `mdkif train` does.
    """
    with _toolkit() as kit:
        declared = kit.plugins.get(PromptedSpec, name)
        dataset = dataset or declared.reads[0]
        paths, told = {dataset: source or sample_of(dataset)}, report or ConversionReport()
        return list(kit.workspace.records(declared, paths, told, split_policy=split_policy))


def instructions_of(name: str, source: Path | None = None, *, dataset: str = "") -> list[Instruction]:
    """What a model reads and learns to answer: the records of `records_of`, rendered by the skill's or task's template.

    An instruction has `query`, `context`, `answer` and `prompt`, which is query and context together.
    """
    with _toolkit() as kit:
        template = kit.workspace.template(kit.plugins.get(PromptedSpec, name))
    return [template.render(record) for record in records_of(name, source, dataset=dataset)]


def run(*arguments: str | Path) -> int:
    """Run the command line `mdkif` in this process, and return its exit code; an error is told on stderr."""
    from .cli import main
    from .core.console.app import run as run_command

    return run_command(main, [str(argument) for argument in arguments])


def shortcuts(records: Sequence[Record]) -> dict[str, float]:
    """The accuracy that is reached on records with options without reading them; a task's figures stand above these.

    "longest" and "shortest" take an option by its length; "nearest" and "farthest" by the letter triples that its words
    share with the context or, without one, with the request, "likest" by their Jaccard index; "majority" takes the
    label that is right most often. Of options that are level each is as likely, and of several labels the first counts.
    """
    asked = {each.id: _triples(each.context or each.query.partition(" Choose from: ")[0]) for each in records}

    def accuracy(rank: Callable[[str, frozenset[str]], float]) -> float:
        right = 0.0
        for record in records:
            ranks = [rank(option, asked[record.id]) for option in record.options]
            best = [option for option, each in zip(record.options, ranks, strict=True) if each == max(ranks)]
            right += (record.labels[0] in best) / len(best)
        return right / len(records)

    def overlap(option: str, text: frozenset[str]) -> int:
        return len(_triples(option) & text)

    common = Counter(record.labels[0] for record in records).most_common(1)[0][1] / len(records)
    return {
        "majority": common,
        "longest": accuracy(lambda option, text: len(option)),
        "shortest": accuracy(lambda option, text: -len(option)),
        "nearest": accuracy(overlap),
        "farthest": accuracy(lambda option, text: -overlap(option, text)),
        "likest": accuracy(lambda option, text: overlap(option, text) / (len(_triples(option) | text) or 1)),
    }


@lru_cache(maxsize=1 << 16)
def _triples(text: str) -> frozenset[str]:
    words = re.split(r"[\W_]+", text.casefold())
    return frozenset(word[i : i + 3] for word in words for i in range(len(word) - 2))


@contextmanager
def _toolkit() -> Iterator[Toolkit]:
    """What is installed, with an empty store: templates that a user put into one have no part in a test."""
    with tempfile.TemporaryDirectory() as store:
        yield Toolkit(store)
