"""The verbs on a workspace that a test holds, with settings as the command line takes them."""

from __future__ import annotations

from contextlib import contextmanager

from mdkif import EvaluateSettings, Router, Task, Toolkit, Trainer, TrainSettings
from mdkif.core.adapters import target as targets
from mdkif.core.adapters.composition import build
from mdkif.core.adapters.library import library_of
from mdkif.core.inference import predict as inference
from mdkif.core.routing.optimizer import AdaptSettings
from mdkif.core.settings import settings_from


def kit_of(workspace):
    kit = Toolkit(plugins=workspace.plugins)
    kit.workspace = workspace
    return kit


def train_skill(workspace, skill, sources, trainer="adalora", settings=None, seed=0, **options):
    cls = workspace.plugins.get(Trainer, trainer).load()
    method, loop = settings_from({"seed": str(seed), **(settings or {})}, cls, TrainSettings)
    return kit_of(workspace).train(skill, sources, trainer=method, settings=loop, **options)


def adapt(workspace, task, sources, skills=None, router="cma-es", settings=None, name=None, **options):
    cls = workspace.plugins.get(Router, router).load()
    optimizer, chosen = settings_from(settings or {}, cls, AdaptSettings)
    return kit_of(workspace).adapt(
        task, sources, router=optimizer, settings=chosen, skills=skills, name=name, **options
    )


def evaluate(workspace, task, sources, names, skip_bad=False, data=None, **settings):
    chosen = EvaluateSettings(**settings)
    return kit_of(workspace).evaluate(task, sources, names, settings=chosen, skip_bad=skip_bad, data=data)


def predict(workspace, declared, encoder, examples, mode="score"):
    return inference.predict(encoder, examples, inference.Answering.of(declared, mode))


def resolve(workspace, name):
    [found] = targets.resolve(workspace, [name])
    return found


def blend(workspace, name):
    return resolve(workspace, name).blend()


@contextmanager
def applied(workspace, name):
    with resolve(workspace, name).applied() as base:
        yield base


def load_composition(workspace, name):
    return resolve(workspace, name).made


def bank_of(workspace, skills=None, granularity="skill"):
    return targets.bank_of(library_of(workspace).choose(skills), workspace.base, granularity)


def new_composition(workspace, name, skills, weights, granularity="skill"):
    """A composition with weights of a bank's shape."""
    artifacts = library_of(workspace).choose(skills)
    bank = targets.bank_of(artifacts, workspace.base, granularity)
    made = build(name, workspace.base, artifacts, bank, weights, {})
    targets.save(workspace, made)
    return made


def task_encoder(workspace, name, max_length=512):
    return workspace.encoder(workspace.template(workspace.plugins.get(Task, name)), max_length)
