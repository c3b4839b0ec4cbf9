"""What only a process of its own can tell: the most memory it holds, and how long it takes to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from mdkif import MdkifError, Toolkit

from .material import Bench, losses, random_shots
from .timing import Row, agree, alternately, at_most, row, timed

REPORT = "import sys; from mdkif_bench.processes import report; report(*sys.argv[1:])"
LIST = "from mdkif.__main__ import entry; entry()"
LIBRARIES = "import click, rich, pluggy, jinja2"


def memory(bench: Bench) -> Row:
    """Peak memory of a process that runs a candidate of all skills beside one that runs the base.

    Both run the same shots; the candidate's weights are 0, so that both must find the same losses.
    """
    found: dict[int, list[list[float]]] = {bench.skills: [], 0: []}

    def mebibytes(skills: int) -> float:
        measured = in_a_process(bench, skills)
        found[skills].append(measured["losses"])
        return float(measured["mebibytes"])

    costs = alternately(lambda: mebibytes(bench.skills), lambda: mebibytes(0), bench.repeats)
    agree("the base alone", torch.tensor(found[bench.skills]), torch.tensor(found[0]), bench.tolerance)
    return row(f"peak memory with {bench.skills} skills loaded / of the base alone", costs, at_most(1.25), "MiB")


def start_up(bench: Bench) -> Row:
    """`mdkif list` beside importing the libraries a command line like it needs."""
    listed = python(LIST, "list")
    if "adalora" not in listed or python(LIBRARIES):
        raise MdkifError("The benchmark's 'mdkif list' does not list what is installed.")
    costs = alternately(timed(lambda: python(LIST, "list")), timed(lambda: python(LIBRARIES)), bench.repeats)
    return row("mdkif list / importing click, rich, pluggy and jinja2", costs, at_most(2.0))


def in_a_process(bench: Bench, skills: int) -> dict[str, Any]:
    """What `report` prints in a process of its own."""
    model = bench.base.model
    arguments = (bench.base.path, str(model.dtype).removeprefix("torch."), str(model.device), skills, bench.rank)
    found: dict[str, Any] = json.loads(python(REPORT, *map(str, arguments)))
    return found


def report(base: str, dtype: str, device: str, skills: str, rank: str) -> None:
    """Run the shots on the base, with a candidate of so many skills if any, and print losses and peak memory."""
    bench = Bench(kit=Toolkit(base=base, dtype=dtype, device=device), skills=int(skills), rank=int(rank))
    shots = random_shots(bench.base)
    if bench.skills:
        with bench.bank().blend(torch.zeros(bench.skills)):
            found = losses(bench.base.model, shots)
    else:
        found = losses(bench.base.model, shots)
    print(json.dumps({"losses": found.tolist(), "mebibytes": peak()}))


def peak() -> float:
    """The most memory this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux starts a process's ru_maxrss at what its parent held
        [held] = [line.split()[1] for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM")]
        return int(held) / (1 << 10)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def python(code: str, *arguments: str) -> str:
    """What a new interpreter prints; its compiled modules are kept, as an installation's are."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=kept, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MdkifError(f"A process of the benchmark failed ({last}): leave it out with --only.")
    return done.stdout
