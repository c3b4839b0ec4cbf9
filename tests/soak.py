"""Kills the verbs: at every operation on the store in turn, or at random moments, and looks what is left.

`python tests/soak.py --kills 100` is `make soak`. Each verb runs as a process of its own on a copy of a store and is
killed with SIGKILL. Afterwards nothing that was whole may be gone or damaged, the same command has to succeed, and what
it leaves has to be what an undisturbed run leaves. The figures are printed as one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TRAIN = "train nli --source mednli=DATA/MedNLI --trainer lora --set steps=2 --set batch-size=2 --set checkpoint-every=1"
VERBS = {
    "convert": "convert mednli DATA/MedNLI -o out/records.jsonl",
    "pull": "models pull tiny",
    "train": f"{TRAIN} --max-length 128 --base tiny",
    "train again": f"{TRAIN} --max-length 128 --base tiny --seed 1",
    "compose": "compose half --skill nli=0.5 --base tiny",
    "adapt": "adapt pubmedqa --source DATA/PubMedQA --router uniform --shots 4 --max-length 128 --base tiny",
    "evaluate": "evaluate pubmedqa --source DATA/PubMedQA --with base --limit 2 --max-length 128 --base tiny",
    "export": "export half out/lora --to lora --base tiny",
}
NEEDS = {"train": ["pull"], "train again": ["pull", "train"], "compose": ["pull", "train"],
         "adapt": ["pull", "train"], "evaluate": ["pull"], "export": ["pull", "train", "compose"]}  # fmt: skip
CHILD = """
import os, signal, sys
at, count, root = int(sys.argv[1]), 0, sys.argv[2]
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate"}
def count_changes(event, arguments):
    global count
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if (event in CHANGES or writes) and os.path.abspath(os.fsdecode(str(arguments[0]))).startswith(root):
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count_changes)
from mdkif.cli import main
from mdkif.core.console.app import run
code = run(main, sys.argv[3:])
print(count, file=sys.stderr)
sys.exit(code)
"""


class Trial:
    """One verb on copies of one store."""

    def __init__(self, folder: Path, verb: str, data: Path) -> None:
        self.folder, self.verb, self.data = folder, verb, data
        self.place, self.ready = folder / "work", folder / "ready"
        self.ready.mkdir(parents=True)
        self.place.mkdir()
        for needed in NEEDS.get(verb, []):
            self.place.rmdir()
            self.ready.rename(self.place)
            self.call(VERBS[needed])
            self.place.rename(self.ready)
            self.place.mkdir()

    def call(self, line: str, at: int = 0, after: float = 0.0) -> subprocess.CompletedProcess[str]:
        """Run a command line in the work folder; it is killed at a change of the store, or after some seconds."""
        words = line.replace("DATA", str(self.data)).split()
        store = self.place / "store"
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(at), str(self.place), "--store", str(store), *words],
            cwd=self.place, env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=after or None)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def fresh(self) -> None:
        """The store as it was before the verb."""
        shutil.rmtree(self.place)
        shutil.copytree(self.ready, self.place)

    def undisturbed(self) -> tuple[set[str], int, float]:
        """What the verb leaves, in how many changes, and in what time."""
        self.fresh()
        started = time.monotonic()
        done = self.call(VERBS[self.verb])
        assert done.returncode == 0, done.stderr
        return contents(self.place), int(done.stderr.split()[-1]), time.monotonic() - started

    def killed(self, expected: set[str], at: int = 0, after: float = 0.0) -> bool:
        """Whether the verb was killed; afterwards all is well, and the same verb ends as if nothing had been."""
        self.fresh()
        before = contents(self.place)
        died = self.call(VERBS[self.verb], at, after).returncode == -signal.SIGKILL
        whole = {name for name in before if name.rpartition("/")[2] not in ("nli", "skill.json")}
        lost = whole - contents(self.place) if "again" not in self.verb else set()
        assert not lost, f"{self.verb}, killed at {at or after}, lost {sorted(lost)}"
        listed = self.call("list trained --json")
        assert listed.returncode == 0, listed.stderr
        assert bool(json.loads(listed.stdout)) >= any("skill.json" in name for name in before), "a skill was gone"
        verified = self.call("verify --json")
        assert verified.returncode == 0, verified.stdout
        if died or self.verb != "export":  # which never writes into a folder that is there
            again = self.call(VERBS[self.verb])
            complete = self.verb == "export" and "is not empty" in again.stderr
            assert again.returncode == 0 or complete, again.stderr
        self.call("doctor --repair")
        assert contents(self.place) == expected, (
            f"{self.verb}, killed at {at or after}: {sorted(contents(self.place) ^ expected)}"
        )
        return died


def contents(place: Path) -> set[str]:
    """The files of a folder, without what may differ from run to run and without hashes of times."""
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def soak(verbs: list[str], data: Path, folder: Path, kills: int = 0, every: int = 1) -> dict[str, Counter[str]]:
    """Kill each verb at every `every`-th change of the store, and at `kills` random moments."""
    figures: dict[str, Counter[str]] = {}
    draw = random.Random(0)
    for verb in verbs:
        trial = Trial(folder / verb.replace(" ", "-"), verb, data)
        expected, changes, seconds = trial.undisturbed()
        found = figures[verb] = Counter(changes=changes)
        for at in range(1, changes + 1, every):
            found["killed at a change"] += trial.killed(expected, at=at)
        for _ in range(kills):
            found["killed at random"] += trial.killed(expected, after=draw.uniform(0.3, 1.0) * seconds)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("verbs", nargs="*", default=list(VERBS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "mdkif", "synth", f"{folder}/data"], check=True, stdout=subprocess.DEVNULL
        )
        print(json.dumps(soak(given.verbs, Path(folder) / "data", Path(folder), given.kills, given.every), indent=2))


if __name__ == "__main__":
    main()
