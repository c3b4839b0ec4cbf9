"""CliCR as its authors send it: `{train,dev,test}1.0.json`, case reports with queries of their learning points."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mdkif import BadInput, ConversionReport, Dataset, Record, hookimpl
from mdkif_dataset_emrqa import Passage, collapsed, stream, window_size

FILES = {"train": "train1.0.json", "dev": "dev1.0.json", "test": "test1.0.json"}
NOT_FOUND = ("leave-out", "keep")
PLACEHOLDER = "@placeholder"
GLUED = re.compile(rf"(?<=\w){PLACEHOLDER}|{PLACEHOLDER}(?=\w)")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n+")


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `clicr`."""
    return [
        Dataset(
            name="clicr",
            title="CliCR: cloze questions about clinical case reports",
            target="mdkif_dataset_clicr:convert",
            licence="for research, by agreement with BMJ Case Reports",
            access="from its authors, for research",
            homepage="https://github.com/clips/clicr",
            citation="Šuster and Daelemans 2018, CliCR: A Dataset of Clinical Case Reports for Machine Reading "
            "Comprehension, NAACL",
            options={
                "window": "sentences before and after the answer that are the context, after the title (2), or all",
                "notfound": "leave-out (default) or keep queries none of whose answers stand in the case report",
            },
            stand_in="medquad",
        )
    ]


def convert(
    source: Path, conversion: ConversionReport, *, window: object = 2, notfound: str = "leave-out"
) -> Iterator[Record]:
    """One record per query, in the official splits, whose group is its case report.

    `source` is the folder or one of its files. Labels are the answer of the text, then its UMLS synonyms;
    spans are where the first of them that stands in the context does, whatever its case. Queries without such an
    answer, which the authors take out of training data, are left out or, with `notfound=keep`, kept with
    the whole report. Otherwise the context is the title and the sentences around the answer's first place,
    which makes queries easier than the whole report does: compare results only with window=all.

    Raises BadInput for wrong options, a source without the files and a file that is no JSON.
    """
    if notfound not in NOT_FOUND:
        raise BadInput(f"The option 'notfound' cannot be '{notfound}': choose from {', '.join(NOT_FOUND)}.")
    around, seen = window_size(window), set[str]()
    for split, path in _files(source):
        for place, case, report, query in _queries(path, conversion):
            try:
                identity, text, labels = query["id"], _query(query["query"]), _labels(query["answers"])
                if not isinstance(identity, str):
                    raise TypeError
            except (TypeError, LookupError, AttributeError, ValueError):
                conversion.malformed(path, place, "is not a query with id, @placeholder and an answer of the text")
                continue
            fields = _reading(report, labels, around)
            if not fields["spans"] and notfound == "leave-out":
                conversion.leave_out("answer not in the case report")
            elif identity in seen:
                conversion.leave_out("duplicate id")
            else:
                seen.add(identity)
                yield Record(
                    id=f"clicr/{identity}", query=text, split=split, group=case, source=f"{path.name}:{place}", **fields
                )


def _files(source: Path) -> list[tuple[str, Path]]:
    files = [(split, source if source.is_file() else source / name) for split, name in FILES.items()]
    if found := [(split, path) for split, path in files if path.name == FILES[split] and path.is_file()]:
        return found
    raise BadInput(f"There is none of {', '.join(FILES.values())} at {source}: give the folder its authors sent.")


def _queries(path: Path, conversion: ConversionReport) -> Iterator[tuple[str, str, list[str], Any]]:
    """Each query with its place, the name of its case and the sentences of the report, title first."""
    cases = 0
    for keys, value in stream(path, 2):
        match keys:
            case ("data", int(number)):
                place = f"data[{number}]"
            case _:
                continue
        cases += 1
        try:
            case, document = str(value["source"]), value["document"]
            title, body = _unmarked(document["title"]), _unmarked(document["context"])
            queries = list(document["qas"])
        except (TypeError, KeyError, AttributeError):
            conversion.malformed(path, place, "is not a case report with source, title, context and qas")
            continue
        report = [collapsed(title), *filter(None, map(collapsed, SENTENCE_END.split(body)))]
        for position, query in enumerate(queries):
            yield f"{place}.qas[{position}]", case, report, query
    if not cases:
        raise BadInput(f"{path} has no case reports below data: take the file anew.")


def _unmarked(text: str) -> str:
    """The text without the marks of entities."""
    return text.replace("BEG__", "").replace("__END", "")


def _query(text: str) -> str:
    """The line with the placeholder, which the other lines of a query only surround."""
    line = next((line for line in text.splitlines() if PLACEHOLDER in line), None)
    if line is None:
        raise ValueError
    return f"Fill in {PLACEHOLDER}: {collapsed(GLUED.sub(f' {PLACEHOLDER} ', _unmarked(line)))}"


def _labels(answers: list[dict[str, str]]) -> tuple[str, ...]:
    """The answer of the text, then the synonyms that differ in more than case."""
    by_origin = sorted(answers, key=lambda answer: answer["origin"] != "dataset")
    texts = [collapsed(_unmarked(answer["text"])) for answer in by_origin]
    if not texts[0] or by_origin[0]["origin"] != "dataset":
        raise ValueError
    distinct: dict[str, str] = {}
    for text in filter(None, texts):
        distinct.setdefault(text.casefold(), text)
    return tuple(distinct.values())


def _reading(report: list[str], labels: tuple[str, ...], around: int | None) -> dict[str, Any]:
    """The answer's fields and the context: the title and the sentences around the answer's first place below it."""
    passage, body = Passage(report), len(report[0]) + 1
    places = (passage.find(label, begin) for begin in (body, 0) for label in labels)
    first = next(filter(None, places), None)
    start, end = passage.window(first or (0, 0), around if first else None)
    context = Passage([report[0], *passage.text[max(start, body) : end].splitlines()])
    spans = next((spans for label in labels if (spans := tuple(context.find_all(label)))), ())
    return {"context": context.text, "answer": labels[0], "labels": labels, "spans": spans}
