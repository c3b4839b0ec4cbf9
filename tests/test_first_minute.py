"""The first minute at the command line: what a newcomer sees, mistypes and has completed, and how tables read."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from mdkif.cli import main
from mdkif.core.console.app import run


@pytest.fixture
def store(tmp_path):
    """A store that holds one composition, of a skill that nobody has trained here."""
    file = tmp_path / "store" / "compositions" / "tiny" / "by-hand.json"
    file.parent.mkdir(parents=True)
    made = {"name": "by-hand", "base": "tiny", "fingerprint": "0", "weights": {"qa": 1.0}, "adapters": {"qa": "1"}}
    file.write_text(json.dumps(made))
    return tmp_path / "store"


@pytest.fixture(autouse=True)
def _environment(monkeypatch, store):
    monkeypatch.setenv("MDKIF_STORE", str(store))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def mdkif(capsys):
    """A function that runs one command line; it returns exit code, stdout and stderr."""

    def call(*arguments):
        code = run(main, list(arguments))
        return code, *capsys.readouterr()

    return call


# What a newcomer sees


def test_console_without_arguments_the_first_commands_fit_a_screen(mdkif):
    code, out, err = mdkif()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    commands = re.findall(r"^  (mdkif .+?)  +\S", out, re.MULTILINE)
    assert commands[:3] == ["mdkif demo", "mdkif list skills", "mdkif synth hospital"]
    context = click.Context(main)
    for command in commands:
        assert command.split()[1] == "--help" or main.get_command(context, command.split()[1]), command
    assert mdkif("--store", "elsewhere") == (0, out, "")


def test_console_first_screen_names_no_command_that_is_not_installed(mdkif, monkeypatch):
    """A newcomer who follows it must not be told "not installed" by the first command."""
    monkeypatch.setenv("MDKIF_PLUGINS", "mdkif-synthetic")
    code, out, _ = mdkif()
    assert code == 0
    assert "mdkif synth hospital" in out
    assert "demo" not in out
    assert "demo" not in mdkif("--help")[1]


@pytest.mark.parametrize("dist", ["mdkif-demo", "mdkif-synthetic", "mdkif-bench"])
def test_console_command_that_is_known_and_not_installed_is_told_its_distribution(mdkif, monkeypatch, dist):
    monkeypatch.setenv("MDKIF_PLUGINS", "")
    name = dist.removeprefix("mdkif-").replace("synthetic", "synth")
    expected = f"Error: The command '{name}' is not installed: pip install {dist}.\n"
    assert mdkif(name) == (2, "", expected)


WHEN = """
import os, signal, sys
def interrupt():
    os.kill(os.getpid(), signal.{1})
class Interrupting:
    def find_spec(name, path=None, target=None):
        if name == {0!r}:
            interrupt()
sys.meta_path.insert(0, Interrupting)
if {0!r} == "the end":
    import atexit
    atexit.register(interrupt)
sys.argv = ["mdkif", "list"]
from mdkif.__main__ import entry
entry()
"""


HEEDING = """
import signal  # a job in the background ignores one, and nohup another
signal.signal(signal.{0}, signal.default_int_handler if "{0}" == "SIGINT" else signal.SIG_DFL)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("mdkif.cli", ""),
        ("click", ""),
        ("mdkif.core.toolkit", ""),
        ("pluggy", ""),
        ("mdkif_skill_nli", "\nError: Interrupted: what was finished is kept; run the same command again to go on.\n"),
        ("the end", ""),
    ],
)
def test_console_interruption_is_quiet_at_any_moment(when, told, name):
    """From the first import of the program to its last word, whatever Python is doing."""
    code = HEEDING.format(name) + WHEN.format(when, name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == told
    assert done.returncode == (1 if told else -signal.Signals[name])


def test_console_ctrl_c_is_heeded_before_anything_else_is_imported():
    """Until then Python answers it with a traceback; what it imports before this program begins is its own."""
    code = "import sys; before = {*sys.modules}; import mdkif.__main__; print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"mdkif", "mdkif.__main__"} <= set(done.stdout.split())
    signals = {"signal", "enum", "types", "functools", "collections", "operator", "keyword", "reprlib"}
    assert {name for name in done.stdout.split() if name[0] != "_"} <= {"mdkif", "mdkif.__main__", *signals}


def test_console_ctrl_c_stays_ignored_where_it_was():
    """As under nohup, or in the background of a script."""
    for when, name in (("click", "SIGINT"), ("mdkif_skill_nli", "SIGHUP"), ("the end", "SIGINT")):
        code = f"import signal; signal.signal(signal.{name}, signal.SIG_IGN)\n" + WHEN.format(when, name)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "nli" in done.stdout


def test_help_names_every_command(mdkif):
    code, out, err = mdkif("--help")
    assert (code, err) == (0, "")
    assert "Turn a frozen general LLM into a medical one" in out
    for name in ("adapt", "completion", "convert", "demo", "evaluate", "synth", "train"):
        assert f"\n  {name} " in out
    code, out, err = mdkif("models")
    assert (code, err) == (0, "")
    assert "pull" in out


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("lst", "list"), ("tran", "train"), ("evalute", "evaluate"), ("docter", "doctor"), ("synht", "synth")],
)
def test_console_mistyped_command_is_told_the_nearest(mdkif, typed, nearest):
    assert mdkif(typed) == (2, "", f"Error: There is no command named '{typed}': did you mean '{nearest}'?\n")


def test_help_says_what_every_command_and_option_is():
    context = click.Context(main)
    silent = []
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(70).strip("."), name
        assert not command.get_short_help_str(70).endswith("..."), name
        silent += [f"{name} {p.opts[0]}" for p in command.params if isinstance(p, click.Option) and not p.help]
    assert silent == []


def test_help_fits_eighty_columns(mdkif):
    for arguments in ([], ["adapt"], ["train"], ["evaluate"], ["predict"], ["export"], ["convert"]):
        code, out, _ = mdkif(*arguments, "--help")
        assert code == 0
        assert max(map(len, out.splitlines())) <= 80


# What libraries say

NOISY = """
import logging, sys, warnings
import click
from mdkif import Command, hookimpl

@hookimpl
def mdkif_commands():
    return [Command(name="noisy", title="Noise", target="throwaway_noisy:noisy")]

@click.command()
def noisy():
    warnings.warn("is deprecated", FutureWarning)
    logging.getLogger("plain").warning("advice: use DeepSpeed")
    own = logging.getLogger("deepspeed")
    own.addHandler(logging.StreamHandler(sys.stderr))
    own.setLevel(logging.INFO)
    own.info("advice: set the accelerator")
    own.error("what went wrong")
    click.echo("done")
"""


@pytest.fixture
def noisy(tmp_path):
    """A function that runs a command whose libraries talk, in a process of its own: stdout and lines of stderr."""
    (tmp_path / "throwaway_noisy.py").write_text(NOISY)
    info = tmp_path / "mdkif_noisy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: mdkif-noisy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mdkif]\nnoisy = throwaway_noisy\n")

    def call(*arguments, **variables):
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "MDKIF_PLUGINS": "mdkif-noisy"} | variables
        line = [sys.executable, "-m", "mdkif", *arguments, "noisy"]
        done = subprocess.run(line, capture_output=True, text=True, env=environment, check=True, cwd=tmp_path)
        assert done.stdout == "done\n"
        return done.stderr

    return call


def test_console_advice_and_deprecations_of_libraries_do_not_reach_the_user_and_errors_do(noisy):
    assert noisy() == "what went wrong\n"


def test_console_who_asks_python_for_warnings_gets_them(noisy):
    assert "FutureWarning: is deprecated" in noisy(PYTHONWARNINGS="default")


def test_console_debug_shows_what_libraries_say(noisy):
    told = noisy("--debug")
    for said in ("is deprecated", "use DeepSpeed", "set the accelerator", "what went wrong"):
        assert said in told


# Tables


VIEWS = (
    ["list"],
    ["list", "--available"],
    ["list", "skills"],
    ["list", "tasks"],
    ["plugins"],
    ["show", "nli"],
    ["show", "cma-es"],
    ["doctor"],
)


@pytest.mark.parametrize("view", VIEWS, ids=" ".join)
def test_console_tables_and_cards_fit_the_terminal(mdkif, monkeypatch, view):
    """At 80 columns, with colour and without, and in a pipe: nothing is cut and nothing is coloured there."""
    seen = set()
    for variables in ({}, {"NO_COLOR": "1"}, {"TERM": "dumb"}):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            _, out, _ = mdkif(*view)
        assert max(map(len, out.splitlines())) <= 80
        assert "\x1b" not in out
        seen.add(re.sub(r"\d+\.\d\d", "", out))  # the seconds of `plugins`
    assert len(seen) == 1


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_console_names_are_whole_at_any_width(mdkif, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    rows, out = json.loads(mdkif("list", "--json")[1]), mdkif("list")[1]
    assert "…" not in out
    for row in rows:
        assert re.search(rf"^{row['kind']} +{row['name']} ", out, re.MULTILINE), row["name"]
    words = " ".join(out.split())
    assert all(word in words for row in rows for word in row["title"].split())


@pytest.mark.parametrize("view", VIEWS, ids=" ".join)
def test_console_pipe_gets_every_row_on_one_line_and_no_colour(store, view):
    """A real pipe, whose width nobody told: what grep and awk read must not be broken where a terminal would."""
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    script = Path(sys.executable).with_name("mdkif")
    done = subprocess.run([script, *view], capture_output=True, text=True, env=environment, check=False)
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    asked = subprocess.run([script, *view, "--json"], capture_output=True, text=True, env=environment, check=False)
    rows = json.loads(asked.stdout)
    if isinstance(rows, dict):  # a card: every value that is a line of text is on one line
        wanted = [value for value in rows.values() if isinstance(value, str) and "\n" not in value and value]
        assert wanted
        assert all(any(line.endswith(value) for line in lines) for value in wanted)
    else:
        assert len(lines) == len(rows) + 1
        if view[0] == "list":
            assert all(row["title"] in line for row, line in zip(rows, lines[1:], strict=True))


def test_console_pipe_gets_a_plugins_failure_on_one_line(tmp_path, monkeypatch):
    info = tmp_path / "mdkif_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: mdkif-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mdkif]\nbroken = no_such_module_at_all\n")
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    environment |= {"PYTHONPATH": str(tmp_path), "MDKIF_PLUGINS": "mdkif-broken"}
    script = Path(sys.executable).with_name("mdkif")
    done = subprocess.run([script, "plugins"], capture_output=True, text=True, env=environment, check=True)
    _, row = done.stdout.splitlines()
    assert re.search(r"^mdkif-broken .*FAILED: ModuleNotFoundError.*Remedy: .*mdkif uninstall mdkif-broken", row)


# Completion


@pytest.fixture
def completed(store):
    """A function that asks as bash does what could be typed next."""

    def completed(line, shell="bash", **variables):
        words = line.split(" ")
        environment = os.environ | {"_MDKIF_COMPLETE": f"{shell}_complete", "COMP_WORDS": line} | variables
        environment["COMP_CWORD"] = words[-1] if shell == "fish" else str(len(words) - 1)
        script = Path(sys.executable).with_name("mdkif")
        done = subprocess.run([script], capture_output=True, text=True, env=environment, check=False)
        assert done.stderr == ""
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    return completed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mdkif eva", ["evaluate"]),
        ("mdkif syn", ["synth"]),
        ("mdkif list ski", ["skills"]),
        ("mdkif show nl", ["nli"]),
        ("mdkif show adal", ["adalora"]),
        ("mdkif convert medq", ["medqa", "medquad"]),
        ("mdkif preview pubmedq", ["pubmedqa"]),
        ("mdkif train nli m", ["mc", "mcqa", "mldc", "mrc"]),
        ("mdkif train --trainer l", ["lora"]),
        ("mdkif train --train", ["--trainer"]),
        ("mdkif adapt icd", ["icd-coding", "icd10-chapter"]),
        ("mdkif adapt icd-coding --router cma", ["cma-es"]),
        ("mdkif adapt icd-coding --skills nli,q", ["nli,qa"]),
        ("mdkif evaluate pubmedqa --with skill:n", ["skill:ner", "skill:nli"]),
        ("mdkif evaluate pubmedqa --with by", ["by-hand"]),
        ("mdkif evaluate pubmedqa --with baseline:maj", ["baseline:majority"]),
        ("mdkif predict --with by", ["by-hand"]),
        ("mdkif export b", ["by-hand"]),
        ("mdkif compose mine --skill n", ["ner=", "nli="]),
        ("mdkif models pull smo", ["smollm2"]),
        ("mdkif completion z", ["zsh"]),
        ("mdkif show no-such-thing", []),
    ],
)
def test_completion_answers_the_shell(completed, line, expected):
    assert completed(line) == expected


def test_completion_tells_other_shells_what_each_name_is(completed):
    [found] = completed("mdkif show icd-", "fish")
    assert found == "icd-coding\tICD coding of discharge summaries"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_calls_back(mdkif, shell):
    code, out, _ = mdkif("completion", shell)
    assert code == 0
    assert f"_MDKIF_COMPLETE={shell}_complete" in out
    assert mdkif("completion", "tcsh")[0] == 2


def test_completion_script_is_taken_by_bash(mdkif, tmp_path):
    (tmp_path / "script").write_text(mdkif("completion", "bash")[1])
    line = f"source {tmp_path}/script && complete -p mdkif"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("complete ")
