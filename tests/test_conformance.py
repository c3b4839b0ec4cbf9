"""Conformance: every plugin here keeps the rules, and each rule finds what breaks it and says what to do."""

import json
import random
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
from mdkif import (
    BadInput,
    Dataset,
    Evaluator,
    Record,
    Router,
    RouterOptimizer,
    Skill,
    Source,
    Task,
    Toolkit,
    Trainer,
    TuningMethod,
    best,
    format_choices,
)
from mdkif.cli import main
from mdkif.core.conformance import data, evaluators, routers, trainers
from mdkif.core.conformance.check import check
from mdkif.core.console.app import run
from mdkif.core.contract.discovery import Plugin, Plugins
from mdkif_synthetic import generate
from mdkif_trainer_lora import LoRA


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Synthetic data sets in their official layouts, by name."""
    return generate(tmp_path_factory.mktemp("conformance") / "hospital", seed=3, patients=60)


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return Toolkit(tmp_path_factory.mktemp("conformance-store"))


@pytest.mark.parametrize(
    "dist",
    sorted(p.dist for p in Plugins().plugins if any(isinstance(d, (Dataset, Skill, Task)) for d in p.declarations)),
)
def test_check_plugin_that_reads_data_keeps_every_rule_on_the_hospital_too(kit, hospital, dist):
    """On more than its sample; that each plugin keeps the rules at all is the first of its own tests."""
    found = list(check(kit.workspace, dist, hospital))
    assert len(found) >= 4
    assert [f"{each.subject}: {each.rule}: {each.remedy}" for each in found if each.state != "kept"] == []


@pytest.fixture
def provide(monkeypatch):
    """A function that makes an object importable, as the target of a declaration."""
    module = ModuleType("conformance_cases")
    monkeypatch.setitem(sys.modules, "conformance_cases", module)

    def put(thing):
        module.thing = thing
        return "conformance_cases:thing"

    return put


def broken(findings):
    return {each.rule: each.remedy for each in findings if each.state == "broken"}


def a_record(**changes):
    fields = {"id": "1", "source": "file:1", **format_choices("Is it?", ["yes", "no"], ["yes"]), **changes}
    return Record(**fields)


def a_dataset(target, **changes):
    facts = {"licence": "CC0", "access": "open", "homepage": "https://example.org", **changes}
    return Dataset(name="mine", title="Mine", target=target, **facts)


def converting(records):
    """A converter that gives these records."""

    def convert(source, conversion):
        yield from records

    return convert


def test_check_breaks_no_rule_for_a_sound_data_set(provide, tmp_path):
    declared = a_dataset(provide(converting([a_record(), a_record(id="2")])))
    assert broken(data.dataset(declared, "dataset mine", tmp_path)) == {}


SPLITS = [a_record(id="1", group="g", split="train"), a_record(id="2", group="g", split="test")]


@pytest.mark.parametrize(
    ("records", "rule", "remedy"),
    [
        ([], "converts a sample", "gives no record"),
        ([a_record(), a_record()], "record ids are unique", "The id 1 comes twice"),
        ([a_record(source="")], "records are complete and traceable", "record 1 has an empty source"),
        ([a_record(answer=" ")], "records are complete and traceable", "record 1 has an empty answer"),
        ([a_record(spans=((0, 2),))], "spans match their text", "A span of the record 1"),
        ([a_record(options=(), context="so it is", spans=((0, 2),))], "spans match their text", "in the context"),
        (SPLITS, "no group straddles splits", "group of the record 2 is in several splits"),
    ],
)
def test_check_finds_records_that_break_a_rule(provide, tmp_path, records, rule, remedy):
    found = broken(data.dataset(a_dataset(provide(converting(records))), "dataset mine", tmp_path))
    assert list(found) == [rule]
    assert remedy in found[rule]


def test_check_converter_that_draws_at_random_is_found(provide, tmp_path):
    def convert(source, conversion):
        yield a_record(context=str(random.random()))

    assert "other records" in broken(data.dataset(a_dataset(provide(convert)), "d", tmp_path))["converts a sample"]


def test_check_converter_that_uses_the_network_is_found(provide, tmp_path):
    def convert(source, conversion):
        import socket

        socket.create_connection(("127.0.0.1", 9))
        yield a_record()

    assert broken(data.dataset(a_dataset(provide(convert)), "d", tmp_path))["converts a sample"]


def test_check_options_are_documented_and_access_is_stated(provide):
    def convert(source, conversion, *, view="all"):
        yield a_record()

    declared = a_dataset(provide(convert), licence=" ", options={"views": "which part"})
    found = broken(data.dataset(declared, "dataset mine", None))
    assert "has no licence" in found["says how its data is got"]
    assert "'view' is in the converter or in the declaration" in found["its code loads, and its options are documented"]


def test_check_without_a_sample_leaves_rules_unchecked_and_tells_the_remedy(provide):
    [last] = [f for f in data.dataset(a_dataset(provide(converting([]))), "d", None) if f.state == "not checked"]
    assert last.remedy == (
        "There is no sample of it: give --source mine=PATH, or ship an invented one in the folder sample/mine."
    )


def test_check_sample_in_the_package_is_found(tmp_path, monkeypatch):
    (tmp_path / "sampled" / "sample" / "mine").mkdir(parents=True)
    (tmp_path / "sampled" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = Plugin("mdkif-sampled", "1", "sampled")
    assert data.sample(plugin, "mine", {}) == tmp_path / "sampled" / "sample" / "mine"
    assert data.sample(plugin, "other", {}) is None
    assert data.sample(plugin, "mine", {"mine": tmp_path}) == tmp_path


def a_skill(**changes):
    facts = {"category": "text-classification", "sources": (Source(dataset="mednli"),), "template": "nli.jinja"}
    return Skill(name="mine", title="Mine", **{**facts, "package": "mdkif_skill_nli", **changes})


def a_task(**changes):
    facts = {"track": "unseen data", "evaluator": "classification", "metric": "accuracy"}
    skill = a_skill()
    given = {key: getattr(skill, key) for key in ("category", "sources", "template", "package")}
    return Task(name="mine", title="Mine", **{**given, **facts, **changes})


def test_check_skills_sources_must_be_there_with_the_options_it_gives(kit):
    [rule] = broken(data.instructed(kit.workspace, a_skill(sources=(Source(dataset="nowhere"),)), "s", {})).values()
    assert "It reads 'nowhere', which no installed plugin provides" in rule
    wrong = a_skill(sources=(Source(dataset="mednli", options={"spam": "1"}),))
    [rule] = broken(data.instructed(kit.workspace, wrong, "s", {})).values()
    assert "gives 'mednli' the option 'spam'" in rule


def test_check_tasks_metric_must_be_its_evaluators(kit):
    [rule] = broken(data.instructed(kit.workspace, a_task(metric="rouge1"), "t", {})).values()
    assert rule.startswith("The evaluator 'classification' has no metric 'rouge1': it has accuracy")
    assert broken(data.instructed(kit.workspace, a_task(), "t", {})) == {}


@pytest.mark.parametrize(
    ("block", "remedy"),
    [
        ("{% block answer %}{{ answer | upper }}{% endblock %}", "changes the answer of"),
        ("{% block answer %}yes{% endblock %}", "must write {{ answer }} once"),
        ("{% block query %}{% endblock %}", "renders an empty query or answer"),
        ("{% block query %}{{ nothing }}{% endblock %}", "'nothing' is undefined"),
    ],
)
def test_check_template_must_render_and_be_read_back(kit, mednli, block, remedy):
    folder = kit.workspace.store.templates
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.jinja").write_text('{% extends "text-classification.jinja" %}' + block)
    declared = a_skill(template="mine.jinja")
    found = broken(data.instructed(kit.workspace, declared, "s", {"mednli": mednli}))
    assert remedy in found["renders a sample, and reads its answers back"]


def an_evaluator(target, **metrics):
    return Evaluator(name="mine", title="Mine", target=target, metrics=metrics or {"accuracy": True})


@pytest.mark.parametrize(
    ("metrics", "remedy"),
    [
        (lambda p: {"n": len(p), "accuracy": float("nan")}, "'accuracy' is nan"),
        (lambda p: {"n": len(p), "accuracy": 7.0}, "'accuracy' is 7.0: give a share"),
        (lambda p: {"n": len(p), "spam": 0.5}, "computes 'spam', which it does not declare"),
        (lambda p: {"accuracy": 0.5}, "does not say the number"),
        (lambda p: {"n": len(p), "accuracy": int(p[0].id) / 40}, "change with the order"),
        (lambda p: 1 / 0, "It raised ZeroDivisionError"),
    ],
)
def test_check_finds_an_evaluator_that_breaks_a_rule(provide, metrics, remedy):
    found = broken(evaluators.evaluator(an_evaluator(provide(lambda p: metrics(p) if p else {"n": 0})), "e"))
    assert len(found) == 4
    assert all(remedy in each for each in found.values())


def test_check_evaluator_may_refuse_what_is_not_its_work(provide):
    def refuse(predictions):
        if predictions:
            raise BadInput("not mine")
        return {}

    found = broken(evaluators.evaluator(an_evaluator(provide(refuse)), "e"))
    assert found == {"no predictions have no metrics": 'Without predictions it must return {"n": 0}.'}


def a_router(target):
    return Router(name="mine", title="Mine", target=target)


class Careless(RouterOptimizer):
    """Draws weights from everybody's generator, more often than it was told, and returns the last."""

    def __init__(self, evaluations: int = 10) -> None:
        self.evaluations = evaluations

    def search(self, objective, seed, progress):
        for _ in range(50):
            parameters = torch.randn(1, objective.space.size) * 9
            [value] = objective.values(parameters)
        return objective.candidate(parameters[0], value + 1)


@dataclass(kw_only=True)
class Lazy(RouterOptimizer):
    """Looks at one candidate and returns the best reference."""

    evaluations: int = 10

    def search(self, objective, seed, progress):
        objective.values(torch.zeros(1, objective.space.size))
        return best(objective.references)


@dataclass(kw_only=True)
class Spendthrift(Lazy):
    """Makes one evaluation more than it was told."""

    def search(self, objective, seed, progress):
        objective.values(torch.rand(self.evaluations + 1, objective.space.size))
        return best(objective.references)


def test_check_finds_a_careless_router(provide):
    found = broken(routers.router(a_router(provide(Careless)), "r"))
    assert "return a candidate it evaluated" in found["minimises a known function, and never does worse than its start"]
    assert "finds other weights" in found["is seeded, and leaves others' random numbers alone"]


def test_check_finds_a_router_that_does_not_search_or_keep_its_budget(provide):
    found = broken(routers.router(a_router(provide(Lazy)), "r"))
    assert list(found) == ["minimises a known function, and never does worse than its start"]
    assert "search longer or otherwise" in next(iter(found.values()))
    found = broken(routers.router(a_router(provide(Spendthrift)), "r"))
    assert "Told to make 40 evaluations it makes 41" in found["keeps to its budget of evaluations"]


def a_trainer(target):
    return Trainer(name="mine", title="Mine", target=target)


@dataclass(kw_only=True)
class Forgetful(LoRA):
    """Depends on what it counts, and does not keep it."""

    dropout: float = 0.0

    def stepped(self, model, step):
        self.count = getattr(self, "count", 0) + 1
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "lora_B" in name:
                    value.add_(self.count)


@dataclass(kw_only=True)
class Meddling(LoRA):
    """Also changes the base model."""

    dropout: float = 0.0

    def stepped(self, model, step):
        with torch.no_grad():
            model.get_base_model().model.norm.weight.mul_(1.5)


@dataclass(kw_only=True)
class Idle(LoRA):
    """Learns nothing."""

    learning_rate: float = 0.0
    dropout: float = 0.0


@pytest.mark.parametrize(
    ("cls", "rule", "remedy"),
    [
        (Forgetful, "resumes to the same adapter", "return from state() all that a step depends on"),
        (Meddling, "leaves the base model as it was", "train nothing but the adapter"),
        (Idle, "makes an adapter that PEFT loads to the same logits", "After training the adapter changes nothing"),
        (dict, "its settings have defaults", "name a class that inherits from mdkif.TuningMethod"),
    ],
)
def test_check_finds_a_trainer_that_breaks_a_rule(provide, cls, rule, remedy):
    assert remedy in broken(trainers.trainer(a_trainer(provide(cls)), "t"))[rule]
    assert cls is dict or issubclass(cls, TuningMethod)


def test_check_command_line_tells_what_is_broken_and_exits_with_1(tmp_path, capsys, monkeypatch, mednli):
    monkeypatch.setenv("MDKIF_STORE", str(tmp_path))
    assert run(main, ["check", "mdkif-evaluator-classification"]) == 0
    assert capsys.readouterr().out.endswith("Rules: 9 kept, 0 broken, 0 not checked.\n")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "nli.jinja").write_text("{% block query %}{{ spam }}{% endblock %}")
    assert run(main, ["check", "mdkif-skill-nli", "--source", f"mednli={mednli}", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert {row["state"] for row in rows} == {"kept", "broken"}
    assert run(main, ["check", "mdkif-skill-nil"]) == 2
    assert "mdkif-skill-nli" in capsys.readouterr().err
