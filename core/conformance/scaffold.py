"""A new plugin from the scaffold in `templates/scaffold`: a whole distribution whose tests pass at once."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..contract.declarations import Category, PromptedSpec
from ..errors import BadInput
from ..store.files import atomic_directory

SCAFFOLD = Path(__file__).resolve().parents[2] / "templates" / "scaffold"
SCAFFOLDED = ("skill", "task", "dataset", "trainer", "router", "baseline", "evaluator")
READING = SCAFFOLDED[:3]


@dataclass(frozen=True)
class Work:
    """What a scaffold of one category of work holds: its declaration, what its rows have, and how it is measured."""

    official: Category
    evaluator: str
    measure: str
    fields: str
    wording: str
    helper: str = ""
    text: str = "text"


CATEGORIES = {
    "classification": Work("text-classification", "classification", "accuracy", "id, text and level",
                           "Ask for one of the levels", "format_choices, "),
    "question-answering": Work("question-answering", "generation", "token_f1", "id, context, question and answer",
                               "Ask the question of the row", text="context"),
    "ner": Work("sequence-labelling", "entities", "f1", "id, text and entities",
                "Ask for the entities of the text", "format_entities, "),
    "relation": Work("sequence-labelling", "classification", "accuracy", "id, text, head, tail and relation",
                     "Ask for the relation of two entities", "format_choices, "),
    "summarisation": Work("sequence-to-sequence", "generation", "rougeL", "id, text and summary",
                          "Ask for the summary of the text"),
}  # fmt: skip


@dataclass(frozen=True)
class Own:
    """A file of one's own records that a skill or task is written for, and what follows from them.

    The plugin names the file's place or, if `included`, has a copy; it holds none of the text otherwise.
    """

    file: Path
    spec: PromptedSpec
    included: bool = False

    @property
    def facts(self) -> dict[str, object]:
        """What the templates in `own` say of them."""
        within = f'Path(__file__).parent / "data" / {json.dumps(self.file.name)}'
        return {
            "official": self.spec.category,
            "evaluator": getattr(self.spec, "evaluator", ""),
            "measure": getattr(self.spec, "metric", ""),
            "multi_label": self.spec.multi_label,
            "place": within if self.included else f"Path({json.dumps(str(self.file.resolve()))})",
        }


def scaffold(
    kind: str, name: str, directory: Path, title: str = "", category: str = "", own: Own | None = None
) -> list[Path]:
    """Write the distribution `mdkif-KIND-NAME` into `directory`, and tell its files.

    `category` is one of `CATEGORIES`, by default the first, of what reads data; a skill or task for records of one's
    `own` has none. Raises BadInput for a name a plugin cannot have, a category of something else, or a folder that
    holds something already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise BadInput(f"A {kind} cannot be named '{name}': use lower-case letters, digits and single hyphens.")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BadInput(f"{directory} holds something already: name a new folder.")
    if category and (kind not in READING or category not in CATEGORIES):
        known = (
            f"choose from {', '.join(CATEGORIES)}" if kind in READING else f"a {kind} reads no data, so leave it out"
        )
        raise BadInput(f"The category of a {kind} cannot be '{category}': {known}.")
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    facts = _facts(kind, name, " ".join(title.split()) or f"{name.replace('-', ' ').capitalize()}", category)
    if own is not None:
        facts |= own.facts
        evaluators = [f"mdkif-evaluator-{facts['evaluator']}"] if facts["evaluator"] else []
        facts |= {
            "requires": ["mdkif", *evaluators],
            "ours": ["", *(each.removeprefix("mdkif-") for each in evaluators)],
        }
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(SCAFFOLD),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    with atomic_directory(directory, private=False) as part:
        for template in _templates("own" if own else kind):
            place = template.relative_to(SCAFFOLD).with_suffix("")
            path = part.joinpath(*(_named(piece, facts) for piece in place.parts[1:]))
            path.parent.mkdir(parents=True, exist_ok=True)
            text = environment.get_template(template.relative_to(SCAFFOLD).as_posix()).render(facts)
            path.write_text(text, encoding="utf-8", newline="\n")
        if own is not None and own.included:
            (part / str(facts["package"]) / "data").mkdir()
            shutil.copyfile(own.file, part / str(facts["package"]) / "data" / own.file.name)
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _templates(kind: str) -> Iterator[Path]:
    for folder in (SCAFFOLD / "common", SCAFFOLD / kind):
        yield from sorted(folder.rglob("*.jinja"))


def _facts(kind: str, name: str, title: str, category: str) -> dict[str, object]:
    category = category or next(iter(CATEGORIES))
    work = CATEGORIES[category]
    needed = {"task": [f"mdkif-evaluator-{work.evaluator}"], "trainer": ["peft"], "router": ["torch"]}
    requires = ["mdkif", *needed.get(kind, [])]
    return {
        **asdict(work),
        "category": category,
        "kind": kind,
        "name": name,
        "title": title.replace("\\", "").replace('"', "'"),
        "dist": f"mdkif-{kind}-{name}",
        "package": f"mdkif_{kind}_{name.replace('-', '_')}",
        "camel": "".join(part.capitalize() for part in name.split("-")),
        "metric": name.replace("-", "_"),
        "requires": requires,
        "ours": [each.removeprefix("mdkif").removeprefix("-") for each in requires if each.startswith("mdkif")],
    }


def _named(piece: str, facts: dict[str, object]) -> str:
    named = piece.replace("__package__", str(facts["package"])).replace("__name__", str(facts["name"]))
    return named.replace("__dot__", ".")  # packaging tools leave out what begins with a dot
