"""What breaks each rule of the kit: a change of one of the sound plugins in the folder `sound`.

A test shows that each is found, with the remedy; the documentation shows them as a table.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mdkif import LowRank
from mdkif.core.adapters.peft_files import WEIGHTS, write_lora
from mdkif.core.conformance.check import rules
from mdkif.core.hashing import file_digest

SOUND = Path(__file__).parent / "sound"
PLUGINS = sorted(path.stem for path in SOUND.glob("*.py"))
METADATA = "Metadata-Version: 2.4\nName: {0}\nVersion: 0.1\nSummary: A case\nRequires-Python: >=3.11\nLicense: CC0\n"


@dataclass(frozen=True)
class Breakage:
    """A change of a sound plugin, the rule it breaks, and a part of the remedy that is told."""

    rule: str
    what: str
    plugin: str
    change: Mapping[str, str]
    remedy: str
    files: Mapping[str, str] = field(default_factory=dict)
    metadata: str = METADATA

    @property
    def of(self) -> str:
        """What the rule is about, as the kit says it."""
        subjects = [subject for subject, names in rules().items() if self.rule in names]
        return next((each for each in subjects if self.plugin in each), subjects[0])


def install(site: Path, name: str, what: str | Breakage) -> str:
    """A sound plugin, or what a breakage makes of it, in a folder of packages as pip leaves it; returns its name."""
    broken = None if isinstance(what, str) else what
    plugin = what if isinstance(what, str) else what.plugin
    text = (SOUND / f"{plugin}.py").read_text(encoding="utf-8")
    for old, new in broken.change.items() if broken else ():
        assert text.count(old) == 1, f"{old!r} is not once in {plugin}.py"
        text = text.replace(old, new)
    package, info = site / name, site / f"{name}-0.1.dist-info"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text, encoding="utf-8")
    if (SOUND / "samples" / plugin).is_dir():
        shutil.copytree(SOUND / "samples" / plugin, package / "sample" / "case")
    if plugin == "pack":
        _trained(package / "skills" / "es")
    for path, content in broken.files.items() if broken else ():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(content, encoding="utf-8")
    info.mkdir()
    dist = name.replace("_", "-")
    (info / "METADATA").write_text((broken.metadata if broken else METADATA).format(dist))
    (info / "entry_points.txt").write_text(f"[mdkif]\ncase = {name}\n")
    return dist


def _trained(folder: Path) -> None:
    """A skill as its training leaves it."""
    folder.mkdir(parents=True)
    write_lora(folder, {"layer": LowRank(torch.ones(2, 3), torch.ones(4, 2))}, "tiny")
    files = {file.name: file_digest(file) for file in sorted(folder.iterdir())}
    card = {"skill": "es", "base": "tiny", "fingerprint": "0123", "files": files}
    (folder / "skill.json").write_text(json.dumps({**card, "adapter": file_digest(folder / WEIGHTS)}))


def _template(text: str) -> dict[str, str]:
    return {"templates/case.jinja": '{% extends "text-classification.jinja" %}' + text}


IMPORTS = "from mdkif import BadInput, "
ROW = "        patient, note, level = cells\n"
RECORD = "        yield Record(id=f"
LISTED = "LEVELS, [level])\n"
OWN_TEMPLATE = {'"text-classification.jinja"': '"case.jinja"'}
SAME = "gives the same records in another process"
STEPPED = '        """Nothing more."""\n'
COMPUTED = '    return {"n": len(predictions), "right": right}'

OF_DISTRIBUTIONS = [
    Breakage(
        "loads",
        "an import of what is not installed",
        "notes",
        {IMPORTS: f"import nothing_there\n{IMPORTS}"},
        "install 'nothing_there'",
    ),
    Breakage(
        "loads",
        'a value that the contract does not know, such as `track="unseen"`',
        "notes",
        {'"unseen data"': '"unseen"'},
        "use one of unseen data, unseen task",
    ),
    Breakage(
        "metadata is complete",
        "no description",
        "command",
        {},
        "lacks 'description': add it under [project]",
        metadata=METADATA.replace("Summary: A case\n", ""),
    ),
    Breakage(
        "declares without heavy imports",
        "`import transformers` at the top",
        "notes",
        {IMPORTS: f"import transformers\n{IMPORTS}"},
        "imports transformers: do so inside the functions",
    ),
    Breakage(
        "declares without heavy imports",
        "`import torch` inside a hook",
        "notes",
        {'"""The task."""': "import torch"},
        "imports torch: do so inside the functions",
    ),
    Breakage(
        "declares in less than a second",
        "a second of work at import",
        "command",
        {"from mdkif import": "__import__('time').sleep(1.05)\nfrom mdkif import"},
        "import what is slow inside",
    ),
    Breakage(
        "prints nothing while it is loaded",
        "`print` at import",
        "notes",
        {IMPORTS: f"print('torch', 'peft')\n{IMPORTS}"},
        "take the print away",
    ),
    Breakage(
        "is checked to the end",
        "a module that denies where it came from",
        "notes",
        {"LEVELS = ": "__spec__ = None\nLEVELS = "},
        "catch it, or raise BadInput",
    ),
    Breakage("has a title", "a title of spaces", "notes", {'"How soon"': '"  "'}, "Give it a title"),
    Breakage("its code loads", "a target that is not there", "command", {":command": ":other"}, "cannot be loaded"),
]
OF_DATA_SETS = [
    Breakage(
        "finds its installed files, or says what to install",
        "a path where `InstalledData` is wanted",
        "notes",
        {'"CC0"': '"CC0", installed="pathlib:Path"'},
        "return mdkif.InstalledData",
    ),
    Breakage(
        "finds its installed files, or says what to install",
        "a package that is missing, and another error than `BadInput`",
        "notes",
        {'"CC0"': '"CC0", installed="builtins:missing"'.replace("builtins:missing", "os:getpgid")},
        "TypeError",
    ),
    Breakage("says how its data is got", "no licence", "notes", {'"CC0"': '""'}, "has no licence: state it"),
    Breakage(
        "its code loads, and its options are documented",
        "an option that the declaration lacks",
        "notes",
        {"(source, conversion):": '(source, conversion, *, view="all"):'},
        "The option 'view' is in",
    ),
    Breakage(
        "converts a sample", "no record", "notes", {RECORD: "        if not note: yield Record(id=f"}, "gives no record"
    ),
    Breakage(
        "converts a sample",
        "an error in the converter, such as a `KeyError`",
        "notes",
        {ROW: f"{ROW}        {{}}[note]\n"},
        "mend it there, or tell the row by conversion.malformed",
    ),
    Breakage(
        "converts a sample",
        "a dict in place of a record",
        "notes",
        {"yield Record(": "yield dict("},
        "yield mdkif.Record objects",
    ),
    Breakage(
        "converts a sample",
        "an id that is a number",
        "notes",
        {'id=f"case/{number}"': "id=number"},
        "of the type int: give a text",
    ),
    Breakage(
        "converts a sample",
        "a gold label that is no option",
        "notes",
        {LISTED: "LEVELS[:2], [level])\n"},
        "list every valid label",
    ),
    Breakage(
        "converts a sample",
        "a misspelt split in the last row",
        "notes",
        {"group=patient,": "group=patient, split='trian' * (number == 8),"},
        "is none of train, dev, adapt, test",
    ),
    Breakage(
        "needs no network",
        "a connection, even one whose failure is passed over",
        "notes",
        {
            ROW: f"""{ROW}        with __import__("contextlib").suppress(OSError):
            __import__("socket").create_connection(("192.0.2.1", 9))\n"""
        },
        "connects to 192.0.2.1: name the files",
    ),
    Breakage(SAME, "ids made with `hash()`", "notes", {"case/{number}": "case/{hash(note)}"}, "never of hash()"),
    Breakage(
        SAME,
        "an order that comes out of a set",
        "notes",
        {"in enumerate(lines, 1)": "in set(enumerate(lines, 1))"},
        "sort what comes out of a set",
    ),
    Breakage(
        SAME,
        "what is drawn at random",
        "notes",
        {"context=note,": "context=note + str(__import__('random').random()),"},
        "draw nothing at random",
    ),
    Breakage(
        SAME,
        "what one conversion remembers for the next",
        "notes",
        {
            "LEVELS = ": "SEEN = []\nLEVELS = ",
            ROW: f"{ROW}        if line in SEEN: continue\n        SEEN.append(line)\n",
        },
        "remember nothing between two conversions",
    ),
]
OF_RECORDS = [
    Breakage(
        "record ids are unique",
        "the patient as the id of each note",
        "notes",
        {"case/{number}": "case/{patient}"},
        "The id case/7 comes twice",
    ),
    Breakage(
        "records are complete and traceable",
        "no source",
        "notes",
        {'f"notes.tsv:{number}"': '""'},
        "has an empty source",
    ),
    Breakage(
        "record ids do not hold the text",
        "ids made of the first words",
        "notes",
        {"case/{number}": "case/{number}-{note[:24]}"},
        "make ids of file, line or the data's own",
    ),
    Breakage(
        "spans match their text",
        "spans moved by one",
        "notes",
        {LISTED: "LEVELS, [level]) | {'spans': ((0, 3),)}\n"},
        "offsets count from 0 and are half-open",
    ),
    Breakage(
        "entities begin and end with words",
        "offsets that take in the space before",
        "drugs",
        {'("drug", start,': '("drug", start - 1,'},
        "begins or ends in a space: move its offsets",
    ),
    Breakage(
        "entities begin and end with words",
        "closed offsets taken for half-open ones",
        "drugs",
        {"start + len(drug))": "start + len(drug) - 1)"},
        "offsets are half-open, from 0",
    ),
    Breakage(
        "queries list every option",
        "a query of its own beside the options",
        "notes",
        {LISTED: "LEVELS, [level]) | {'query': 'How soon?', 'spans': ()}\n"},
        "use format_choices",
    ),
    Breakage(
        "no group straddles splits",
        "notes of a patient in two splits",
        "notes",
        {"group=patient,": "group=patient, split='test' if number == 2 else 'train',"},
        "leave the split empty, or",
    ),
    Breakage(
        "takes damaged files for bad input",
        "a row that is taken apart before it is looked at",
        "notes",
        {'        cells = line.split("\\t")\n': '        _, _, _ = cells = line.split("\\t")\n'},
        "tell the row by conversion.malformed",
    ),
    Breakage(
        "never quotes a row that it cannot read",
        "a reason with what the row says",
        "notes",
        {'"is not a patient, a note and a level"': 'f"is {line}"'},
        "name file and line",
    ),
]
OF_SKILLS_AND_TASKS = [
    Breakage(
        "reads data sets that are installed",
        "a data set nobody provides",
        "notes",
        {'Source(dataset="case")': 'Source(dataset="nowhere")'},
        "depend on the one that does",
    ),
    Breakage(
        "reads data sets that are installed",
        "an option the data set does not have",
        "notes",
        {'Source(dataset="case")': 'Source(dataset="case", options={"spam": 1})'},
        "which the data set does not",
    ),
    Breakage(
        "its template is there", "the name of a template that is not there", "notes", OWN_TEMPLATE, "was not found"
    ),
    Breakage(
        "its metric is one of its evaluator's",
        "a metric of another evaluator",
        "notes",
        {'"accuracy"': '"rouge1"'},
        "has no metric 'rouge1': it has accuracy",
    ),
    Breakage(
        "renders a sample, and reads its answers back",
        "a template that changes the answer",
        "notes",
        OWN_TEMPLATE,
        "changes the answer of",
        _template("{% block answer %}{{ answer | upper }}{% endblock %}"),
    ),
    Breakage(
        "renders a sample, and reads its answers back",
        "a template that leaves it out",
        "notes",
        OWN_TEMPLATE,
        "must write {{ answer }} once",
        _template("{% block answer %}now{% endblock %}"),
    ),
    Breakage(
        "renders a sample, and reads its answers back",
        "a variable that is not there",
        "notes",
        OWN_TEMPLATE,
        "'notes' is undefined",
        _template("{% block query %}{{ notes }}{% endblock %}"),
    ),
    Breakage(
        "renders a sample, and reads its answers back",
        "an empty query",
        "notes",
        OWN_TEMPLATE,
        "renders an empty query",
        _template("{% block query %}{% endblock %}"),
    ),
    Breakage(
        "answers are not given away",
        "the label in the text: `Level: now`",
        "notes",
        {"context=note,": 'context=f"{note} Level: {level}",'},
        "take it out of what the model reads",
    ),
    Breakage(
        "answers are not given away",
        "the answer in the question",
        "summaries",
        {'"Summarise the note."': 'f"Summarise the note in these words: {summary}"'},
        "The query holds the answer",
    ),
    Breakage(
        "answers are not given away",
        "a context that is the answer",
        "summaries",
        {", note\n        if": ", summary\n        if"},
        "The context is little more than the answer",
    ),
]
OF_TRAINERS = [
    Breakage(
        "its settings have defaults",
        "a class that is no `TuningMethod`",
        "trainer",
        {"Own(TuningMethod)": "Own"},
        "name a class that inherits from mdkif.TuningMethod",
    ),
    Breakage(
        "makes an adapter that PEFT loads to the same logits",
        "a learning rate of 0",
        "trainer",
        {"    rank: int = 2\n": "    rank: int = 2\n    learning_rate: float = 0.0\n"},
        "the adapter changes nothing",
    ),
    Breakage(
        "leaves the base model as it was",
        "a step that changes the base's norms",
        "trainer",
        {STEPPED: f"{STEPPED}        model.get_base_model().model.norm.weight.data.mul_(1.5)\n"},
        "train nothing but the adapter",
    ),
    Breakage(
        "resumes to the same adapter",
        "a step that depends on what is not kept",
        "trainer",
        {
            STEPPED: f"{STEPPED}        self.count = getattr(self, 'count', 0) + 1\n"
            "        [value.data.add_(self.count) "
            "for name, value in model.named_parameters() if 'lora_B' in name]\n"
        },
        "return from state() all that a step depends on",
    ),
]
OF_ROUTERS = [
    Breakage(
        "its settings have defaults",
        "a class that is no `RouterOptimizer`",
        "router",
        {"Steps(RouterOptimizer)": "Steps"},
        "name a class that inherits from mdkif.RouterOptimizer",
    ),
    Breakage(
        "minimises a known function, and never does worse than its start",
        "the last candidate, not the best",
        "router",
        {"        return found\n": "        return objective.candidate(point[0], value + 1)\n"},
        "return a candidate it evaluated",
    ),
    Breakage(
        "minimises a known function, and never does worse than its start",
        "a search that does not leave its start",
        "router",
        {"0.5 * torch": "0.0 * torch"},
        "search longer or otherwise",
    ),
    Breakage(
        "keeps to its budget of evaluations",
        "an evaluation more than it was told",
        "router",
        {"range(self.evaluations)": "range(self.evaluations + 1)"},
        "stop at the budget",
    ),
    Breakage(
        "is seeded, and leaves others' random numbers alone",
        "numbers from everybody's generator",
        "router",
        {", generator=draw": ""},
        "draw from a generator of your own",
    ),
    Breakage(
        "is seeded, and leaves others' random numbers alone",
        "a seed for everybody's generator",
        "router",
        {"torch.Generator().manual_seed(seed)": "torch.manual_seed(seed)"},
        "use a generator, or put the state back",
    ),
]
SCORED = "given.prediction(record, scores=tuple(scores))"
OF_BASELINES = [
    Breakage(
        "its settings have defaults",
        "a class that is no `BaselineMethod`",
        "baseline",
        {"Most(BaselineMethod)": "Most"},
        "name a class that inherits from mdkif.BaselineMethod",
    ),
    Breakage(
        "answers every record it takes",
        "one record left out",
        "baseline",
        {"        return found\n": "        return found[1:]\n"},
        "make given.prediction of every record",
    ),
    Breakage(
        "answers every record it takes",
        "predictions that do not say what is right",
        "baseline",
        {SCORED: f"__import__('dataclasses').replace({SCORED}, gold=())"},
        "make them by given.prediction",
    ),
    Breakage(
        "scores every option",
        "a text without scores",
        "baseline",
        {SCORED: "given.prediction(record, text=record.options[0])"},
        "give scores, higher where likelier",
    ),
    Breakage(
        "does not see what is right",
        "a peep at the label",
        "baseline",
        {"[counts[option] +": "[(option in record.labels) +"},
        "look at answer and labels of examples alone",
    ),
    Breakage(
        "draws by its seed, and leaves others' random numbers alone",
        "numbers from everybody's generator",
        "baseline",
        {"self.noise * draw.random()": "self.noise * random.random()"},
        "draw from a generator of your own",
    ),
    Breakage(
        "draws by its seed, and leaves others' random numbers alone",
        "a seed for everybody's generator",
        "baseline",
        {
            "random.Random(given.seed)": "random",
            "        found = []\n": "        found = random.seed(given.seed) or []\n",
        },
        "use a generator, or put the state back",
    ),
]
OF_EVALUATORS = [
    Breakage(
        "its metrics are finite, and shares where more is better",
        "a metric that is not a number",
        "evaluator",
        {COMPUTED: '    return {"n": len(predictions), "right": float("nan")}'},
        "leave out a metric where it is",
    ),
    Breakage(
        "its metrics are finite, and shares where more is better",
        "a percentage",
        "evaluator",
        {COMPUTED: '    return {"n": len(predictions), "right": 100 * right + 7}'},
        "give a share between 0 and 1",
    ),
    Breakage(
        "it declares what it computes",
        "a metric it does not declare",
        "evaluator",
        {COMPUTED: '    return {"n": len(predictions), "right": right, "wrong": 1 - right}'},
        "add it to its metrics",
    ),
    Breakage(
        "it counts the predictions", "no `n`", "evaluator", {COMPUTED: '    return {"right": right}'}, "add it as 'n'"
    ),
    Breakage(
        "its metrics do not depend on the order",
        "a metric of the first prediction",
        "evaluator",
        {"predictions) / len(predictions)": "predictions) * int(predictions[0].id) / 1e6"},
        "in any order",
    ),
    Breakage(
        "no predictions have no metrics",
        "a metric of nothing",
        "evaluator",
        {'return {"n": 0}': 'return {"n": 0, "right": 0.0}'},
        'it must return {"n": 0}',
    ),
]
OF_PACKS = [
    Breakage(
        "its skills are there",
        "a package that does not exist",
        "pack",
        {"package=__name__": 'package="nothing_there"'},
        "has no folder 'skills'",
    ),
    Breakage(
        "its skills are what their training left",
        "a configuration that was changed by hand",
        "pack",
        {},
        "is not what its training left, by its SHA-256",
        files={"skills/es/adapter_config.json": '{"peft_type": "LORA", "lora_alpha": 99, "r": 2}'},
    ),
    Breakage(
        "its skills are of its base",
        "the name of another base model",
        "pack",
        {'base="tiny"': 'base="other"'},
        "was trained on 'tiny', not on 'other'",
    ),
    Breakage(
        "its skills are low-rank adapters with finite numbers",
        "an adapter of another kind",
        "pack",
        {},
        "put in low-rank adapters alone",
        files={"skills/es/adapter_config.json": '{"peft_type": "IA3"}'},
    ),
    Breakage(
        "nothing lies beside its skills",
        "notes of whoever trained it",
        "pack",
        {},
        "beside its adapter and card: take it away",
        files={"skills/es/notes.txt": "x"},
    ),
]
BREAKAGES = [
    *OF_DISTRIBUTIONS,
    *OF_DATA_SETS,
    *OF_RECORDS,
    *OF_SKILLS_AND_TASKS,
    *OF_TRAINERS,
    *OF_ROUTERS,
    *OF_BASELINES,
    *OF_EVALUATORS,
    *OF_PACKS,
]
