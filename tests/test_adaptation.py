"""Stage II with the installed plugins: what is found, what is never worse, and what is left untouched."""

import json
import re
import shutil
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from mdkif import BadInput, ConversionReport, Progress, Task
from mdkif.core.data.splits import RESERVED
from mdkif.core.routing.cache import EvaluationCache
from mdkif.core.routing.objective import adaptation_objective
from torch.nn import functional
from verbs import adapt, blend, load_composition

QUICK = {
    "cma-es": {"evaluations": "27"},
    "gradient": {"steps": "6", "learning_rate": "0.3"},
    "lorahub": {"evaluations": "20"},
    "secant": {"evaluations": "8"},
}
ROUTERS = pytest.mark.parametrize("router", ["cma-es", "gradient"])
EVERY_ROUTER = pytest.mark.parametrize("router", list(QUICK))


@pytest.fixture
def learn(ready, pubmedqa):
    def learn(router="cma-es", skills=("qa", "nli", "er"), name=None, **settings):
        given = {"shots": 8, "split": "adapt", "objective": "cross-entropy", **QUICK.get(router, {}), **settings}
        chosen = {key: str(value) for key, value in given.items()}
        return adapt(ready, "pubmedqa", {"pubmedqa": pubmedqa}, skills, router, chosen, name)

    return learn


def saved(ready, router):
    """The bank and weights of the composition that a router left."""
    found = blend(ready, f"pubmedqa-{router}")
    assert found
    return found


def corner(skills, name):
    return {skill: float(skill == name) for skill in skills}


def test_adapt_references_are_base_every_single_and_uniform_measured_exactly(learn, measured):
    found = learn("uniform")
    skills = ("qa", "nli", "er")
    expected = {name: measured(corner(skills, name)) for name in ("base", *skills)}
    expected["uniform"] = measured(dict.fromkeys(skills, 1 / 3))
    assert list(found.references) == ["base", "qa", "nli", "er", "uniform"]
    assert found.references == pytest.approx(expected, rel=1e-4)
    assert found.uniform == found.references["uniform"]
    assert found.start == min(found.references.values())
    assert len({round(value, 3) for value in expected.values()}) == 5


def test_adapt_uniform_and_single_are_exact(learn, measured):
    uniform, single = learn("uniform"), learn("single")
    assert uniform.composition.weights == pytest.approx(dict.fromkeys(("qa", "nli", "er"), 1 / 3))
    assert uniform.end == uniform.uniform
    best = min(("qa", "nli", "er"), key=lambda name: measured({name: 1.0}))
    assert best == "qa"
    assert single.composition.weights == corner(("qa", "nli", "er"), "qa")
    assert single.end == single.references["qa"]
    assert (uniform.evaluations, single.evaluations) == (5, 0), "the references are measured once"


def test_adapt_references_are_measured_anew_when_a_skill_was_trained_anew(learn, ready, put_skill, adapters, measured):
    first = learn("single", skills=["qa"])
    put_skill(ready, "qa", adapters["nli"])
    again = learn("single", skills=["qa"])
    assert again.end == pytest.approx(measured({"qa": 1.0}), rel=1e-4)
    assert abs(again.end - first.end) > 0.01


@EVERY_ROUTER
@pytest.mark.parametrize(
    "settings",
    [{}, {"scale": "free"}, {"gamma": 0.5}, {"granularity": "layer"}, {"temperature": 0.3}, {"scale": "signed"}],
)
def test_adapt_is_never_worse_than_base_single_or_uniform(learn, router, settings):
    found = learn(router, **settings)
    assert found.end <= min(found.references.values())
    assert found.start == min(found.references.values())


@ROUTERS
def test_adapt_search_with_a_free_scale_gains_and_its_value_is_the_saved_compositions(learn, ready, router, measured):
    longer = {"steps": 15} if router == "gradient" else {"evaluations": 60}
    found = learn(router, scale="free", **longer)
    assert found.end < found.start - 1e-3
    made = load_composition(ready, f"pubmedqa-{router}")
    assert made == found.composition
    assert measured(made.weights) == pytest.approx(found.end, rel=1e-4)
    assert abs(sum(made.summary().values()) - 1) > 1e-4, "a softmax sums to 1 but for rounding"
    assert made.origin["objective"] == found.end
    assert (made.origin["task"], made.origin["router"], made.origin["records"]) == ("pubmedqa", router, 8)


@EVERY_ROUTER
@pytest.mark.parametrize("objective", ["auto", "choice"])
def test_adapt_choice_is_searched_by_every_router_and_is_the_default_for_listed_options(learn, router, objective):
    found = learn(router, scale="free", objective=objective)
    assert found.objective == "choice"
    assert found.composition.origin["settings"]["objective"] == "choice"
    assert found.end <= found.start == min(found.references.values())


@pytest.mark.parametrize(
    ("objective", "scale", "used"),
    [("auto", "auto", "signed"), ("choice", "auto", "signed"), ("cross-entropy", "auto", "one"),
     ("accuracy", "auto", "one"), ("choice", "one", "one"), ("cross-entropy", "signed", "signed")],
)  # fmt: skip
def test_adapt_weights_are_signed_with_the_objective_choice_and_the_papers_with_any_other(
    learn, objective, scale, used
):
    """Single is the best of five totals then, and a composition says what it was."""
    made = learn("single", objective=objective, scale=scale).composition
    assert made.origin["settings"]["scale"] == used
    assert (sum(made.summary().values()) == 1.0) or used == "signed"


def test_adapt_by_default_takes_the_gradient_and_may_take_a_skill_away(ready, pubmedqa):
    from mdkif import AdaptSettings
    from verbs import kit_of

    source = {"pubmedqa": pubmedqa}
    found = kit_of(ready).adapt("pubmedqa", source, settings=AdaptSettings(shots=8, split="adapt"))
    settings = found.composition.origin["settings"]
    assert (found.composition.origin["router"], settings["objective"], settings["scale"]) == (
        "gradient",
        "choice",
        "signed",
    )
    assert found.end < found.start
    assert min(found.composition.summary().values()) < 0


@EVERY_ROUTER
def test_adapt_result_says_how_far_the_search_moved(learn, ready, router):
    found = learn(router, scale="free", gamma=0.01)
    _, weights = saved(ready, router)
    skills = ("qa", "nli", "er")
    points = {name: torch.tensor(list(corner(skills, name).values())) for name in ("base", *skills)}
    points["uniform"] = torch.full((3,), 1 / 3)
    for name in found.references:
        point, _, factor = name.partition(" x ")
        points[name] = points[point] * float(factor or 1)
    ways = {name: float((weights - point).norm()) for name, point in points.items() if name in found.references}
    assert found.nearest == min(ways, key=ways.__getitem__)
    assert found.moved == pytest.approx(ways[found.nearest], abs=1e-6)
    assert (found.moved == 0) == (found.composition.origin["reference"] != "")
    assert found.composition.origin["moved"] == found.moved
    stayed = learn("single")
    assert (stayed.nearest, stayed.moved) == ("qa", 0.0)


def test_adapt_single_and_uniform_take_their_best_total_where_it_is_free(learn, measured):
    for router, skills in (("single", ("qa",)), ("uniform", ("qa", "nli", "er"))):
        found = learn(router, scale="free")
        share = 1 / len(skills)
        values = {factor: measured(dict.fromkeys(skills, factor * share)) for factor in (0.25, 0.5, 1, 2, 4)}
        assert found.end == pytest.approx(min(values.values()), rel=1e-4)
        factor = min(values, key=values.__getitem__)
        assert sum(found.composition.summary().values()) == pytest.approx(factor)


@EVERY_ROUTER
def test_adapt_repeats_its_result_with_a_seed(learn, router):
    mixed = {"scale": "free"} | ({"batch": 3} if router == "gradient" else {})
    first, second, other = (learn(router, name=f"s{i}", seed=s, **mixed) for i, s in enumerate((0, 0, 1)))
    assert first.composition.weights == second.composition.weights
    assert first.end == second.end
    assert first.evaluations > 5
    assert second.evaluations == 0 or router == "secant", "nothing is evaluated twice, but for a forecast"
    assert first.end != other.end, "other records"


@pytest.mark.parametrize("objective", ["cross-entropy", "choice"])
@pytest.mark.parametrize("after", [2, 6])
@EVERY_ROUTER
def test_adapt_interrupted_anywhere_ends_with_the_same_bits(learn, ready, monkeypatch, router, after, objective):
    """Among the references, at the points to start from, or in the search."""
    straight = learn(router, name="straight", objective=objective, scale="free")
    shutil.rmtree(ready.store.root / "cache")
    put, calls = EvaluationCache.put, []

    def interrupted(self, *given):
        put(self, *given)
        calls.append(given)
        if len(calls) == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(EvaluationCache, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        learn(router, name="cut", objective=objective, scale="free")
    monkeypatch.undo()
    again = learn(router, name="cut", objective=objective, scale="free")
    assert again.composition.weights == straight.composition.weights
    assert (again.end, again.references) == (straight.end, straight.references)


def test_adapt_numpys_random_state_and_the_working_folder_are_untouched(learn, tmp_path, monkeypatch):
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "cma_signals.in").write_text("stop_now\n")
    np.random.seed(123)
    expected = np.random.rand(4)
    np.random.seed(123)
    torch.manual_seed(5)
    also = torch.rand(2)
    torch.manual_seed(5)
    found = learn("cma-es", patience=100)
    assert np.array_equal(np.random.rand(4), expected)
    assert torch.equal(torch.rand(2), also)
    assert 5 + 18 < found.evaluations <= 5 + 24, "four populations of six, in the two directions of three skills"
    assert [path.name for path in folder.iterdir()] == ["cma_signals.in"]


@pytest.mark.parametrize("router", ["cma-es", "gradient"])
def test_adapt_interrupted_goes_on_to_the_same_result(learn, ready, router):
    """In a new process nothing is left but the store; the cache there is all that is needed."""
    whole = learn(router, name="whole")
    shutil.rmtree(ready.store.root / "cache")
    ready.progress = Interrupting(after=9)
    with pytest.raises(KeyboardInterrupt):
        learn(router, name="again")
    ready.progress = Progress()
    resumed = learn(router, name="again")
    assert resumed.composition.weights == whole.composition.weights
    assert resumed.references == pytest.approx(whole.references, rel=1e-6)
    assert 0 < resumed.evaluations <= whole.evaluations - 5


class Interrupting(Progress):
    """Ctrl-C after so many units of work, all bars together."""

    def __init__(self, after):
        self.left = after

    @contextmanager
    def task(self, title, total, done=0):
        yield self

    def advance(self, by=1, /, **figures):
        self.left -= by
        if self.left <= 0:
            raise KeyboardInterrupt


def test_adapt_evaluation_cache_holds_numbers_only_and_may_be_deleted(learn, ready, pubmedqa):
    first = learn("uniform")
    [cache] = (ready.store.root / "cache" / ready.base.name).iterdir()
    assert re.fullmatch(r"[0-9a-f]{16}\.jsonl", cache.name)
    for line in cache.read_text().splitlines():
        entry = json.loads(line)
        assert re.fullmatch("[0-9a-f]{16}", entry["key"])
        assert sorted(map(int, entry["values"])) == list(range(8))
        assert all(isinstance(value, float) for value in entry["values"].values())
    cache.unlink()
    assert learn("uniform").references == first.references


def test_adapt_evaluation_cache_is_another_for_another_adaptation_set(learn, ready):
    for settings in ({}, {"seed": 1}, {"shots": "5"}, {"max_length": 100}, {"objective": "accuracy"}):
        learn("uniform", **settings)
    assert len(list((ready.store.root / "cache" / ready.base.name).iterdir())) == 5
    learn("uniform", gamma=0.5, temperature=2.0, scale="free")
    assert len(list((ready.store.root / "cache" / ready.base.name).iterdir())) == 5, "the losses are the same"


def test_adapt_numpys_random_state_does_not_matter(learn):
    np.random.seed(1)
    first = learn("cma-es", name="a", scale="free")
    np.random.seed(2)
    assert learn("cma-es", name="b", scale="free").composition.weights == first.composition.weights


def test_adapt_weights_sum_to_one_with_scale_one(learn):
    found = learn("gradient", skills=("nli", "er"), steps=10)
    total = sum(found.composition.summary().values())
    assert total == pytest.approx(1, abs=1e-5) or found.composition.origin["reference"] == "base"
    assert found.composition.granularity == "skill"


@pytest.mark.parametrize("granularity", ["skill", "layer"])
def test_adapt_lorahub_searches_free_weights_and_saves_what_it_valued(learn, ready, objective, granularity):
    found = learn("lorahub", evaluations=30, granularity=granularity, gamma=0.01)
    assert found.end < found.start
    assert found.evaluations == 5 + 30 - 1, "the first candidate is the base, which is known"
    assert found.composition.granularity == granularity
    _, weights = saved(ready, "lorahub")
    assert objective(granularity=granularity, gamma=0.01).evaluate_weights(weights[None]) == pytest.approx(
        [found.end], rel=1e-4
    )
    assert weights.abs().max() <= 1.5
    assert not torch.allclose(weights.sum(-1), torch.tensor(1.0), atol=1e-4), "not a softmax"


def test_adapt_takes_a_metric_as_the_objective_of_cma_es(learn, accuracy):
    found = learn("cma-es", objective="accuracy", evaluations=9)
    skills = ("qa", "nli", "er")
    for name in ("base", *skills):
        assert found.references[name] == pytest.approx(-accuracy(corner(skills, name)))
    assert found.end == pytest.approx(-accuracy(found.composition.weights))
    assert found.end <= min(found.references.values())
    lower_is_better = learn("single", objective="log_loss")
    assert lower_is_better.end == min(lower_is_better.references[name] for name in skills) > 0


def test_adapt_refuses_the_gradient_of_a_metric_and_an_unknown_metric(learn):
    with pytest.raises(BadInput, match="objective 'accuracy' has no gradient: use --router cma-es for a metric"):
        learn("gradient", objective="accuracy")
    with pytest.raises(BadInput, match="cannot be 'rougeL': the task 'pubmedqa' offers choice, cross-entropy, acc"):
        learn("cma-es", objective="rougeL")


def test_adapt_refuses_a_metric_that_is_undefined_on_the_records(learn):
    with pytest.raises(BadInput, match="objective 'auroc' is undefined on these 1 records: use more shots"):
        learn("single", objective="auroc", shots=1)


@ROUTERS
def test_adapt_finer_weights_are_saved_and_are_what_was_valued(learn, ready, examples, router):
    found = learn(router, granularity="layer", scale="free")
    assert found.composition.granularity == "layer"
    bank, weights = saved(ready, router)
    assert weights.shape == (2, 3)
    total = 0.0
    with torch.no_grad(), bank.merged(weights):
        for example in examples:
            logits = ready.base.model(input_ids=torch.tensor([example.prompt + example.answer])).logits[0]
            answer = logits[len(example.prompt) - 1 : -1].double()
            total += functional.cross_entropy(answer, torch.tensor(example.answer), reduction="sum").item()
    assert total / sum(len(e.answer) for e in examples) == pytest.approx(found.end, rel=1e-4)


def test_adapt_refuses_the_test_split(learn, ready):
    with pytest.raises(BadInput, match="router of 'pubmedqa' cannot be adapted on the test split"):
        learn("uniform", split="test")
    assert not (ready.store.root / "compositions").exists()


def test_adapt_sees_no_record_of_the_test_split(ready, pubmedqa, monkeypatch):
    """Also in the normal setting, whose size is that of the test split."""
    from mdkif.core.routing import adapt as adaptation

    seen = []

    def watched(workspace, task, encoder, bank, versions, examples, settings):
        seen.append([example.record.id for example in examples])
        return adaptation_objective(workspace, task, encoder, bank, versions, examples, settings)

    monkeypatch.setattr(adaptation, "adaptation_objective", watched)
    truth = json.loads((pubmedqa / "data" / "test_ground_truth.json").read_text())
    task = ready.plugins.get(Task, "pubmedqa")
    kept = ready.drawn(task, {"pubmedqa": pubmedqa}, {"adapt": 20}, 0, ConversionReport())["adapt"]
    for settings in ({"setting": "normal"}, {"setting": "normal", "limit": "5"}, {"shots": "8"}, {"split": "dev"}):
        adapt(ready, "pubmedqa", {"pubmedqa": pubmedqa}, ["qa"], "uniform", settings)
    assert [len(ids) for ids in seen] == [len(kept), 5, 8, 18]
    assert not {f"pubmedqa/{pmid}" for pmid in truth} & {record for ids in seen for record in ids}


def test_adapt_draws_every_label_with_its_share_and_says_how_many(ready, pubmedqa):
    told = []
    ready.progress.note = told.append
    given = {"shots": "12", "split": "train"}
    made = adapt(ready, "pubmedqa", {"pubmedqa": pubmedqa}, ["nli"], "uniform", given).composition
    task = ready.plugins.get(Task, "pubmedqa")
    there = Counter(r.answer for r in ready.records(task, {"pubmedqa": pubmedqa}, ConversionReport(), None, "official",
                                                    RESERVED) if r.split == "train")  # fmt: skip
    shares = [12 * there[label] / there.total() for label in ("yes", "no", "maybe")]
    assert [abs(drawn - share) < 1 for drawn, share in zip(made.origin["labels"], shares, strict=True)] == [True] * 3
    yes, no, maybe = made.origin["labels"]
    assert f"12 'train' records of 'pubmedqa', of the labels: yes {yes}, no {no}, maybe {maybe}." in told


def test_adapt_tells_many_labels_by_their_range():
    from mdkif.core.routing.adapt import _told

    assert _told({"yes": 3, "no": 0}) == "the labels: yes 3, no 0"
    assert _told({str(i): i % 4 for i in range(50)}) == "50 labels, each 0 to 3 times"


def test_adapt_seeds_draw_other_shots(ready, pubmedqa):
    first, same, other = (
        adapt(ready, "pubmedqa", {"pubmedqa": pubmedqa}, ["qa"], "uniform", {"shots": "5", "seed": seed}).uniform
        for seed in "001"
    )
    assert first == same != other


def test_adapt_refuses_wrong_names_and_settings(learn, ready, pubmedqa, mednli):
    with pytest.raises(BadInput, match="no router named 'cmaes': did you mean 'cma-es'"):
        learn("cmaes")
    with pytest.raises(BadInput, match="no trained skill named 'q': "):
        learn("uniform", skills=["q"])
    with pytest.raises(BadInput, match="no setting named 'shot': did you mean 'shots'"):
        learn("uniform", shot=3)
    with pytest.raises(BadInput, match="setting scale cannot be 'two': use one of auto, one, free"):
        learn("uniform", scale="two")
    with pytest.raises(BadInput, match="There are no 'spam' records of 'pubmedqa': check the source"):
        learn("uniform", split="spam")
    with pytest.raises(BadInput, match="task 'pubmedqa' does not read 'mednli'"):
        adapt(ready, "pubmedqa", {"mednli": mednli}, None, "uniform")
    with pytest.raises(BadInput, match="no task named 'pubmed'"):
        adapt(ready, "pubmed", {"pubmedqa": pubmedqa})


def test_adapt_takes_one_skill_alone(learn):
    for router in ("cma-es", "gradient", "secant"):
        found = learn(router, skills=["qa"], scale="free", name=f"alone-{router}")
        assert list(found.composition.weights) == ["qa"]
        fixed = learn(router, skills=["qa"], name=f"fixed-{router}")
        assert fixed.end == min(fixed.references.values())
        assert found.end <= found.start


def test_adapt_composition_says_nothing_of_the_records(learn, ready, pubmedqa):
    learn("uniform")
    written = ready.store.composition("tiny", "pubmedqa-uniform").read_text()
    articles = json.loads((pubmedqa / "data" / "ori_pqal.json").read_text()).values()
    assert not [a for a in articles if a["QUESTION"] in written or a["CONTEXTS"][0] in written]
