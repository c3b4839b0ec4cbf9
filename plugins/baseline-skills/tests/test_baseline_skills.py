"""Baselines over skills: the ensemble is the mean of what each answers, and random skills have the real ones' size."""

from dataclasses import replace

import pytest
import torch
from mdkif import LowRank, SkillBank, Toolkit, TrainSettings
from mdkif.testing import assert_conforms, given_to, questions, sample_of
from mdkif_baseline_skills import Ensemble, RandomSkills
from mdkif_baseline_skills.randomised import randomised


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with two skills, hardly trained, and the skills."""
    kit = Toolkit(tmp_path_factory.mktemp("store"), "tiny", dtype="float32", format="plain")
    loop = TrainSettings(steps=3, batch_size=2, max_length=256, dev_records=2)
    artifacts = {}
    for seed, skill in enumerate(("nli", "qa")):
        dataset = {"nli": "mednli", "qa": "pubmedqa"}[skill]
        trainer = kit.trainer("lora", rank=2, learning_rate=2e-2)
        source = {dataset: sample_of(dataset)}
        artifacts[skill] = kit.train(skill, source, trainer=trainer, settings=replace(loop, seed=seed))
    return kit, artifacts


@pytest.fixture
def given(trained):
    kit, artifacts = trained

    def given(kind="labels", seed=0):
        found = given_to(questions(kind, 4, 2), questions(kind, 6, 1), seed)
        encoder = kit.workspace.encoder(kit.workspace.template(found.task), 256)
        return replace(found, model=encoder, skills=artifacts)

    return given


def test_baseline_skills_conform():
    assert_conforms("mdkif-baseline-skills")


def test_ensemble_scores_are_the_means_of_the_skills_own(given):
    own, each = given("choices"), []
    for artifact in own.skills.values():
        with artifact.applied(own.encoder.base) as adapted:
            each.append([p.scores for p in own.predict(adapted)])
    found = Ensemble().answers(own)
    for one, two, mean in zip(*each, (p.scores for p in found), strict=True):
        assert mean == pytest.approx([(a + b) / 2 for a, b in zip(one, two, strict=True)])
    assert [p.text for p in found] == [p.options[p.scores.index(max(p.scores))] for p in found]
    assert each[0] != each[1]
    assert own.counts == {"skills": 2}


def test_random_updates_have_rank_and_norm_of_the_real_ones_and_nothing_else(given):
    own = given()
    updates = own.skills["nli"].updates(own.encoder.base)
    found, again, other = (randomised(updates, seed) for seed in ("a", "a", "b"))
    assert set(found) == set(updates)
    for path, update in updates.items():
        dense = [each[path].up @ each[path].down for each in (updates, found, other)]
        assert found[path].rank == update.rank
        assert dense[1].norm().item() == pytest.approx(dense[0].norm().item(), rel=1e-4)
        assert torch.equal(found[path].down, again[path].down)
        assert abs(torch.cosine_similarity(dense[0].flatten(), dense[1].flatten(), 0).item()) < 0.5
        assert not torch.equal(dense[1], dense[2])


def test_random_update_of_rank_zero_stays_nothing():
    empty = {"m": LowRank(torch.zeros(0, 4), torch.zeros(3, 0))}
    assert randomised(empty, "a")["m"].rank == 0


@pytest.mark.parametrize("router", ["uniform", "gradient"])
@pytest.mark.parametrize("kind", ["labels", "text"])
def test_random_skills_are_routed_as_skills_are(given, router, kind):
    own = given(kind)
    found = RandomSkills(router=router).answers(own)
    assert own.counts == {"skills": 2, "routed on": 6}
    base = own.encoder.base
    skills = {name: randomised(each.updates(base), f"0:{name}") for name, each in own.skills.items()}
    if router == "uniform" and kind == "text":  # whose weights are known: 1/K, since answers are not chosen here
        with SkillBank(base.model, skills).applied(torch.full((2,), 0.5)):
            assert [p.text for p in found] == [p.text for p in own.predict()]
    if kind == "labels":
        assert [p.scores for p in found] != [p.scores for p in own.predict()]


def test_random_skills_answer_alike_with_a_seed(given):
    scores = [[p.scores for p in RandomSkills(router="uniform", scale="one").answers(given(seed=seed))]
              for seed in (0, 0, 1)]  # fmt: skip
    assert scores[0] == scores[1] != scores[2]
