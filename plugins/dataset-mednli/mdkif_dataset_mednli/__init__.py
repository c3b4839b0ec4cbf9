"""MedNLI as PhysioNet distributes it: `mli_{train,dev,test}_v1.jsonl`, one sentence pair a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, Record, format_choices, hookimpl, text_lines

FILES = {"train": "mli_train_v1.jsonl", "dev": "mli_dev_v1.jsonl", "test": "mli_test_v1.jsonl"}
LABELS = ("entailment", "neutral", "contradiction")


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `mednli`."""
    return [
        Dataset(
            name="mednli",
            title="MedNLI: inference between sentences of clinical notes",
            target="mdkif_dataset_mednli:convert",
            licence="PhysioNet Credentialed Health Data License 1.5.0",
            access="PhysioNet credentialed account",
            homepage="https://physionet.org/content/mednli/1.0.0/",
            citation="Romanov and Shivade 2018, Lessons from Natural Language Inference in the Clinical Domain, EMNLP",
            stand_in="pubmedqa",
        )
    ]


def convert(source: Path, conversion: ConversionReport) -> Iterator[Record]:
    """The pairs of the official splits (11,232, 1,395 and 1,422), grouped by premise.

    `source` is the unpacked folder or one of its three files. Three hypotheses share a premise, so any
    further splitting must keep premises whole. Raises BadInput where none of the three files is found.
    """
    seen: set[str] = set()
    for split, path in _files(source):
        with text_lines(path, conversion) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                    premise, hypothesis = row["sentence1"].strip(), row["sentence2"].strip()
                    pair, label = row["pairID"].strip(), row["gold_label"]
                except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    conversion.malformed(path, number, "is not a sentence pair with pairID and gold_label")
                    continue
                if label not in LABELS:
                    conversion.malformed(path, number, f"has a gold_label that is none of {', '.join(LABELS)}")
                    continue
                identity = f"mednli/{split}/{pair}"
                if identity in seen:
                    conversion.leave_out("duplicate id")
                    continue
                seen.add(identity)
                yield Record(
                    id=identity,
                    context=f"sentence1: {premise}\nsentence2: {hypothesis}",
                    split=split,
                    group=premise,
                    source=f"{path.name}:{number}",
                    **format_choices("Determine the relationship between the two sentences.", LABELS, [label]),
                )


def _files(source: Path) -> list[tuple[str, Path]]:
    """Each split with its file."""
    files = [(split, source if source.is_file() else source / name) for split, name in FILES.items()]
    if found := [(split, path) for split, path in files if path.name == FILES[split] and path.is_file()]:
        return found
    raise BadInput(f"There is none of {', '.join(FILES.values())} at {source}: give the unpacked PhysioNet folder.")
