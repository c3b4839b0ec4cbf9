"""The demonstration, step by step, through the same verbs a user has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mdkif import AdaptSettings, EvaluateSettings, Toolkit, TrainSettings
from mdkif_synthetic import generate

TASK, METRIC, LENGTH = "icd-coding", "auroc", 320
Scale = Literal["one", "free"]
SECTIONS = "history of present illness, past medical history, brief hospital course"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything: `FULL` fits eight minutes on two cores, `QUICK` a few seconds."""

    base: str
    patients: int
    trainer: str
    steps: dict[str, int]
    loop: dict[str, Any]
    dropout: float
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
    loop={"batch_size": 8, "tokens": 640, "max_length": 160, "dev_records": 8},
    dropout=0.0,
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
    loop={"batch_size": 4, "max_length": 256, "dev_records": 8},
    dropout=0.1,
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
    report: Path


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
            trainer = kit.trainer(plan.trainer, dropout=plan.dropout)
            loop = TrainSettings(**plan.loop, steps=plan.steps[skill], seed=seed)
            kit.train(skill, {dataset: hospital / folder}, trainer=trainer, settings=loop)
    source, data = {"mimic-iii": hospital / "MIMIC-III"}, {"top": str(plan.labels), "sections": SECTIONS}
    weights = {}
    with _timed(seconds, "routers"):
        for router, (own, scale) in _routers(plan).items():
            say(f"4  stage II: router {router} on {plan.shots} coded notes, a task no skill has seen")
            settings = AdaptSettings(shots=plan.shots, max_length=LENGTH, scale=scale)
            optimizer = kit.router(router, **own)
            made = kit.adapt(TASK, source, skills=list(SKILLS), router=optimizer, settings=settings, data=data)
            weights[router] = made.composition.summary()
    with _timed(seconds, "evaluation"):
        say(f"5  {plan.test} other patients' notes, for every blend")
        targets = ["base", *(f"{TASK}-{router}" for router in weights)]
        measure = EvaluateSettings(limit=plan.test, seed=seed, max_length=LENGTH)
        done = kit.evaluate(TASK, source, targets, settings=measure, data=data)
    rows = [{"with": e.target.removeprefix(f"{TASK}-"), "metric": METRIC, "value": e.metrics[METRIC]} for e in done]
    assert done[-1].report is not None
    return Demonstration(rows, weights, seconds, done[0].n, done[-1].report)


def _routers(plan: Plan) -> dict[str, tuple[dict[str, int], Scale]]:
    """Each router's own settings, and whether its weights sum to one."""
    return {
        "single": ({}, "one"),
        "uniform": ({}, "one"),
        "gradient": ({"steps": plan.gradient_steps, "batch": 8}, "free"),
        "cma-es": ({"evaluations": plan.evaluations}, "free"),
    }


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - started, 1)


def made_files(kit: Toolkit, plan: Plan, report: Path) -> list[Path]:
    """What a person may look at afterwards."""
    store = kit.workspace.store
    return [
        store.root / "demo" / "hospital",
        *(store.skill(plan.base, skill) for skill in SKILLS),
        store.composition(plan.base, f"{TASK}-cma-es"),
        report,
    ]
