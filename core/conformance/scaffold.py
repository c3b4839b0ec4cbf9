"""A new plugin from the scaffold in `templates/scaffold`: a whole distribution whose tests pass at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import BadInput
from ..store.files import atomic_directory

SCAFFOLD = Path(__file__).resolve().parents[2] / "templates" / "scaffold"
SCAFFOLDED = ("skill", "task", "dataset", "trainer", "router", "evaluator")


def scaffold(kind: str, name: str, directory: Path, title: str = "") -> list[Path]:
    """Write the distribution `mdkif-KIND-NAME` into `directory`, and tell its files.

    Raises BadInput for a name a plugin cannot have, or a folder that holds something already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise BadInput(f"A {kind} cannot be named '{name}': use lower-case letters, digits and single hyphens.")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BadInput(f"{directory} holds something already: name a new folder.")
    import jinja2

    facts = _facts(kind, name, " ".join(title.split()) or f"{name.replace('-', ' ').capitalize()}")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SCAFFOLD),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    with atomic_directory(directory) as part:
        for template in _templates(kind):
            place = template.relative_to(SCAFFOLD).with_suffix("")
            path = part.joinpath(*(_named(piece, facts) for piece in place.parts[1:]))
            path.parent.mkdir(parents=True, exist_ok=True)
            text = environment.get_template(template.relative_to(SCAFFOLD).as_posix()).render(facts)
            path.write_text(text, encoding="utf-8", newline="\n")
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _templates(kind: str) -> Iterator[Path]:
    for folder in (SCAFFOLD / "common", SCAFFOLD / kind):
        yield from sorted(folder.rglob("*.jinja"))


def _facts(kind: str, name: str, title: str) -> dict[str, object]:
    needed = {"task": ["mdkif-evaluator-classification"], "trainer": ["peft"], "router": ["torch"]}
    return {
        "kind": kind,
        "name": name,
        "title": title.replace("\\", "").replace('"', "'"),
        "dist": f"mdkif-{kind}-{name}",
        "package": f"mdkif_{kind}_{name.replace('-', '_')}",
        "camel": "".join(part.capitalize() for part in name.split("-")),
        "metric": name.replace("-", "_"),
        "requires": ["mdkif", *needed.get(kind, [])],
    }


def _named(piece: str, facts: dict[str, object]) -> str:
    named = piece.replace("__package__", str(facts["package"])).replace("__name__", str(facts["name"]))
    return named.replace("__dot__", ".")  # packaging tools leave out what begins with a dot
