"""Two first days, from empty folders and on wheels: a newcomer's, and a contributor's with data in official layouts."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from environments import ROOT, UV, Environment, run
from mdkif.core.conformance.scaffold import CATEGORIES, READING, SCAFFOLDED, scaffold

PARTS = ("mdkif[papers]", "mdkif-model-tiny", "mdkif-synthetic")
# Every line of a day in one process, which imports PyTorch once: exit code, stdout and stderr of each.
DAY = """
import contextlib, io, json, shlex, sys
from mdkif.cli import main
from mdkif.core.console.app import run
told = []
for line in sys.argv[1:]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(main, shlex.split(line))
    told.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def environment(wheels, tmp_path_factory):
    """A fresh environment with what the README's line installs, the tiny model and the invented hospital."""
    made = Environment.fresh(tmp_path_factory.mktemp("first") / "environment")
    made.install(wheels, *PARTS).check_returncode()
    return made


@dataclass(frozen=True)
class Person:
    """Somebody in a folder, in an environment."""

    environment: Environment
    folder: Path

    def says(self, *lines):
        """What each line printed; none may fail."""
        done = self.environment.run("python", "-c", DAY, *lines, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        for line, (code, out, err) in zip(lines, told, strict=True):
            assert code == 0, f"mdkif {line}\n{out}\n{err}"
        return [out for _, out, _ in told]


# The newcomer

QUICK = "--base tiny --trainer lora --max-length 128 --set batch_size=2"
EVALUATE = "evaluate pubmedqa --source hospital/PubMedQA --base tiny --limit 8 --max-length 128 --json --with"


@pytest.fixture(scope="module")
def newcomer(environment, tmp_path_factory):
    """The newcomer's folder after the day, and what the lines with --json told."""
    person = Person(environment, tmp_path_factory.mktemp("newcomer"))
    rows = ["question,options,answer,context,group"]
    rows += [f'How soon?,now|later,{"now" if i % 2 else "later"},"Note {i}, invented.",p{i // 2}' for i in range(40)]
    (person.folder / "mine.csv").write_text("\n".join(rows) + "\n")
    told = person.says(
        "synth hospital --size 60",
        f"train nli es --sources hospital/sources.toml {QUICK} --set steps=2",
        "adapt pubmedqa --source hospital/PubMedQA --base tiny --shots 4 --max-length 128 --set steps=2",
        f"{EVALUATE} pubmedqa-gradient",
        f"train nli --source hospital/MedNLI {QUICK} --set steps=3",
        f"{EVALUATE} pubmedqa-gradient",
        "list trained --json",
        "show pubmedqa-gradient --json",
        f"train --records mine.csv --name mine {QUICK} --set steps=1",
        "adapt --records mine.csv --skills nli,es --name soon --base tiny --shots 4 --max-length 128 --router single",
        "evaluate --records mine.csv --with base --with skill:nli --base tiny --max-length 128 --limit 4 --json",
        "predict mine.csv --with base --base tiny --json",
        "skills export mine mine-peft --base tiny",
        "skills import mine-peft --name borrowed --licence CC0 --base tiny",
        "export pubmedqa-gradient out --to lora --base tiny",
        "remove soon",
        "list compositions --json",
    )
    return person, told


def test_newcomer_is_told_commands_that_exist(environment, tmp_path):
    """By the script that the wheel brings, in a folder where nothing is."""
    done = environment.run("mdkif", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    commands = re.findall(r"^  mdkif (\w+)", done.stdout, re.MULTILINE)
    known = environment.run("mdkif", "--help", cwd=tmp_path).stdout
    assert "synth" in commands
    assert all(re.search(rf"^  {command} ", known, re.MULTILINE) for command in commands)
    assert list(tmp_path.iterdir()) == []


def test_newcomer_loses_nothing_by_training_again(newcomer):
    _, told = newcomer
    before, after = json.loads(told[3]), json.loads(told[5])
    assert before["metrics"] == after["metrics"]
    names = [row["name"] for row in json.loads(told[6])]
    assert sorted(re.sub("@.*", "@", name) for name in names) == ["es", "nli", "nli@"]
    composition = json.loads(told[7])
    assert composition["adapters"]["nli"] == next(name for name in names if "@" in name).partition("@")[2]
    assert {measured["task"] for measured in composition["results"]} == {"pubmedqa"}


def test_newcomer_hands_over_a_table_of_their_own(newcomer):
    _, told = newcomer
    assert {row["with"] for row in json.loads(told[10])} == {"base", "skill:nli"}
    answered = json.loads(told[11])
    assert len(answered) == 40
    assert {row["answer"] for row in answered} <= {"now", "later"}


def test_newcomer_takes_away_what_is_theirs_and_nothing_else(newcomer):
    person, told = newcomer
    assert [row["name"] for row in json.loads(told[16])] == ["pubmedqa-gradient"]
    assert (person.folder / "out/adapter_model.safetensors").is_file()
    card = json.loads((person.folder / "mdkif-store/skills/tiny/borrowed/skill.json").read_text())
    assert card["imported"]["licence"] == "CC0"
    assert {path.name for path in person.folder.iterdir()} == {
        "hospital",
        "mine.csv",
        "mine-peft",
        "out",
        "mdkif-store",
    }


# The contributor

TAGGED = """
FILES = {"train": "train.tsv", "dev": "devel.tsv", "test": "test.tsv"}
TAG = re.compile(r"(\\S+)\\t(?:O|([BI])-(Chemical|Disease))")


def convert(source: Path, conversion: ConversionReport) -> Iterator[Record]:
    \"\"\"The sentences of BC5CDR-IOB: a token and its tag a line, an empty line between two.\"\"\"
    files = [(split, source / name) for split, name in FILES.items() if (source / name).is_file()]
    if not files:
        raise BadInput(f"There is none of {', '.join(FILES.values())} in {source}: give the folder BC5CDR-IOB.")
    for split, path in files:
        with path.open(encoding="utf-8") as lines:
            numbered = ((number, line.rstrip("\\n")) for number, line in enumerate(lines, 1))
            for blank, rows in groupby(numbered, key=lambda row: not row[1].strip()):
                if not blank:
                    yield from sentence(split, path, list(rows), conversion)


def sentence(split: str, path: Path, rows: list[tuple[int, str]], conversion: ConversionReport) -> Iterator[Record]:
    text, entities = "", []
    for number, row in rows:
        found = TAG.fullmatch(row)
        if found is None:
            conversion.malformed(path, number, "is not a token and a tag")
            return
        token, place, kind = found.groups()
        start = len(text) + bool(text)
        text = f"{text} {token}" if text else token
        if place == "I" and entities and entities[-1][0] == kind.lower():
            entities[-1] = (kind.lower(), entities[-1][1], len(text))
        elif place:
            entities.append((kind.lower(), start, len(text)))
    yield Record(
        id=f"drug-disease/{split}/{rows[0][0]}",
        query=QUERY,
        context=text,
        split=split,
        group=text,
        source=f"{path.name}:{rows[0][0]}",
        **format_entities(text, entities),
    )
"""

SECTIONED = """
FILES = {"train": "MTS-Dialog-TrainingSet.csv", "dev": "MTS-Dialog-ValidationSet.csv", "test": "MTS-Dialog-TestSet.csv"}


def convert(source: Path, conversion: ConversionReport) -> Iterator[Record]:
    \"\"\"The dialogues, each with the header of the section that a doctor wrote from it.\"\"\"
    files = [(split, source / name) for split, name in FILES.items() if (source / name).is_file()]
    if not files:
        raise BadInput(f"There is none of {', '.join(FILES.values())} in {source}: give the folder with the sets.")
    for split, path in files:
        with path.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            for row in reader:
                key, section, dialogue = row.get("ID"), row.get("section_header"), row.get("dialogue")
                if not key or not key.isdigit() or section not in LEVELS or not dialogue or None in row:
                    conversion.malformed(path, reader.line_num, "is not an ID, a known section, a text and a dialogue")
                    continue
                yield Record(
                    id=f"note-sections/{split}/{key}",
                    context=dialogue,
                    split=split,
                    source=f"{path.name}:{reader.line_num}",
                    **format_choices(REQUEST, LEVELS, [section]),
                )
"""

DRUGS, DISEASES = (
    ("Aspirin", "Heparin", "Valproic acid", "Lithium"),
    ("acute renal failure", "rash", "tremor", "asthma"),
)
WORDS = {
    "ALLERGY": ("Is there anything you cannot tolerate?", "Penicillin gives me hives"),
    "MEDICATIONS": ("What do you take each day?", "One tablet for the pressure"),
    "FAM/SOCHX": ("Does anybody at home have it too?", "My father had it"),
}


def write_tagged(folder: Path, sentences: int) -> None:
    """Invented sentences in the layout of BC5CDR-IOB."""
    folder.mkdir(parents=True, exist_ok=True)
    for offset, name in enumerate(("train.tsv", "devel.tsv", "test.tsv")):
        blocks = []
        for i in range(offset * sentences, (offset + 1) * sentences):
            drug, disease = DRUGS[i % 4].split(), DISEASES[i // 4 % 4].split()
            rows = [(word, f"{'BI'[bool(at)]}-Chemical") for at, word in enumerate(drug)]
            rows += [(word, "O") for word in f"caused in case {i} an".split()]
            rows += [(word, f"{'BI'[bool(at)]}-Disease") for at, word in enumerate(disease)]
            rows = [*rows, (".", "O")] if i % 5 else [("Nothing", "O"), ("new", "O"), (f"{i}", "O")]
            blocks.append("".join(f"{token}\t{tag}\n" for token, tag in rows))
        (folder / name).write_text("\n".join(blocks))


def write_dialogues(folder: Path, dialogues: int) -> None:
    """Invented dialogues in the layout of MTS-Dialog."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("MTS-Dialog-TrainingSet.csv", "MTS-Dialog-ValidationSet.csv", "MTS-Dialog-TestSet.csv"):
        rows = ["ID,section_header,section_text,dialogue"]
        for i in range(dialogues):
            section, (asked, answered) = list(WORDS.items())[i % 3]
            rows.append(
                f'{i},{section},"A note, number {i}.","Doctor: {asked}\nPatient: {answered}, since {name[11]}{i}."'
            )
        (folder / name).write_text("\n".join(rows) + "\n")


def edited(module: Path, converter: str, changes: dict[str, str]) -> None:
    """Edit a generated module as a person would: other words, and a converter of one's own in the place of the last."""
    text = module.read_text("utf-8").partition("\n\ndef convert(")[0] + converter
    for old, new in changes.items():
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    module.write_text(text, "utf-8")


@pytest.fixture(scope="module")
def contributor(environment, tmp_path_factory):
    """The contributor's folder: a skill for entities and a task for sections, made by mdkif, edited and installed."""
    person = Person(environment, tmp_path_factory.mktemp("contributor"))
    person.says("new skill drug-disease --category ner", "new task note-sections --category classification")
    skill = person.folder / "mdkif-skill-drug-disease/mdkif_skill_drug_disease"
    changes = {
        "import json\n": "import re\n",
        "from pathlib import Path": "from itertools import groupby\nfrom pathlib import Path",
        '"problem", "drug"': '"chemical", "disease"',
    }
    edited(skill / "__init__.py", TAGGED, changes)
    (skill / "sample/drug-disease/drug-disease.jsonl").unlink()
    write_tagged(skill / "sample/drug-disease", 10)
    task = person.folder / "mdkif-task-note-sections/mdkif_task_note_sections"
    changes = {
        "import json\n": "import csv\n",
        '"now", "today", "later"': '"ALLERGY", "MEDICATIONS", "FAM/SOCHX"',
        "How soon must the patient be seen?": "Which section of the note does the dialogue belong to?",
    }
    edited(task / "__init__.py", SECTIONED, changes)
    (task / "sample/note-sections/note-sections.jsonl").unlink()
    write_dialogues(task / "sample/note-sections", 6)
    write_tagged(person.folder / "BC5CDR-IOB", 40)
    write_dialogues(person.folder / "MTS-Dialog", 30)
    quiet = ("--offline", "--no-build-isolation", "--no-deps", "--cache-dir", person.folder.parent / "uv")
    python = ("--python", environment.folder / "bin/python")
    for each in ("mdkif-skill-drug-disease", "mdkif-task-note-sections"):
        run(UV, "pip", "install", *quiet, *python, "--editable", person.folder / each).check_returncode()
    return person


def test_contributor_keeps_the_tests_of_the_scaffold_through_every_edit(contributor):
    plugins = ("mdkif-skill-drug-disease", "mdkif-task-note-sections")
    pytest_ = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    done = contributor.environment.run(*pytest_, *plugins, cwd=contributor.folder)
    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout


def test_contributor_checks_trains_adapts_and_measures(contributor):
    limits = "--base tiny --max-length 160"
    told = contributor.says(
        "check mdkif-skill-drug-disease --source BC5CDR-IOB",
        "check note-sections --source MTS-Dialog --json",
        "convert drug-disease BC5CDR-IOB -o entities.jsonl --json",
        "preview note-sections MTS-Dialog -n 2 --json",
        f"train drug-disease --source BC5CDR-IOB --trainer lora {limits} --set steps=2 --set batch_size=2",
        f"adapt note-sections --source MTS-Dialog {limits} --shots 4 --router single --json",
        f"evaluate note-sections --source MTS-Dialog {limits} --limit 6 --with base --with note-sections-single --json",
    )
    assert re.search(r"Records read: 240\.\nRules: \d+ kept, 0 broken, 0 not checked\.", told[0])
    assert {row["state"] for row in json.loads(told[1])} == {"kept"}
    assert json.loads(told[2])["splits"] == {"train": 40, "dev": 40, "test": 40}
    records = [json.loads(line) for line in (contributor.folder / "entities.jsonl").read_text().splitlines()]
    assert records[1]["answer"] == "chemical: Heparin\ndisease: acute renal failure"
    assert records[0]["answer"] == "none"
    assert "ALLERGY; MEDICATIONS; FAM/SOCHX" in json.loads(told[3])[0]["query"]
    assert set(json.loads(told[5])["weights"]) == {"drug-disease"}
    assert [row["n"] for row in json.loads(told[6])] == [6, 6]


def test_contributor_is_told_what_a_wrong_edit_breaks(contributor):
    """Offsets that include the end: the commonest mistake with entities."""
    module = contributor.folder / "mdkif-skill-drug-disease/mdkif_skill_drug_disease/__init__.py"
    right = module.read_text("utf-8")
    try:
        module.write_text(right.replace("entities.append((kind.lower(), start, len(text)))",
                                        "entities.append((kind.lower(), start, len(text) - 1))"), "utf-8")  # fmt: skip
        done = contributor.environment.run("mdkif", "check", "drug-disease", "--json", cwd=contributor.folder)
    finally:
        module.write_text(right, "utf-8")
    assert done.returncode == 1
    broken = {row["rule"]: row["remedy"] for row in json.loads(done.stdout) if row["state"] == "broken"}
    assert set(broken) == {"entities begin and end with words"}


@pytest.mark.parametrize("kind", SCAFFOLDED)
def test_contributor_has_a_workflow_that_installs_from_the_checkout(tmp_path, kind):
    """Every folder that it installs is in a checkout, under the name that the plugin depends on."""
    for category in CATEGORIES if kind in READING else [""]:
        folder = tmp_path / f"new-{category}"
        scaffold(kind, "mine", folder, category=category)
        workflow = (folder / ".github/workflows/test.yml").read_text("utf-8")
        place = re.search(r"path: (\S+)", workflow)[1]
        first, second, third = re.findall(r"- run: (.+)", workflow)
        asked = re.search(r"^dependencies = (.+)$", (folder / "pyproject.toml").read_text("utf-8"), re.MULTILINE)[1]
        named = []
        for each in first.removeprefix("pip install ").split():
            project = ROOT / Path(each).relative_to(place) / "pyproject.toml"
            named.append(re.search(r'^name = "(.+)"$', project.read_text("utf-8"), re.MULTILINE)[1])
        assert named == [each for each in json.loads(asked) if each.startswith("mdkif")]
        assert (second, third) == ("pip install -e .[test]", "pytest tests")
