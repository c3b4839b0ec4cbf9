"""i2b2/VA 2010 concepts as n2c2 distributes them: notes of one tokenised sentence a line, `.con` files beside them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from mdkif import BadInput, ConversionReport, Dataset, Record, format_entities, hookimpl

TYPES = ("problem", "test", "treatment")
QUERY = 'Which problems, tests and treatments does the text name? Write one "type: entity" a line.'
TRAINING, TEST, REFERENCE = (
    "concept_assertion_relation_training_data",
    "test_data",
    "reference_standard_for_test_data",
)
SPLITS = {TRAINING: "train", TEST: "test", REFERENCE: "test"}
KINDS = ("txt", "concept", "concepts", "con")
"""Folders that hold one kind of file; the reference standard's is called concepts, the training data's concept."""

CONCEPT = re.compile(r'c="(.*)" ([0-9]{1,9}):([0-9]{1,9}) ([0-9]{1,9}):([0-9]{1,9})\|\|t="(.*)"')
SEPARATORS = (" ", " +")

Concepts = dict[int, list[tuple[str, int, int]]]
"""The concepts of each line, counted from 0: their types and character offsets in it."""


@hookimpl
def mdkif_datasets() -> list[Dataset]:
    """The data set `i2b2`."""
    return [
        Dataset(
            name="i2b2",
            title="i2b2/VA 2010: problems, tests and treatments in clinical notes, the data CliNER reads",
            target="mdkif_dataset_i2b2:convert",
            licence="n2c2 data use agreement",
            access="account at the DBMI data portal and a signed agreement",
            homepage="https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/",
            citation="Uzuner et al. 2011, 2010 i2b2/VA challenge on concepts, assertions, and relations in clinical "
            "text, JAMIA 18(5)",
            options={
                "lines": "how many consecutive lines (sentences) of a note make a record, by default 1",
                "keep_empty": "yes keeps passages without a concept, with the answer none; no leaves them out",
            },
            stand_in="ncbi-disease",
        )
    ]


def convert(
    source: Path, conversion: ConversionReport, *, lines: int | str = 1, keep_empty: str = "no"
) -> Iterator[Record]:
    """Passages of consecutive lines of the annotated notes, grouped by note.

    `source` is the folder with the extracted `concept_assertion_relation_training_data`, `test_data` and
    `reference_standard_for_test_data`, any part of it, a folder of `.txt` and `.con` files side by side,
    or one `.con`. Training data and test data are the official splits; other notes have none.

    Concepts over two lines, and those that are not where they point, are left out and counted. Raises
    BadInput for a wrong option, a source without `.con` files, and one whose note is not there.
    """
    if not re.fullmatch("[1-9][0-9]{0,5}", str(lines)):
        raise BadInput(f"The option 'lines' is {lines!r}: give a whole number from 1 up.")
    if keep_empty not in ("yes", "no"):
        raise BadInput(f"The option 'keep_empty' is {keep_empty!r}: choose from yes, no.")
    root = _root(source)
    for name, note, path in _notes(source, root, conversion):
        text = _text(note).split("\n")
        concepts = _concepts(path, text, conversion)
        for first in range(0, len(text), int(lines)):
            passage = text[first : first + int(lines)]
            context, entities = "\n".join(passage), _placed(passage, first, concepts)
            if not context.strip():
                continue
            if not entities and keep_empty == "no":
                conversion.leave_out("no concept")
                continue
            yield Record(
                id=f"i2b2/{name}/{first + 1}",
                query=QUERY,
                context=context,
                split=_split(root, path),
                group=name,
                source=f"{note.relative_to(root).as_posix()}:{first + 1}",
                **format_entities(context, entities),
            )


def _root(source: Path) -> Path:
    """The folder with the notes and their concepts: of a single file, the one above `concept`."""
    if source.is_dir():
        return source
    return source.parent.parent if source.parent.name in KINDS else source.parent


def _notes(source: Path, root: Path, conversion: ConversionReport) -> Iterator[tuple[str, Path, Path]]:
    """The name of each annotated note, with its `.txt` and `.con`."""
    concepts = [path for path in _files(root, ".con") if source in (root, path)]
    if not concepts:
        raise BadInput(f"There is no .con file at {source}: give the folder with the extracted i2b2/VA 2010 archives.")
    texts = {_name(root, path): path for path in _files(root, ".txt")}
    seen = set()
    for path in concepts:
        name = _name(root, path)
        if name in seen:
            conversion.leave_out("second .con of a note")
            continue
        seen.add(name)
        if name not in texts:
            raise BadInput(
                f"The note of {path} is not in {root}: give a folder that holds .txt and .con, "
                "for the test data the one with both test_data and reference_standard_for_test_data."
            )
        yield name, texts[name], path
    if source == root and (bare := len(texts.keys() - seen)):
        conversion.leave_out("note without .con", bare)


def _files(root: Path, suffix: str) -> list[Path]:
    """Hidden files are left out: macOS puts a `._` file beside each one it unpacks."""
    return sorted(path for path in root.rglob(f"*{suffix}") if not path.name.startswith(".") and path.is_file())


def _name(root: Path, path: Path) -> str:
    """What a note and its concepts have in common: "concept_assertion_relation_training_data/beth/record-13"."""
    folders = [TEST if name == REFERENCE else name for name in path.relative_to(root).parts[:-1]]
    if folders and folders[-1] in KINDS:
        folders.pop()
    return "/".join([*folders, path.stem])


def _split(root: Path, path: Path) -> str:
    """The official split, by the innermost folder that says it; the source may lie one folder inside it."""
    folders = (*root.resolve().parts[-2:], *path.relative_to(root).parts[:-1])
    return next((SPLITS[name] for name in reversed(folders) if name in SPLITS), "")


def _text(path: Path) -> str:
    """A file's text with \\n line ends; the distribution mixes UTF-8 and Latin-1."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return path.read_text(encoding="latin-1")


def _concepts(path: Path, text: Sequence[str], conversion: ConversionReport) -> Concepts:
    """The concepts of a `.con`: lines counted from 1, tokens from 0, both ends inclusive."""
    found: Concepts = defaultdict(list)
    for number, row in enumerate(_text(path).split("\n"), 1):
        if not row.strip():
            continue
        match = CONCEPT.fullmatch(row.strip())
        if not match or match[6] not in TYPES:
            conversion.malformed(path, number, f'is not c="…" line:token line:token||t="…" with {", ".join(TYPES)}')
            continue
        line, start, last_line, end = map(int, match.groups()[1:5])
        if line != last_line:
            conversion.leave_out("concept over two lines")
        elif line > len(text) or not (place := _place(text[line - 1], start, end, match[1])):
            conversion.leave_out("concept that is not where it points")
        else:
            found[line - 1].append((match[6], *place))
    return found


def _place(line: str, start: int, end: int, concept: str) -> tuple[int, int] | None:
    """Where tokens `start` to `end` stand in the line, if they are the concept (which the `.con` lower-cases).

    Whether two spaces in a row enclose an empty token has been read both ways: the way that finds the
    concept is right.
    """
    for separator in SEPARATORS:
        gaps = [gap.span() for gap in re.finditer(separator, line)]
        starts, ends = [0, *(after for _, after in gaps)], [*(before for before, _ in gaps), len(line)]
        if start <= end < len(ends) and _folded(line[starts[start] : ends[end]]) == _folded(concept) != "":
            return starts[start], ends[end]
    return None


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _placed(passage: Sequence[str], first: int, concepts: Concepts) -> list[tuple[str, int, int]]:
    """The concepts of a passage, with offsets in its lines joined."""
    entities, offset = [], 0
    for number, line in enumerate(passage, first):
        entities += [(kind, offset + start, offset + end) for kind, start, end in concepts.get(number, ())]
        offset += len(line) + 1
    return entities
