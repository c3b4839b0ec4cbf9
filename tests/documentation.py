"""What of the documentation is generated: the commands, settings, declarations and entries that the code has.

A field's meaning is written by hand, in the table's last column, and kept.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import click
import floor_plan
from breakages import BREAKAGES
from mdkif import Prediction, Record
from mdkif.cli import main
from mdkif.core.conformance.check import rules
from mdkif.core.contract.catalogue import Entry, catalogue
from mdkif.core.contract.declarations import (
    KINDS,
    Baseline,
    Command,
    Dataset,
    Declaration,
    LazySpec,
    Router,
    Skill,
    Source,
    Task,
    Trainer,
)
from mdkif.core.contract.discovery import Plugins
from mdkif.core.settings import described
from sphinx.util.inspect import signature, stringify_signature

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| `([^`]+)` \|.*\| *((?:[^|\\]|\\.)*?) \|$")


def commands_section(_: str) -> str:
    """Every command of the core and of the repository's plugins, with its arguments and options."""
    return "\n\n".join(command_help(name, command) for name, command in sorted(all_commands().items()))


def rooms_section(_: str) -> str:
    """The rooms of the core, with their modules and what they import from."""
    return floor_plan.table()


def rules_section(_: str) -> str:
    """Every rule of the conformance kit, with the breakages that a test shows it to find."""
    lines = ["| of | rule | what breaks it, as a test shows |", "|---|---|---|"]
    for subject, names in rules().items():
        for name in names:
            proofs = "; ".join(each.what for each in BREAKAGES if (each.rule, each.of) == (name, subject))
            lines.append(f"| {subject} | {name} | {proofs} |")
    return "\n".join(lines)


def skills_section(_: str) -> str:
    """The skills and tasks, with the data they need; the catalogue has their distributions."""
    known = [entry for entry in catalogue() if entry.kind in ("skill", "task")]
    rows = [f"| `{entry.name}` | {entry.kind} | {entry.title} | {entry.dataset} ({entry.access}) |" for entry in known]
    return "\n".join(["| name | kind | what it is | data set |", "|---|---|---|---|", *rows])


def catalogue_section(_: str) -> str:
    kinds = dict.fromkeys(entry.kind for entry in catalogue())
    return "\n\n".join(
        f"## {kind.capitalize()}s\n\n"
        + _catalogue_table(kind)
        + "\n\n"
        + "\n".join(
            line for declared in (ours(KINDS[kind]) if kind in KINDS else ()) for line in signature_lines(declared)
        )
        for kind in kinds
    )


def settings_section(_: str) -> str:
    """A table of the fields of everything that takes `--set name=value`."""
    from mdkif.core.evaluation.settings import EvaluateSettings
    from mdkif.core.routing.optimizer import AdaptSettings
    from mdkif.core.training.settings import TrainSettings

    groups: dict[str, type] = {"The loop of stage I": TrainSettings}
    groups |= {f"Trainer `{d.name}`": d.load() for d in ours(Trainer)}
    groups |= {"Adaptation, stage II": AdaptSettings}
    groups |= {f"Router `{d.name}`": d.load() for d in ours(Router)}
    groups |= {"Evaluation": EvaluateSettings}
    groups |= {f"Baseline `{d.name}`": d.load() for d in ours(Baseline)}
    return "\n\n".join(f"## {title}\n\n{_settings(cls)}" for title, cls in groups.items())


def _settings(cls: type) -> str:
    rows = [
        f"| `{row['name']}` | `{_cell(row['may_be'])}` | `{row['default']!r}` | {_cell(row['meaning'])} |"
        for row in described(cls)
    ]
    return (
        "\n".join(["| name | type | default | meaning |", "|---|---|---|---|", *rows])
        if rows
        else "It has no settings."
    )


def declarations_section(before: str) -> str:
    """A table of the fields of everything a hook returns, of records and of predictions."""
    meanings = meanings_of(before)
    classes = [*KINDS.values(), Source, Record, Prediction]
    parts = [f"## {cls.__name__}\n\n{_fields(cls.__name__, cls, meanings, cls is Task)}" for cls in classes]
    return "\n\n".join(parts)


SECTIONS = {
    "skills": (ROOT / "README.md", skills_section),
    "commands": (ROOT / "docs/commands.md", commands_section),
    "rooms": (ROOT / "docs/architecture.md", rooms_section),
    "settings": (ROOT / "docs/settings.md", settings_section),
    "catalogue": (ROOT / "docs/catalogue.md", catalogue_section),
    "declarations": (ROOT / "docs/declarations.md", declarations_section),
    "rules": (ROOT / "docs/testing.md", rules_section),
}


def section(name: str) -> tuple[str, str, str]:
    """The text before, in and after the generated section of that name."""
    text = SECTIONS[name][0].read_text(encoding="utf-8")
    begin, end = f"<!-- generated:{name}:begin -->\n", f"<!-- generated:{name}:end -->"
    head, _, rest = text.partition(begin)
    body, found, tail = rest.partition(end)
    assert found, f"{SECTIONS[name][0]} has no section {name}"
    return head + begin, body, end + tail


def write() -> None:
    """Refresh every generated section, and the picture of the rooms."""
    floor_plan.write()
    for name, (page, of_code) in SECTIONS.items():
        head, body, tail = section(name)
        page.write_text(f"{head}\n{of_code(body)}\n\n{tail}", encoding="utf-8")


def ours(cls: Any) -> list[Any]:
    """The declarations of one kind that this repository's plugins make."""
    return [d for d, plugin in Plugins().all(cls) if (ROOT / "plugins" / plugin.dist.removeprefix("mdkif-")).is_dir()]


def signature_lines(declared: Declaration) -> Iterator[str]:
    """A list item with the exact signature of one entry and, below it, what its options or metrics mean."""
    if isinstance(declared, Command):
        yield f"- `{declared.name}`: [arguments and options](commands.md#{declared.name})"
        return
    if isinstance(declared, LazySpec):
        exact = f"{declared.target}{signature_of(declared.load())}"
    else:
        exact = declaration_of(declared, leave_out=("name", "title", "package", "papers"))
    yield f"- `{declared.name}`: `{exact}`"
    if isinstance(declared, Dataset):
        yield from (f"    - `{option}`: {help}" for option, help in declared.options.items())
    metrics: Mapping[str, bool] = getattr(declared, "metrics", {})
    for what, high in (("higher is better", True), ("lower is better", False)):
        if names := [f"`{metric}`" for metric, higher in metrics.items() if higher is high]:
            yield f"    - {what}: {', '.join(names)}"


def signature_of(code: Any) -> str:
    """Parameters, types, defaults and what is returned, as the site's reference shows them."""
    shown = stringify_signature(signature(code), unqualified_typehints=True).replace("<factory>", "...")
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", re.sub(r"~(\w+\.)+|\bnn\.", "", shown))


def declaration_of(declared: Any, leave_out: tuple[str, ...] = ()) -> str:
    """A declaration as a plugin writes it: the fields that differ from their defaults."""
    given = []
    for field in fields(declared):
        value = getattr(declared, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if field.name not in leave_out and value != default:
            shown = repr(value)
            if value and isinstance(value, tuple) and isinstance(value[0], Source):
                shown = f"({', '.join(map(declaration_of, value))}{',' * (len(value) == 1)})"
            given.append(f"{field.name}={shown}")
    return f"{type(declared).__name__}({', '.join(given)})"


def all_commands() -> dict[str, click.Command]:
    """Every command by its full name, without the name of the program."""
    found: dict[str, click.Command] = {declared.name: declared.load() for declared in ours(Command)}
    for name, command in main.commands.items():
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
        else:
            found[name] = command
    return found


def context(name: str, command: click.Command) -> click.Context:
    return click.Context(command, info_name=f"mdkif {name}")


def command_help(name: str, command: click.Command) -> str:
    """A section: the usage, the help, with what click leaves unwrapped as code, and the options."""
    ctx = context(name, command)
    usage = " ".join(["mdkif", name, *command.collect_usage_pieces(ctx)])
    records = [option.get_help_record(ctx) for option in command.params]
    rows = [record for record in records if record is not None and record[1]]
    parts = [f"## {name}", f"`{usage}`"]
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        kept = paragraph.removeprefix("\b\n")
        parts.append(kept if kept == paragraph else indent(kept, "    "))
    if rows:
        table = [f"| `{_cell(left)}` | {_cell(' '.join(right.split()))} |" for left, right in rows]
        parts.append("\n".join(["| option | |", "|---|---|", *table]))
    return "\n\n".join(parts)


def _catalogue_table(kind: str) -> str:
    rows = [
        f"| `{entry.name}` | {entry.title} | {': '.join(filter(None, (entry.dataset, entry.access)))} | "
        f"{_distribution(entry)} |"
        for entry in catalogue()
        if entry.kind == kind
    ]
    return "\n".join(["| name | what it is | data set or access | distribution |", "|---|---|---|---|", *rows])


def _distribution(entry: Entry) -> str:
    return "planned" if entry.planned else f"`{entry.dist}`"


def meanings_of(before: str) -> dict[tuple[str, str], str]:
    title, found = "", {}
    for line in before.splitlines():
        if line.startswith("#"):
            title = line.lstrip("# ")
        elif row := ROW.match(line):
            found[title, row[1]] = row[2]
    return found


def _fields(title: str, cls: type, meanings: dict[tuple[str, str], str], beside_skill: bool = False) -> str:
    hints = get_type_hints(cls, include_extras=True)
    rows = []
    common = {field.name for field in fields(Skill)} if beside_skill else set()
    for field in fields(cls):
        if field.name in common:
            continue
        default = field.default if field.default_factory is MISSING else field.default_factory()
        shown = "" if default is MISSING else f"`{default!r}`"
        kind = f"`{_cell(_type(hints[field.name]))}`"
        rows.append(f"| `{field.name}` | {kind} | {shown} | {meanings.get((title, field.name), '')} |")
    start = ["All fields of a `Skill`, and:", ""] if common else []
    return "\n".join([*start, "| name | type | default | meaning |", "|---|---|---|---|", *rows])


def _type(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " | ".join(get_args(hint))
    if get_origin(hint) is Annotated:
        return f"{get_args(hint)[0].__name__} > 0"
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else re.sub(r"\b\w+\.", "", str(hint))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
