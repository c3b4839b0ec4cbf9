"""Every wrong input is one sentence on stderr with the thing, the place and the remedy; nothing made before is lost."""

import contextlib
import errno
import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.training import loop as training

SECRET = "Zebrafish Pneumonoultra 1948"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, mednli):
    """A store with the skill nli and the composition `half` on the base tiny."""
    store = tmp_path_factory.mktemp("bad") / "store"
    train = ["train", "nli", "--source", str(mednli), "--trainer", "lora", "--set", "steps=2", "--set", "batch-size=2"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert run(main, ["--store", str(store), *train, "--base", "tiny"]) == 0
        assert run(main, ["--store", str(store), "compose", "half", "--skill", "nli=0.5", "--base", "tiny"]) == 0
    return store


@pytest.fixture
def store(trained, tmp_path, monkeypatch, mednli, pubmedqa):
    """A copy of that store, in a folder with links to the data sets, which is also the working directory."""
    shutil.copytree(trained, tmp_path / "store")
    monkeypatch.setenv("MDKIF_STORE", "store")
    monkeypatch.setenv("MDKIF_BASE", "tiny")
    (tmp_path / "nli").symlink_to(mednli)
    (tmp_path / "pub").symlink_to(pubmedqa)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("mine")
    (tmp_path / "nothing.txt").write_text("\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    (tmp_path / "cut.jsonl").write_text(json.dumps({"id": "1", "query": "q", "answer": "a"}) + '\n{"id": "' + SECRET)
    (tmp_path / "rows").mkdir()
    rows = (mednli / "mli_train_v1.jsonl").read_text() + json.dumps({"sentence1": SECRET}) + "\n"
    (tmp_path / "rows" / "mli_train_v1.jsonl").write_text(rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store"


@pytest.fixture
def refused(capsys):
    """A function that runs one command line that must fail, and returns its sentence."""

    def call(*arguments, code=2):
        assert run(main, list(arguments)) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        sentence = err.splitlines()[-1]
        assert sentence.startswith("Error: ")
        assert SECRET not in err
        return sentence

    return call


def contents(folder):
    """A hash of every file under a folder, without what stage II measured, which stays for the next try."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "cache" not in path.parts]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


TRAIN = "train nli --source nli"
ADAPT = "adapt pubmedqa --source pub"
EVALUATE = "evaluate pubmedqa --source pub --with base"
WRONG = [
    # command lines
    ("frobnicate", ["no command named 'frobnicate'", "train"]),
    ("trian nli", ["no command named 'trian'", "did you mean 'train'?"]),
    ("models push", ["'push'", "mdkif models --help"]),
    ("--stor x list", ["--stor", "--store"]),
    ("list skils", ["no kind named 'skils'", "did you mean 'skills'?"]),
    ("convert pubmedqa pub", ["Missing option '-o'", "mdkif convert --help"]),
    ("preview pubmedqa pub -n 0", ["'-n'", "x>=1"]),
    # names
    ("show nlii", ["'nlii'", "did you mean 'nli'?"]),
    ("preview pubmdqa pub", ["no skill or task named 'pubmdqa'", "did you mean 'pubmedqa'?"]),
    ("train nil --source nli", ["no skill named 'nil'", "did you mean 'nli'?"]),
    ("train pubmedqa --source pub", ["no skill named 'pubmedqa'"]),
    ("adapt nli --source nli", ["no task named 'nli'"]),
    ("convert pubmdqa pub -o x.jsonl", ["no dataset named 'pubmdqa'", "did you mean 'pubmedqa'?"]),
    ("models pull tinny", ["no model named 'tinny'", "did you mean 'tiny'?"]),
    (f"{TRAIN} --trainer adalra", ["no trainer named 'adalra'", "did you mean 'adalora'?"]),
    (f"{ADAPT} --router cmaes", ["no router named 'cmaes'", "did you mean 'cma-es'?"]),
    (f"{ADAPT} --skills nli,nil", ["no trained skill named 'nil'", "did you mean 'nli'?", "mdkif train nil --base"]),
    (f"{ADAPT} --objective acuracy", ["'acuracy'", "cross-entropy", "accuracy"]),
    (f"{EVALUATE} --with hlaf", ["no composition named 'hlaf'", "did you mean 'half'?"]),
    ("export hlaf out --to lora", ["no composition named 'hlaf'", "did you mean 'half'?"]),
    (f"{TRAIN} --base tinyy", ["no base model 'tinyy'", "tiny", "Hugging Face"]),
    (f"{TRAIN} --device abacus", ["no device 'abacus'", "cpu"]),
    (f"{TRAIN} --dtype float33", ["no dtype 'float33'", "float32"]),
    ("export half out --to ggfu", ["'ggfu'", "lora, merged, gguf"]),
    ("export half out --to gguf --quantize q4_k", ["'q4_k'", "q8_0"]),
    ("export half out --to lora --quantize q8_0", ["lora is not quantized", "--to gguf"]),
    # sources
    ("convert pubmedqa nowhere -o x.jsonl", ["does not exist at nowhere", "https://github.com/pubmedqa"]),
    ("convert pubmedqa empty -o x.jsonl", ["ori_pqal.json", "empty", "give the repository's folder"]),
    ("convert mednli empty -o x.jsonl", ["mli_train_v1.jsonl", "empty", "PhysioNet folder"]),
    ("convert mednli rows -o x.jsonl", ["rows/mli_train_v1.jsonl:25", "--skip-bad"]),
    ("train nli --source rows", ["rows/mli_train_v1.jsonl:25", "--skip-bad"]),
    ("convert pubmedqa pub -o x.csv", ["x.csv", ".jsonl or .parquet"]),
    ("convert pubmedqa pub -o x.jsonl --data subst=l", ["no option 'subst'", "subset"]),
    ("convert pubmedqa pub -o x.jsonl --data subset=all", ["'all'", "labeled, artificial"]),
    ("train nli", ["'nli' needs its data", "--source mednli=PATH"]),
    ("train nli --source medqa=pub", ["'nli' does not read 'medqa'", "it reads mednli"]),
    ("train nli qa --source mednli=nli", ["'qa' needs its data", "--source pubmedqa=PATH"]),
    ("train nli qa --source mednli=nli --source pubmd=pub", ["does not read 'pubmd'"]),
    ("train nli --source nli/mli_test_v1.jsonl", ["no training records"]),
    (f"{ADAPT} --split test", ["cannot be adapted on the test split"]),
    # values
    (f"{TRAIN} --set stps=3", ["no setting named 'stps'", "did you mean 'steps'?"]),
    (f"{TRAIN} --set steps=many", ["steps", "'many'", "a whole number"]),
    (f"{TRAIN} --set steps=-1", ["steps", "'-1'", "from 0"]),
    (f"{TRAIN} --set batch-size=0", ["batch_size", "above 0"]),
    (f"{TRAIN} --set learning_rate=nan", ["learning_rate", "'nan'"]),
    (f"{TRAIN} --set steps", ["--set", "'steps'", "name=value"]),
    (f"{TRAIN} --set target_rank=99", ["target_rank is 99", "init_rank"]),
    (f"{ADAPT} --set temperature=0", ["temperature", "above 0"]),
    (f"{ADAPT} --shots 0", ["--shots", "x>=1"]),
    (f"{ADAPT} --name ../x", ["'../x'", "letters, digits and hyphens"]),
    (f"{ADAPT} --shots 2 --router cma-es --scale free --set evaluations=1", ["evaluations is 1", "for one population"]),
    (f"{ADAPT} --shots 2 --objective accuracy --router gradient", ["'accuracy' has no gradient", "--router cma-es"]),
    ("compose x --skill nli=lots", ["weight of 'nli'", "'lots'", "--skill nli=0.5"]),
    ("compose x --skill nli=nan", ["weight of 'nli'", "'nan'"]),
    ("compose x --skill nli", ["--skill", "'nli'", "name=value"]),
    ("compose base --skill nli=1", ["cannot be named 'base'"]),
    ("export half full --to lora", ["full is not empty", "a new one"]),
    ("export base out --to lora", ["nothing to export", "skill:NAME"]),
    # queries
    ("predict nowhere.txt --with base", ["nowhere.txt", "does not exist"]),
    ("predict empty --with base", ["empty", "is a directory"]),
    ("predict nothing.txt --with base", ["nothing to answer in nothing.txt"]),
    ("predict binary.txt --with base", ["binary.txt is not text in UTF-8"]),
    ("predict cut.jsonl --with base", ["cut.jsonl:2", "mdkif convert"]),
    ("predict cut.parquet --with base", ["cut.parquet"]),
]


@pytest.mark.parametrize(("line", "expected"), WRONG, ids=[line for line, _ in WRONG])
def test_bad_input_is_a_sentence_with_place_and_remedy(line, expected, store, refused):
    before = contents(store.parent)
    sentence = refused(*line.split())
    for part in expected:
        assert part in sentence
    after = contents(store.parent)
    assert after == before


def test_bad_input_usage_errors_take_one_line(store, capsys):
    assert run(main, ["adapt"]) == 2
    assert capsys.readouterr().err == (
        "Error: Name the task ('mdkif list tasks'), or give records of your own with --records FILE.\n"
    )


def test_bad_input_missing_base_is_named(store, refused, monkeypatch):
    monkeypatch.delenv("MDKIF_BASE")
    assert "Missing option '--base'" in refused(*TRAIN.split())


def test_bad_input_malformed_rows_are_counted_and_skipped(store, capsys):
    assert run(main, ["convert", "mednli", "rows", "-o", "x.jsonl", "--skip-bad", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["records"] == 24
    assert [count for reason, count in report["left_out"].items() if "malformed" in reason] == [1]
    assert run(main, ["train", "nli", "--source", "rows", "--trainer", "lora", "--set", "steps=1", "--skip-bad"]) == 0


def test_bad_input_base_folder_without_a_model_is_named(store, refused):
    sentence = refused(*TRAIN.split(), "--base", "./empty", code=1)
    assert "'./empty' cannot be loaded" in sentence
    assert "check the folder" in sentence


def test_bad_input_skill_of_another_base_is_refused_by_name(store, refused):
    config = store / "models" / "tiny" / "config.json"
    weights = next((store / "models" / "tiny").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x00\x00")
    assert config.exists()
    sentence = refused(*EVALUATE.split(), "--with", "skill:nli")
    assert "The skill 'nli' was trained on 'tiny'" in sentence
    assert "train it on this base" in sentence
    assert "'half' belongs to 'tiny'" in refused("export", "half", "out", "--to", "lora")


def test_bad_input_composition_outlives_the_training_of_a_newer_version_unless_that_replaces(store, refused, capsys):
    assert run(main, [*TRAIN.split(), "--trainer", "lora", "--set", "steps=1", "--seed", "5"]) == 0
    assert "The older version is kept; 'mdkif remove skill:nli@" in capsys.readouterr().err
    assert run(main, [*EVALUATE.split(), "--with", "half"]) == 0
    older, newest = sorted((store / "skills" / "tiny").iterdir(), key=lambda path: "@" not in path.name)
    assert (older.name.partition("@")[0], newest.name) == ("nli", "nli")
    capsys.readouterr()
    assert "is a part of half" in refused("remove", f"skill:{older.name}")
    assert run(main, ["remove", "skill:nli"]) == 2
    assert run(main, ["compose", "half", "--skill", "nli=0.5", "--base", "tiny", "--replace"]) == 0
    assert run(main, ["remove", f"skill:{older.name}"]) == 0
    assert [path.name for path in (store / "skills" / "tiny").iterdir()] == ["nli"]


def test_train_with_replace_takes_the_older_version_away(store, refused, capsys):
    assert run(main, [*TRAIN.split(), "--trainer", "lora", "--set", "steps=1", "--seed", "5", "--replace"]) == 0
    assert [path.name for path in (store / "skills" / "tiny").iterdir()] == ["nli"]
    capsys.readouterr()
    sentence = refused(*EVALUATE.split(), "--with", "half")
    assert "'half' was made with 'nli@" in sentence
    assert "which is gone: adapt or compose it again" in sentence


def test_bad_input_damaged_adapter_is_named(store, refused):
    weights = store / "skills" / "tiny" / "nli" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    sentence = refused(*EVALUATE.split(), "--with", "skill:nli")
    assert str(weights.relative_to(store.parent)) in sentence
    assert "train the skill again" in sentence


def test_bad_input_damaged_card_is_named(store, refused):
    (store / "skills" / "tiny" / "nli" / "skill.json").write_text("{\n  oops")
    assert "skill.json:2 is not a readable skill card" in refused(*EVALUATE.split(), "--with", "skill:nli")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% extends 'text-classification.jinja' %}\n{% block query %}\n{{ qeury }}{% endblock %}", [":3", "'qeury'"]),
        ("{% extends 'text-classification.jinja' %}\n{% block query %}", [":2"]),
        ("{% extends 'text-clasification.jinja' %}", [":1", "'text-clasification.jinja'", "was not found"]),
        (
            "{% extends 'text-classification.jinja' %}\n{% block query %}{{ query + 1 }}{% endblock %}",
            [":2", "TypeError"],
        ),
    ],
)
def test_bad_input_broken_template_of_the_user_is_placed(store, refused, text, expected):
    (store / "templates").mkdir()
    (store / "templates" / "nli.jinja").write_text(text)
    for command in (["preview", "nli", "nli"], TRAIN.split()):
        sentence = refused(*command)
        assert "store/templates/nli.jinja:" in sentence
        for part in expected:
            assert part in sentence


# The disk


@pytest.mark.parametrize("line", [f"{TRAIN} --trainer lora --set steps=1", "compose half --skill nli=1"])
def test_bad_input_full_disk_loses_nothing(line, store, refused, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    before = contents(store)
    monkeypatch.setattr(Path, "replace", full)
    sentence = refused(*line.split(), code=1)
    assert "could not be written (No space left on device)" in sentence
    assert "free space" in sentence
    assert contents(store) == before


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
from mdkif.cli import main
from mdkif.core.console.app import run
codes = [run(main, line.split()) for line in sys.argv[1:]]
sys.exit(codes != [1] * len(codes))
"""


def test_bad_input_every_writer_reports_a_refused_write(store):
    """The operating system itself refuses: Python, PyArrow and safetensors each report it their own way."""
    pytest.importorskip("resource")
    before = contents(store.parent)
    lines = [
        "convert mednli nli -o x.jsonl",
        "convert mednli nli -o x.parquet",
        f"{TRAIN} --trainer lora --set steps=1",
        "export half out --to lora",
        "export half out --to merged",
    ]
    # -B, or the limit would leave truncated compiled modules behind
    done = subprocess.run([sys.executable, "-B", "-c", LIMITED, *lines], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert len(errors) == len(lines)
    assert all("could not be written" in error and "free space" in error for error in errors)
    assert "Traceback" not in done.stderr
    assert contents(store.parent) == before


def test_bad_input_store_that_cannot_be_written_is_named(store, refused):
    sentence = refused("--store", "nothing.txt", "models", "pull", "tiny", code=1)
    assert "nothing.txt/models/tiny could not be written" in sentence
    assert Path("nothing.txt").read_text() == "\n"


# Interruptions and what nobody foresaw


def test_train_interrupted_goes_on_from_its_checkpoint(store, capsys, monkeypatch):
    settings = "--set steps=6 --set batch-size=2 --set checkpoint-every=2"
    arguments = f"{TRAIN} --trainer lora {settings}".split()
    assert run(main, ["--store", "straight", *arguments]) == 0
    straight = Path("straight/skills/tiny/nli/adapter_model.safetensors").read_bytes()
    write = training.save_checkpoint

    def interrupt(*given):
        write(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_checkpoint", interrupt)
    before = contents(store / "skills")
    capsys.readouterr()
    assert run(main, arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("Error: Interrupted: ")
    assert "Traceback" not in err
    assert contents(store / "skills") == before
    assert len(list(store.glob("runs/*/checkpoint.safetensors"))) == 1
    monkeypatch.setattr(training, "save_checkpoint", write)
    assert run(main, arguments) == 0
    assert "resuming at step 2 of 6" in capsys.readouterr().err
    assert (store / "skills" / "tiny" / "nli" / "adapter_model.safetensors").read_bytes() == straight
    assert not list(store.glob("runs/*"))


def test_bad_input_nobody_foresaw_has_no_traceback_unless_asked(store, refused, monkeypatch):
    def fail(*_):
        raise KeyError(SECRET)

    monkeypatch.setattr("mdkif.core.toolkit.Toolkit.show", fail)
    sentence = refused("show", "nli", code=1)
    assert sentence == "Error: An unexpected KeyError stopped the work: run 'mdkif --debug …' to see where."
    with pytest.raises(AssertionError, match="Traceback"):
        refused("--debug", "show", "nli", code=1)
