"""The command line for those who write plugins and experiments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from ..conformance.scaffold import CATEGORIES, READING, SCAFFOLDED, Own, scaffold
from ..console.options import PATH, as_json, listed, sourced
from ..console.tables import print_json, print_lines, print_rows
from ..contract.declarations import Dataset, PromptedSpec, Skill, Task
from ..data.own import own_spec
from ..data.sources import listed_sources
from ..errors import BadInput
from ..toolkit import Toolkit


@click.command()
@click.argument("kind", required=False, type=click.Choice(SCAFFOLDED))
@click.argument("name", required=False)
@click.argument("directory", metavar="[DIR]", required=False, type=PATH)
@click.option("--title", default="", help="One line for people.")
@click.option("--category", type=click.Choice(list(CATEGORIES)),
              help="The work of a skill, task or data set [default: classification].")  # fmt: skip
@click.option("--from", "records", type=PATH, metavar="FILE",
              help="Your own records (as for --records), which a skill or task is written for.")  # fmt: skip
@click.option("--include-data", is_flag=True, help="Copy them into the plugin, which else only knows where they are.")
@as_json
@click.pass_context
def new(
    ctx: click.Context, kind: str | None, name: str | None, directory: Path | None, title: str, category: str | None,
    records: Path | None, include_data: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write a new plugin, whose tests pass at once.

    KIND is what it provides, NAME what users will type; what is not given is asked for at a terminal. DIR is
    the folder to make [default: mdkif-KIND-NAME].
    """
    asking = sys.stdin.isatty() and not (kind and name)
    if not asking and not (kind and name):
        raise click.UsageError("Give KIND and NAME: 'mdkif new skill triage'.")
    kind = kind or click.prompt("What will it provide", type=click.Choice(SCAFFOLDED))
    name = name or click.prompt("What will users type for it")
    title = title or (click.prompt("One line for people", default="", show_default=False) if asking else "")
    folder = directory or Path(f"mdkif-{kind}-{name}")
    own = _grown(ctx.obj.kit(), str(kind), str(name), records, include_data)
    if asking and kind in READING and own is None:
        category = category or click.prompt("Which work", type=click.Choice(list(CATEGORIES)), default="classification")
    files = scaffold(str(kind), str(name), folder, title, category or "", own)
    if as_json:
        print_json({"dist": f"mdkif-{kind}-{name}", "directory": str(folder), "files": [str(file) for file in files]})
        return
    print_lines([*(f"  {file}" for file in files), "", "Try next:", f"  pip install -e {folder}[test]"])
    print_lines([f"  pytest {folder}", f"  mdkif check mdkif-{kind}-{name}", f"  mdkif show {name}"])


def _grown(kit: Toolkit, kind: str, name: str, records: Path | None, included: bool) -> Own | None:
    """The records that a skill or task is written for. Raises BadInput where there are none, or it is another kind."""
    if records is None:
        if included:
            raise BadInput("There are no records to include: name their file with --from FILE.")
        return None
    kinds: dict[str, type[PromptedSpec]] = {"skill": Skill, "task": Task}
    if kind not in kinds:
        raise BadInput(f"A {kind} is not written from records: --from is for a skill or a task.")
    if not records.is_file():
        raise BadInput(f"There are no records at {records}: check the path.")
    return Own(records, own_spec(kinds[kind], kit.plugins, name, records), included)


@click.command()
@click.argument("target", default="")
@sourced
@listed
@as_json
@click.pass_context
def check(ctx: click.Context, target: str, sources: Sequence[str], file: Path | None, as_json: bool) -> None:
    """Check plugins against what the host relies on.

    TARGET is a distribution or anything it provides; without it every plugin is checked. Data sets
    are converted from the sources given, or from the sample in their plugin's package.
    """
    kit = ctx.obj.kit()
    found = list(kit.check(target, (listed_sources(file) if file else {}) | _named(kit, target, sources)))
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        shown = [asdict(each) for each in found if each.state != "kept"]
        if shown:
            print_rows(shown, ("subject", "rule", "state", "remedy"))
        counts = {state: sum(each.state == state for each in found) for state in ("kept", "broken", "not checked")}
        if read := sum({each.subject: each.records for each in found if each.records}.values()):
            print_lines([f"Records read: {read:,}."])
        print_lines(["Rules: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + "."])
    ctx.exit(1 if any(each.state == "broken" for each in found) else 0)


def _named(kit: Toolkit, target: str, sources: Sequence[str]) -> dict[str, Path]:
    """The paths given as `DATASET=PATH`; a bare path is the data set that the target is, or reads first.

    Raises BadInput for a bare path where the target reads none.
    """
    targets = [d for p in kit.plugins.plugins for d in p.declarations if target in (p.dist, d.name)]
    own = [d.name for d in targets if isinstance(d, Dataset)]
    own += [d.reads[0] for d in targets if isinstance(d, PromptedSpec)]
    found = {}
    for text in sources:
        dataset, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            dataset, path = own[0] if own else "", text
        if not dataset:
            raise BadInput(f"It is not known which data set lies at {text}: name it, as in --source DATASET={text}.")
        found[dataset] = Path(path).expanduser()
    return found
