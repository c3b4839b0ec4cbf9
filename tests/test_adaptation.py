"""Stage II with the installed plugins: what is found, what is never worse, and what is left untouched."""

import json

import numpy as np
import pytest
import torch
from mdkif import BadInput
from mdkif.core.adaptation import AdaptationObjective, AdaptationSettings, adapt
from mdkif.core.compositions import bank_of, blend, load_composition
from mdkif.core.conversion import Conversion
from mdkif.core.declarations import Task
from mdkif.core.skills import train_skill
from mdkif.core.store import Store
from mdkif.core.workspace import Workspace, sample
from torch.nn import functional

LOOP = {"steps": "10", "batch_size": "8", "learning_rate": "1e-2", "rank_each": "3", "alpha": "6"}
QUICK = {"cma-es": {"evaluations": "27"}, "gradient": {"steps": "6", "learning_rate": "0.3"}}
ROUTERS = pytest.mark.parametrize("router", ["cma-es", "gradient"])


@pytest.fixture(scope="session")
def taught(tmp_path_factory, shared_base, plugins, pubmedqa, mednli):
    """The folders of two skills that were really trained; pubmedqa's own is of use to the task, mednli's less."""
    made = Workspace(plugins, Store(tmp_path_factory.mktemp("taught")), shared_base.path)
    made.__dict__["base"] = shared_base
    return {
        "qa": train_skill(made, "qa", {"pubmedqa": pubmedqa}, "lora", LOOP, seed=3).path,
        "nli": train_skill(made, "nli", {"mednli": mednli}, "lora", LOOP, seed=4).path,
    }


@pytest.fixture
def ready(workspace, taught, adapters, put_skill):
    """A workspace with those two skills and one of random numbers."""
    for name, folder in {**taught, "er": adapters["er"]}.items():
        put_skill(workspace, name, folder)
    return workspace


@pytest.fixture
def learn(ready, pubmedqa):
    def learn(router="cma-es", skills=("qa", "nli", "er"), name=None, **settings):
        chosen = {"shots": "8", **QUICK.get(router, {}), **{key: str(value) for key, value in settings.items()}}
        return adapt(ready, "pubmedqa", {"pubmedqa": pubmedqa}, skills, router, chosen, name)

    return learn


@pytest.fixture
def examples(ready, pubmedqa):
    """The adaptation set of eight shots of seed 0, drawn and encoded apart from `adapt`."""
    task = ready.plugins.get(Task, "pubmedqa")
    records = ready.records(task, {"pubmedqa": pubmedqa}, Conversion())
    return list(ready.encoder(task, 512).encode(sample(records, {"train": 8}, 0)["train"]))


@pytest.fixture
def objective(ready, examples):
    def objective(skills=("qa", "nli", "er"), **settings):
        task = ready.plugins.get(Task, "pubmedqa")
        chosen = AdaptationSettings(**settings)
        bank = bank_of(ready, skills, chosen.granularity)
        return AdaptationObjective(ready, task, ready.encoder(task, 512), bank, examples, chosen)

    return objective


@torch.no_grad()
def measured(workspace, examples, weights):
    """Nats per answer token with the dense sum in the weights, one unpadded row at a time."""
    bank = bank_of(workspace, list(weights))
    total = 0.0
    with bank.merged(torch.tensor(list(weights.values()))):
        for example in examples:
            logits = workspace.base.model(input_ids=torch.tensor([example.prompt + example.answer])).logits[0]
            answer = logits[len(example.prompt) - 1 : -1].double()
            total += functional.cross_entropy(answer, torch.tensor(example.answer), reduction="sum").item()
    return total / sum(len(example.answer) for example in examples)


@torch.no_grad()
def accuracy(workspace, examples, weights):
    """The share of records whose likeliest option is right, by one plain forward for each option."""
    right = 0
    with bank_of(workspace, list(weights)).merged(torch.tensor(list(weights.values()))):
        for example in examples:
            scores = []
            for option in example.options:
                logits = workspace.base.model(input_ids=torch.tensor([example.prompt + option])).logits[0]
                logp = torch.log_softmax(logits[len(example.prompt) - 1 : -1], -1)
                scores.append(logp.gather(1, torch.tensor(option)[:, None]).sum().item())
            right += example.record.options[scores.index(max(scores))] == example.record.labels[0]
    return right / len(examples)


def corner(skills, name):
    return {skill: float(skill == name) for skill in skills}


def test_references_are_base_every_single_and_uniform_measured_exactly(learn, ready, examples):
    found = learn("uniform")
    skills = ("qa", "nli", "er")
    expected = {name: measured(ready, examples, corner(skills, name)) for name in ("base", *skills)}
    expected["uniform"] = measured(ready, examples, dict.fromkeys(skills, 1 / 3))
    assert list(found.references) == ["base", "qa", "nli", "er", "uniform"]
    assert found.references == pytest.approx(expected, rel=1e-4)
    assert found.uniform == found.references["uniform"]
    assert found.start == min(found.references.values())
    assert len({round(value, 3) for value in expected.values()}) == 5


def test_uniform_and_single_are_exact(learn, ready, examples):
    uniform, single = learn("uniform"), learn("single")
    assert uniform.composition.weights == pytest.approx(dict.fromkeys(("qa", "nli", "er"), 1 / 3))
    assert uniform.end == uniform.uniform
    best = min(("qa", "nli", "er"), key=lambda name: measured(ready, examples, {name: 1.0}))
    assert best == "qa"
    assert single.composition.weights == corner(("qa", "nli", "er"), "qa")
    assert single.end == single.references["qa"]
    assert (uniform.evaluations, single.evaluations) == (5, 0), "the references are measured once"


def test_references_are_measured_anew_when_a_skill_was_trained_anew(learn, ready, examples, put_skill, adapters):
    first = learn("single", skills=["qa"])
    put_skill(ready, "qa", adapters["nli"])
    again = learn("single", skills=["qa"])
    assert again.end == pytest.approx(measured(ready, examples, {"qa": 1.0}), rel=1e-4)
    assert abs(again.end - first.end) > 0.01


@ROUTERS
@pytest.mark.parametrize(
    "settings", [{}, {"scale": "free"}, {"gamma": 0.5}, {"granularity": "layer"}, {"temperature": 0.3}]
)
def test_the_result_is_never_worse_than_base_single_or_uniform(learn, router, settings):
    found = learn(router, **settings)
    assert found.end <= min(found.references.values())
    assert found.start == min(found.references.values())


@ROUTERS
def test_a_search_with_a_free_scale_gains_and_its_value_is_the_saved_compositions(learn, ready, examples, router):
    longer = {"steps": 15} if router == "gradient" else {"evaluations": 60}
    found = learn(router, scale="free", **longer)
    assert found.end < found.start - 1e-3
    made = load_composition(ready, f"pubmedqa-{router}")
    assert made == found.composition
    assert measured(ready, examples, made.weights) == pytest.approx(found.end, rel=1e-4)
    assert abs(sum(made.weights.values()) - 1) > 0.05
    assert made.origin["objective"] == found.end
    assert (made.origin["task"], made.origin["router"], made.origin["records"]) == ("pubmedqa", router, 8)


@ROUTERS
def test_a_seed_repeats_the_result(learn, router):
    mixed = {"scale": "free"} | ({"batch": 3} if router == "gradient" else {})
    first, second, other = (learn(router, name=f"s{i}", seed=s, **mixed) for i, s in enumerate((0, 0, 1)))
    assert first.composition.weights == second.composition.weights
    assert (first.end, first.evaluations - 5) == (second.end, second.evaluations)
    assert first.composition.weights != other.composition.weights


def test_numpys_random_state_and_the_working_folder_are_untouched(learn, tmp_path, monkeypatch):
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
    assert found.evaluations == 5 + 27
    assert [path.name for path in folder.iterdir()] == ["cma_signals.in"]


def test_numpys_random_state_does_not_matter(learn):
    np.random.seed(1)
    first = learn("cma-es", name="a", scale="free")
    np.random.seed(2)
    assert learn("cma-es", name="b", scale="free").composition.weights == first.composition.weights


def test_with_scale_one_the_weights_of_a_search_sum_to_one(learn):
    found = learn("gradient", skills=("nli", "er"), steps=10)
    total = sum(found.composition.summary().values())
    assert total == pytest.approx(1, abs=1e-5) or found.composition.origin["reference"] == "base"
    assert found.composition.granularity == "skill"


def test_a_population_is_valued_as_each_candidate_alone_in_any_budget(objective, ready, examples):
    for granularity in ("skill", "module"):
        one = objective(granularity=granularity, gamma=0.2, regulariser="alpha")
        points = torch.randn(5, one.space.size, generator=torch.Generator().manual_seed(2))
        before = one.evaluations
        values = one.values(points)
        assert one.evaluations == before + 5
        assert values == pytest.approx([one.values(point[None])[0] for point in points], rel=1e-5)
        narrow = objective(granularity=granularity, gamma=0.2, regulariser="alpha", tokens=200)
        assert values == pytest.approx(narrow.values(points), rel=1e-5)
        assert len({round(value, 3) for value in values}) == 5


def test_values_are_the_loss_at_the_softmax_weights_plus_the_regulariser(objective, ready, examples):
    point = torch.tensor([0.5, -0.4, 0.1, 0.2, 0.3, -0.7])
    for regulariser in ("alpha", "weights"):
        own = objective(gamma=0.3, regulariser=regulariser, temperature=0.7)
        energies = (point[:3] * own.space.norms + point[3:]) / 0.7
        shares = energies.exp() / energies.exp().sum()
        penalty = (point[:3] if regulariser == "alpha" else shares).square().sum().item()
        loss = measured(ready, examples, dict(zip(("qa", "nli", "er"), shares.tolist(), strict=True)))
        assert own.values(point[None]) == pytest.approx([loss + 0.3 * penalty], rel=1e-4)


def test_references_carry_the_regulariser_of_their_own_shares(objective):
    bare, weighed = objective(), objective(gamma=0.6)
    extra = [w.value - b.value for w, b in zip(weighed.references, bare.references, strict=True)]
    assert extra == pytest.approx([0, 0.6, 0.6, 0.6, 0.6 / 3], abs=1e-5)
    layered = [c.value for c in objective(gamma=0.6, granularity="layer").references]
    assert [a - b.value for a, b in zip(layered, bare.references, strict=True)] == pytest.approx(
        [0, 1.2, 1.2, 1.2, 0.4], abs=1e-5
    )
    alphas = objective(gamma=0.6, regulariser="alpha").references
    assert [c.value for c in alphas] == pytest.approx([c.value for c in bare.references])


@pytest.mark.parametrize("settings", [{}, {"scale": "free", "gamma": 0.3}, {"granularity": "layer"}, {"tokens": 150}])
def test_the_gradient_is_the_slope_of_the_values(objective, settings):
    own = objective(**settings)
    point = torch.randn(own.space.size, generator=torch.Generator().manual_seed(4)) * 0.5
    value, gradient = own.gradient(point)
    assert value == pytest.approx(own.values(point[None])[0], rel=1e-5)
    steps = 0.02 * torch.eye(own.space.size)
    above, below = own.values(point + steps), own.values(point - steps)
    slopes = (torch.tensor(above) - torch.tensor(below)) / 0.04
    torch.testing.assert_close(gradient, slopes, rtol=3e-2, atol=2e-3)
    assert gradient.abs().max() > 0.05
    assert not point.requires_grad


def test_a_mini_batch_gradient_is_that_of_its_rows(objective, ready, examples):
    own = objective()
    point = torch.zeros(6)
    value, _ = own.gradient(point, [1, 4])
    assert value == pytest.approx(
        measured(ready, [examples[1], examples[4]], dict.fromkeys(("qa", "nli", "er"), 1 / 3)), rel=1e-4
    )


def test_a_metric_is_an_objective_for_cma_es(learn, ready, examples):
    found = learn("cma-es", objective="accuracy", evaluations=9)
    skills = ("qa", "nli", "er")
    for name in ("base", *skills):
        assert found.references[name] == pytest.approx(-accuracy(ready, examples, corner(skills, name)))
    assert found.end == pytest.approx(-accuracy(ready, examples, found.composition.weights))
    assert found.end <= min(found.references.values())
    lower_is_better = learn("single", objective="log_loss")
    assert lower_is_better.end == min(lower_is_better.references[name] for name in skills) > 0


def test_a_metric_has_no_gradient_and_an_unknown_one_is_refused(learn):
    with pytest.raises(BadInput, match="objective 'accuracy' has no gradient: use --router cma-es for a metric"):
        learn("gradient", objective="accuracy")
    with pytest.raises(BadInput, match="cannot be 'rougeL': the task 'pubmedqa' offers cross-entropy, accuracy"):
        learn("cma-es", objective="rougeL")


def test_a_metric_that_is_undefined_on_the_records_is_refused(learn):
    with pytest.raises(BadInput, match="objective 'auroc' is undefined on these 1 records: use more shots"):
        learn("single", objective="auroc", shots=1)


@ROUTERS
def test_finer_weights_are_saved_and_are_what_was_valued(learn, ready, examples, router):
    found = learn(router, granularity="layer", scale="free")
    assert found.composition.granularity == "layer"
    bank, weights = blend(ready, f"pubmedqa-{router}")
    assert weights.shape == (2, 3)
    total = 0.0
    with torch.no_grad(), bank.merged(weights):
        for example in examples:
            logits = ready.base.model(input_ids=torch.tensor([example.prompt + example.answer])).logits[0]
            answer = logits[len(example.prompt) - 1 : -1].double()
            total += functional.cross_entropy(answer, torch.tensor(example.answer), reduction="sum").item()
    assert total / sum(len(e.answer) for e in examples) == pytest.approx(found.end, rel=1e-4)


def test_the_test_split_is_refused(learn, ready):
    with pytest.raises(BadInput, match="router of 'pubmedqa' cannot be adapted on the test split"):
        learn("uniform", split="test")
    assert not (ready.store.root / "compositions").exists()


def test_no_record_of_the_test_split_is_ever_seen(ready, pubmedqa, monkeypatch):
    """Also in the normal setting, whose size is that of the test split."""
    from mdkif.core import adaptation

    seen = []

    class Watching(AdaptationObjective):
        def __init__(self, workspace, task, encoder, bank, examples, settings):
            seen.append([example.record.id for example in examples])
            super().__init__(workspace, task, encoder, bank, examples, settings)

    monkeypatch.setattr(adaptation, "AdaptationObjective", Watching)
    truth = json.loads((pubmedqa / "data" / "test_ground_truth.json").read_text())
    for settings in ({"setting": "normal"}, {"setting": "normal", "limit": "5"}, {"shots": "8"}, {"split": "dev"}):
        adapt(ready, "pubmedqa", {"pubmedqa": pubmedqa}, ["qa"], "uniform", settings)
    assert [len(ids) for ids in seen] == [20, 5, 8, 4]
    assert not {f"pubmedqa/{pmid}" for pmid in truth} & {record for ids in seen for record in ids}


def test_seeds_draw_other_shots(ready, pubmedqa):
    first, same, other = (
        adapt(ready, "pubmedqa", {"pubmedqa": pubmedqa}, ["qa"], "uniform", {"shots": "5", "seed": seed}).uniform
        for seed in "001"
    )
    assert first == same != other


def test_wrong_names_and_settings_are_refused(learn, ready, pubmedqa, mednli):
    with pytest.raises(BadInput, match="no router named 'cmaes': did you mean 'cma-es'"):
        learn("cmaes")
    with pytest.raises(BadInput, match="no trained skill named 'q': "):
        learn("uniform", skills=["q"])
    with pytest.raises(BadInput, match="no setting named 'shot': did you mean 'shots'"):
        learn("uniform", shot=3)
    with pytest.raises(BadInput, match="setting scale cannot be 'two': use one of one, free"):
        learn("uniform", scale="two")
    with pytest.raises(BadInput, match="There are no 'spam' records of 'pubmedqa': check the source"):
        learn("uniform", split="spam")
    with pytest.raises(BadInput, match="task 'pubmedqa' does not read 'mednli'"):
        adapt(ready, "pubmedqa", {"mednli": mednli}, None, "uniform")
    with pytest.raises(BadInput, match="no task named 'pubmed'"):
        adapt(ready, "pubmed", {"pubmedqa": pubmedqa})


def test_one_skill_alone_can_be_adapted(learn):
    for router in ("cma-es", "gradient"):
        found = learn(router, skills=["qa"], scale="free", name=f"alone-{router}")
        assert list(found.composition.weights) == ["qa"]
        assert found.end <= found.start


def test_the_composition_says_nothing_of_the_records(learn, ready, pubmedqa):
    learn("uniform")
    written = ready.store.composition("tiny", "pubmedqa-uniform").read_text()
    articles = json.loads((pubmedqa / "data" / "ori_pqal.json").read_text()).values()
    assert not [a for a in articles if a["QUESTION"] in written or a["CONTEXTS"][0] in written]
