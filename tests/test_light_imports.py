"""What only lists and shows starts at once: it imports none of the libraries that models need."""

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "datasets",
    "numpy",
    "pyarrow",
    "safetensors",
    "tokenizers",
    "cma",
    "asyncio",
    "tensorboardX",
)

# The part of the public API that works on tensors
TENSORS = {
    "Batch",
    "PeftTunable",
    "Residual",
    "ShotsLoss",
    "SkillBank",
    "Surrogate",
    "Tunable",
    "WeightParameterization",
    "answer_loss",
    "collate",
    "fitted",
    "generate",
    "held_out",
    "option_scores",
    "routed",
    "shots_loss",
    "train",
}

WATCH = f"""
import sys
def report():
    print("HEAVY", sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
import atexit
atexit.register(report)
"""


def loaded(code, *arguments):
    """The exit code, and the heavy libraries in sys.modules when the process ends."""
    done = subprocess.run([sys.executable, "-c", WATCH + code, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "line",
    ["--help", "list", "list --available --json", "plugins", "show nli", "show pubmedqa", "show adalora", "show cma-es",
     "train --help", "bench --help", "completion fish", "convert pubmedqa nowhere -o x.jsonl"],
)  # fmt: skip
def test_imports_of_looking_around_are_light(line, tmp_path, monkeypatch):
    monkeypatch.setenv("MDKIF_STORE", str(tmp_path))
    code, heavy = loaded("from mdkif.__main__ import entry\nentry()", *line.split())
    assert code == (2 if "nowhere" in line else 0)
    assert heavy == "HEAVY []"


def test_imports_of_completion_are_light(tmp_path, monkeypatch):
    monkeypatch.setenv("MDKIF_STORE", str(tmp_path))
    for name, value in {"_MDKIF_COMPLETE": "bash_complete", "COMP_WORDS": "mdkif train ", "COMP_CWORD": "2"}.items():
        monkeypatch.setenv(name, value)
    assert loaded("from mdkif.__main__ import entry\nentry()") == (0, "HEAVY []")


ASKED = """
import sys
sys.modules["torch"] = None  # whoever imports it fails
import mdkif
for name in mdkif.__all__:
    try:
        getattr(mdkif, name)
    except ImportError as error:
        assert error.name == "torch", error
        print(name)
"""


def test_imports_public_api_is_light_and_exactly_what_works_on_tensors_asks_for_pytorch():
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == TENSORS
    assert loaded(f"import mdkif\nfor name in set(mdkif.__all__) - {TENSORS}:\n    getattr(mdkif, name)") == (
        0,
        "HEAVY []",
    )


def test_imports_watch_notices():
    assert loaded("import numpy") == (0, "HEAVY ['numpy']")
