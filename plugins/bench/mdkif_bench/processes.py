"""What only a process of its own can tell: the most memory it holds, and how long it takes to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import torch
from mdkif import MdkifError, Toolkit

from .material import Bench, losses, random_shots
from .memory import forget_peak, held, peak
from .timing import Row, agree, alternately, at_most, row, timed

REPORT = "import sys; from mdkif_bench.processes import report; report(*sys.argv[1:])"
LIST = "from mdkif.__main__ import entry; entry()"
LIBRARIES = "import click, rich, pluggy, jinja2"
FEW = 3  # times that processes which load the base twice are measured at most


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


def training(bench: Bench) -> Row:
    """Memory that a few steps of stage I take above what is held before them, beside transformers' Trainer."""
    costs = alternately(
        lambda: float(in_a_process(bench, "ours")["mebibytes"]),
        lambda: float(in_a_process(bench, "peer")["mebibytes"]),
        min(bench.repeats, FEW),
    )
    name = "memory of stage I over the base's weights / of transformers' Trainer with PEFT's AdaLoRA"
    return row(name, costs, at_most(0.5), "MiB")


def half(bench: Bench) -> Row:
    """Peak memory of a process that runs a candidate of all skills in bfloat16 beside one that does in float32."""
    costs = alternately(
        lambda: float(in_a_process(bench, bench.skills, "bfloat16")["mebibytes"]),
        lambda: float(in_a_process(bench, bench.skills, "float32")["mebibytes"]),
        min(bench.repeats, FEW),
    )
    return row(
        f"peak memory of a candidate of {bench.skills} skills in bfloat16 / in float32", costs, at_most(0.8), "MiB"
    )


def start_up(bench: Bench) -> Row:
    """`mdkif list` beside importing the libraries a command line like it needs."""
    listed = python(LIST, "list")
    if "adalora" not in listed or python(LIBRARIES):
        raise MdkifError("The benchmark's 'mdkif list' does not list what is installed.")
    costs = alternately(timed(lambda: python(LIST, "list")), timed(lambda: python(LIBRARIES)), bench.repeats)
    return row("mdkif list / importing click, rich, pluggy and jinja2", costs, at_most(2.0))


def in_a_process(bench: Bench, work: int | str, dtype: str | None = None) -> dict[str, Any]:
    """What `report` prints in a process of its own."""
    device = str(bench.base.model.device)
    arguments = (bench.base.path, dtype or bench.dtype, device, work, bench.rank)
    found: dict[str, Any] = json.loads(python(REPORT, *map(str, arguments)))
    return found


def report(base: str, dtype: str, device: str, work: str, rank: str) -> None:
    """Print the memory of one piece of work in MiB.

    That is a training by "ours" or the "peer", above what was held before, or the shots on the base, with a candidate
    of so many skills if any, and then with their losses.
    """
    kit = Toolkit(base=base, dtype=dtype, device=device)
    found = _training(Bench(kit=kit), work) if work in ("ours", "peer") else _shots(kit, int(work), int(rank))
    print(json.dumps(found))


def _shots(kit: Toolkit, skills: int, rank: int) -> dict[str, Any]:
    bench = Bench(kit=kit, skills=skills, rank=rank)
    shots = random_shots(bench.base)
    with bench.bank().blend(torch.zeros(skills)) if skills else nullcontext():
        found = losses(bench.base.model, shots)
    return {"losses": found.tolist(), "mebibytes": peak()}


def _training(bench: Bench, who: str) -> dict[str, Any]:
    from .training import Work

    work = Work(bench, "adalora")
    losses(bench.base.model, random_shots(bench.base, 1, 8))  # every weight has been read, and every library
    if who == "peer":
        work.share()
    forget_peak()
    before = held()
    getattr(work, who)()
    return {"mebibytes": peak() - before}


def python(code: str, *arguments: str) -> str:
    """What a new interpreter prints; its compiled modules are kept, as an installation's are."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=kept, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MdkifError(f"A process of the benchmark failed ({last}): leave it out with --only.")
    return done.stdout
