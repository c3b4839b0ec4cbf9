"""The demonstration, step by step, through the same verbs a user has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdkif import Toolkit
from mdkif_synthetic import generate

TASK, METRIC = "icd-coding", "auroc"
SECTIONS = "history of present illness, past medical history, brief hospital course"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything: `FULL` fits eight minutes on two cores, `QUICK` a few seconds."""

    base: str
    patients: int
    trainer: str
    steps: dict[str, int]
    settings: dict[str, str]
    labels: int
    shots: int
    evaluations: int
    gradient_steps: int
    test: int


SKILLS = {"mcqa": ("medqa", "MedQA"), "nli": ("mednli", "MedNLI"), "es": ("umls", "UMLS")}

FULL = Plan(
    base="smollm2",
    patients=600,
    trainer="adalora",
    steps={"mcqa": 28, "nli": 16, "es": 20},
    settings={"batch_size": "8", "tokens": "640", "max_length": "160", "dropout": "0", "dev_records": "8"},
    labels=5,
    shots=16,
    evaluations=18,
    gradient_steps=6,
    test=48,
)
QUICK = Plan(
    base="tiny",
    patients=80,
    trainer="adalora",
    steps={"mcqa": 8, "nli": 8, "es": 8},
    settings={"batch_size": "4", "max_length": "256", "dev_records": "8"},
    labels=5,
    shots=8,
    evaluations=18,
    gradient_steps=2,
    test=20,
)


@dataclass
class Demonstration:
    """What was shown: one row per blend, the weights found, and the seconds of each stage."""

    rows: list[dict[str, Any]]
    weights: dict[str, dict[str, float]]
    seconds: dict[str, float]
    n: int


def demonstrate(kit: Toolkit, plan: Plan, seed: int) -> Demonstration:
    """Synthesise, train every skill, learn every router and evaluate them on the same test records."""
    seconds: dict[str, float] = {}
    say = kit.workspace.progress.note
    hospital = kit.workspace.store.root / "demo" / "hospital"
    with _timed(seconds, "data"):
        say(f"1  a hospital of {plan.patients} invented patients, in official layouts: {hospital}")
        generate(hospital, seed=seed, patients=plan.patients)
    with _timed(seconds, "model"):
        say(f"2  the frozen base model {plan.base}, read from the store")
        kit.workspace.base  # noqa: B018  loading is what takes the time
    with _timed(seconds, "skills"):
        for skill, (dataset, folder) in SKILLS.items():
            say(f"3  stage I: the skill {skill} learns from {folder}")
            settings = {**plan.settings, "steps": str(plan.steps[skill])}
            kit.train(skill, {dataset: hospital / folder}, trainer=plan.trainer, settings=settings, seed=seed)
    source, data = {"mimic-iii": hospital / "MIMIC-III"}, {"top": str(plan.labels), "sections": SECTIONS}
    weights = {}
    with _timed(seconds, "routers"):
        for router, settings in _routers(plan).items():
            say(f"4  stage II: router {router} on {plan.shots} coded notes, a task no skill has seen")
            made = kit.adapt(TASK, source, skills=list(SKILLS), router=router, settings=settings, data=data)
            weights[router] = made.composition.summary()
    with _timed(seconds, "evaluation"):
        say(f"5  {plan.test} other patients' notes, for every blend")
        targets = ["base", *(f"{TASK}-{router}" for router in weights)]
        done = kit.evaluate(TASK, source, targets, limit=plan.test, seed=seed, data=data, max_length=320)
    rows = [{"with": e.target.removeprefix(f"{TASK}-"), "metric": METRIC, "value": e.metrics[METRIC]} for e in done]
    return Demonstration(rows, weights, seconds, done[0].n)


def _routers(plan: Plan) -> dict[str, dict[str, str]]:
    common = {"shots": str(plan.shots), "max_length": "320"}
    free = {**common, "scale": "free"}
    return {
        "single": common,
        "uniform": common,
        "gradient": {**free, "steps": str(plan.gradient_steps), "batch": "8"},
        "cma-es": {**free, "evaluations": str(plan.evaluations)},
    }


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - started, 1)


def made_files(kit: Toolkit, plan: Plan) -> list[Path]:
    """What a person may look at afterwards."""
    store = kit.workspace.store
    return [
        store.root / "demo" / "hospital",
        *(store.skill(plan.base, skill) for skill in SKILLS),
        store.composition(plan.base, f"{TASK}-cma-es"),
        store.report(f"{TASK}-{TASK}-cma-es"),
    ]
