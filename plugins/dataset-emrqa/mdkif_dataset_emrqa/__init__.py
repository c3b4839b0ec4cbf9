"""emrQA as n2c2 distributes it: one `data.json` of several GB, whose sets hold notes with questions about them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mdkif import BadInput, ConversionReport, Dataset, Record, hookimpl

from .passage import Passage, Span, collapsed, window_size
from .streaming import stream

__all__ = ["Passage", "collapsed", "convert", "stream", "window_size"]

SETS = ("medication", "relations", "risk", "smoking", "obesity")
PARAPHRASES = ("first", "all")
ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#\d{1,6});")
TOO_LONG = 20
"""Words; CliniRC (Yue et al. 2020) keeps shorter answers only."""


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `emrqa`."""
    return [
        Dataset(
            name="emrqa",
            title="emrQA: questions about electronic medical records",
            target="mdkif_dataset_emrqa:convert",
            licence="n2c2 data use agreement",
            access="n2c2 data use agreement",
            homepage="https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/",
            citation="Pampari et al. 2018, emrQA: A Large Corpus for Question Answering on Electronic Medical "
            "Records, EMNLP",
            options={
                "sets": f"the sets to read of {', '.join(SETS)}, separated by commas (medication,relations)",
                "paraphrases": "first (one question of those that mean the same, the default) or all",
                "window": "lines of the note before and after the answer that are the context (3), or all",
            },
            stand_in="medquad",
        )
    ]


def convert(
    source: Path,
    conversion: ConversionReport,
    *,
    sets: str = "medication,relations",
    paraphrases: str = "first",
    window: object = 3,
) -> Iterator[Record]:
    """One record per question, whose group is its note; the data set has no official splits.

    `source` is `data.json` or the folder around it. The answer is the entity in the note, or where the
    generator gave none (type `empty`) its evidence, found as in CliniRC (`_evidence`); answers of 20 words
    and more are left out as there, and so are `complex` ones, which are lists. All answers inside the context
    are labels. A window of lines makes the question easier than the whole note: compare results only with
    window=all. Smoking and obesity ask for a class that stands nowhere, so their context is the whole note.

    Raises BadInput for wrong options and for a file that is no emrQA.
    """
    wanted = [name.strip() for name in sets.split(",")]
    if wrong := sorted(set(wanted) - set(SETS)):
        raise BadInput(f"emrQA has no set '{wrong[0]}': choose from {', '.join(SETS)}.")
    if paraphrases not in PARAPHRASES:
        raise BadInput(f"The option 'paraphrases' cannot be '{paraphrases}': choose from {', '.join(PARAPHRASES)}.")
    around, path = window_size(window), _file(source)
    seen: set[str] = set()
    for title, place, paragraph in _paragraphs(path):
        if place in seen:  # a key of the file may come twice
            conversion.leave_out("note at the place of another")
            continue
        seen.add(place)
        name = next((name for name in SETS if title.startswith(name)), "")
        if name not in wanted:
            conversion.leave_out("note of another set")
            continue
        try:
            note, context, questions = str(paragraph["note_id"]), paragraph["context"], list(paragraph["qas"])
            passage = Passage(_plain(line) for line in (context.split("\n") if isinstance(context, str) else context))
        except (TypeError, KeyError, AttributeError):
            conversion.malformed(path, place, "is not a note with note_id, context and qas")
            continue
        for number, question in enumerate(questions):
            where = f"{place}.qas[{number}]"
            try:
                texts, answer = _texts(question["question"]), _answer(passage, question["answers"], around)
            except (TypeError, KeyError, AttributeError):
                conversion.malformed(path, where, "is not a question with answers")
                continue
            asked = texts if paraphrases == "all" else texts[:1]
            if isinstance(answer, str):
                conversion.leave_out(answer, len(asked))
                continue
            key = ".".join(re.findall("[0-9]+", where))
            for version, text in enumerate(asked):
                identity = f"emrqa/{name}/{key}.{version}"
                yield Record(id=identity, query=text, group=note, source=f"{path.name}:{where}", **answer)
    if not seen:
        raise BadInput(f"{path} has no paragraphs below data: give n2c2's data.json.")


def _file(source: Path) -> Path:
    paths = [source, source / "data.json", source / "dataset" / "data.json"]
    if found := next((path for path in paths if path.is_file()), None):
        return found
    raise BadInput(f"There is no data.json in {source}: give the folder that n2c2 distributes or the file itself.")


def _paragraphs(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Each note with the title of its set and its place in the file."""
    titles: dict[int, str] = {}
    for keys, value in stream(path, 4):
        match keys:
            case ("data", int(part), "title"):
                titles[part] = str(value)
            case ("data", int(part), "paragraphs", int(number)):
                if part not in titles:  # the generator wrote keys in no order, so all titles may come last
                    titles = {part: "", **_titles(path)}
                yield titles[part], f"data[{part}].paragraphs[{number}]", value


def _titles(path: Path) -> dict[int, str]:
    return {int(keys[1]): str(value) for keys, value in stream(path, 4) if keys[0::2] == ("data", "title")}


def _plain(text: str) -> str:
    """The text without the entities that are left of its time as HTML."""
    return ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _texts(question: str | list[str]) -> list[str]:
    """A question's paraphrases; without one there is no question."""
    texts = [collapsed(_plain(text)) for text in ([question] if isinstance(question, str) else question)]
    if not (texts and all(texts)):
        raise KeyError("question")
    return texts


def _answer(note: Passage, answers: Sequence[dict[str, Any]], around: int | None) -> dict[str, Any] | str:
    """The fields of a record that answers make, or why they make none."""
    spans: list[Span] = []
    classes: list[str] = []
    reason = "no answer"
    for answer in answers:
        text, evidence = answer["text"], answer["evidence"]
        if not (isinstance(text, str) and isinstance(evidence, str)) or answer.get("answer_entity_type") == "complex":
            reason = "complex answer"
            continue
        text, evidence = _plain(text), _plain(evidence)
        if not evidence.strip():
            classes += [collapsed(text)] if text.strip() else []
            continue
        start = answer.get("answer_start")
        line, token = start[:2] if isinstance(start, list) and len(start) > 1 else (None, None)
        if text.strip():
            span = note.find(text, note.place(line, token)) or note.find(text)
        else:
            span = _evidence(note, evidence, note.place(line))
        if span is None:
            reason = "answer not in the note"
        elif len(note.text[slice(*span)].split()) >= TOO_LONG:
            reason = f"answer of {TOO_LONG} words or more"
        else:
            spans.append(span)
    if spans:
        start, end = note.window(spans[0], around)
        inside = [span for span in dict.fromkeys(spans) if start <= span[0] and span[1] <= end]
        labels = tuple(dict.fromkeys(collapsed(note.text[slice(*span)]) for span in inside))
        shifted = tuple((first - start, last - start) for first, last in inside)
        return {"context": note.text[start:end], "answer": labels[0], "labels": labels, "spans": shifted}
    if classes:
        return {"context": note.text, "answer": classes[0], "labels": tuple(dict.fromkeys(classes))}
    return reason


def _evidence(note: Passage, evidence: str, begin: int) -> Span | None:
    """Where evidence stands, as CliniRC looks for it: without its last words until the rest is found.

    The generator joined lines with commas, so evidence may not stand verbatim. The line it is said to
    come from is searched before the whole note, which CliniRC does not do.
    """
    words = evidence.split()
    while words:
        text = " ".join(words).rstrip(",.?!- ")
        if span := note.find(text, begin) or note.find(text):
            return span
        words.pop()
    return None
