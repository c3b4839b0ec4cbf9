"""Stage I: determinism, resuming, what is saved, and a base that is left as it was."""

import json
import math
from contextlib import contextmanager

import pytest
import torch
from mdkif import BadInput, MdkifError, Progress
from mdkif.core.adapters.peft_files import read_adapter
from mdkif.core.progress import Bar
from mdkif.core.training.checkpoint import CHECKPOINT
from mdkif.core.training.loop import _rate, train
from mdkif.core.training.settings import TrainSettings
from peft import PeftModel
from safetensors.torch import load_file
from torch.nn import functional
from verbs import train_skill

LOOP = {"steps": "12", "batch_size": "4", "checkpoint_every": "3", "dev_records": "8", "learning_rate": "1e-2"}
SETTINGS = {
    "lora": {**LOOP, "rank": "3"},
    "adalora": {**LOOP, "init_rank": "4", "target_rank": "2", "dropout": "0.1"},
}
TRAINERS = pytest.mark.parametrize("trainer", SETTINGS)


class Interrupting(Progress):
    """Ctrl-C after that many steps of training; remembers how many steps were done before."""

    def __init__(self, after=0):
        self.after = after
        self.done = []

    @contextmanager
    def task(self, title, total, done=0):
        self.done += [done] if title.startswith("training") else []
        yield self._Bar(self.after - done)

    class _Bar(Bar):
        def __init__(self, left):
            self.left = left

        def advance(self, by=1, **figures):
            self.left -= by
            if self.left == 0:
                raise KeyboardInterrupt


@pytest.fixture
def learn(workspace, pubmedqa):
    """A function that trains the skill qa in a workspace of its own store."""

    def learn(trainer="lora", progress=None, store=None, skill="qa", source=None, seed=0, **settings):
        from dataclasses import replace

        from mdkif.core.store.layout import Store

        own = replace(workspace, store=Store(workspace.store.root / (store or "x")), progress=progress or Progress())
        own.__dict__["base"] = workspace.base
        chosen = {**SETTINGS[trainer], **{key: str(value) for key, value in settings.items()}}
        return train_skill(own, skill, source or {"pubmedqa": pubmedqa}, trainer, chosen, seed)

    return learn


def weights(trained):
    return (trained.path / "adapter_model.safetensors").read_bytes()


@pytest.fixture
def examples(workspace, encoder_for, questions):
    return list(encoder_for(workspace.base).encode(questions(12)))


def method_of(plugins, name, **settings):
    from mdkif.core.contract.declarations import Trainer

    return plugins.get(Trainer, name).load()(**settings)


@torch.no_grad()
def manual_loss(model, examples):
    """Nats per answer token, one unpadded row at a time."""
    total = 0.0
    for example in examples:
        ids = torch.tensor([example.prompt + example.answer])
        logits = model(input_ids=ids).logits[0, len(example.prompt) - 1 : -1].double()
        total += functional.cross_entropy(logits, torch.tensor(example.answer), reduction="sum").item()
    return total / sum(len(example.answer) for example in examples)


@pytest.fixture(scope="module")
def wholes():
    """What uninterrupted training gave, by trainer: the adapter's bytes and its metrics."""
    return {}


@pytest.fixture
def whole(learn, wholes):
    def whole(trainer):
        if trainer not in wholes:
            trained = learn(trainer, store="whole")
            wholes[trainer] = (weights(trained), trained.card["metrics"])
        return wholes[trainer]

    return whole


@TRAINERS
def test_train_with_a_seed_gives_the_same_adapter_and_with_another_another(learn, whole, trainer):
    again = learn(trainer)
    assert (weights(again), again.card["metrics"]) == whole(trainer)
    assert weights(learn(trainer, store="other", seed=1)) != weights(again)


def test_train_surrounding_random_state_neither_matters_nor_changes(learn, whole):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    trained = learn("adalora")
    assert torch.equal(torch.rand(1), expected)
    assert weights(trained) == whole("adalora")[0]


@TRAINERS
@pytest.mark.parametrize(("after", "resumed"), [(2, 0), (8, 6), (11, 9)])
def test_train_interrupted_and_run_again_equals_uninterrupted(learn, whole, trainer, after, resumed):
    """AdaLoRA's phases here: no cut to step 4, cuts to 8, the final choice of triplets from 8 on."""
    with pytest.raises(KeyboardInterrupt):
        learn(trainer, Interrupting(after))
    again = Interrupting()
    parts = learn(trainer, again)
    assert again.done == [resumed]
    assert (weights(parts), parts.card["metrics"]) == whole(trainer)
    assert not list((parts.path.parents[2] / "runs").iterdir())


def test_train_twice_interrupted_equals_uninterrupted(learn, whole):
    for after in (4, 10):
        with pytest.raises(KeyboardInterrupt):
            learn("adalora", Interrupting(after))
    assert weights(learn("adalora")) == whole("adalora")[0]


def test_train_random_state_of_an_accelerator_is_restored_with_the_rest(learn, whole, monkeypatch):
    """There is none here: a generator stands for one, which must be where it was when the checkpoint was written."""
    from types import SimpleNamespace

    from mdkif.core.training import checkpoint

    draw = torch.Generator().manual_seed(5)
    device = SimpleNamespace(get_rng_state=draw.get_state, set_rng_state=draw.set_state)
    monkeypatch.setattr(checkpoint, "_accelerator", lambda model: device)
    with pytest.raises(KeyboardInterrupt):
        learn("lora", Interrupting(7))
    kept = draw.get_state()
    torch.rand(3, generator=draw)
    assert weights(learn("lora")) == whole("lora")[0]
    assert torch.equal(draw.get_state(), kept)


def test_train_start_from_the_gradient_is_resumed_too(learn):
    expected = learn("adalora", store="whole", start="gradient")
    with pytest.raises(KeyboardInterrupt):
        learn("adalora", Interrupting(8), start="gradient")
    assert weights(learn("adalora", start="gradient")) == weights(expected)


def test_train_other_settings_or_data_do_not_resume_from_a_checkpoint(learn):
    with pytest.raises(KeyboardInterrupt):
        learn("lora", Interrupting(7))
    for change in ({"rank": 2}, {"seed": 5}):
        fresh = Interrupting(1)
        with pytest.raises(KeyboardInterrupt):
            learn("lora", fresh, **change)
        assert fresh.done == [0]


@pytest.mark.parametrize("after", [7, 11])
def test_train_checkpoints_of_adalora_are_not_pruned_and_hold_its_averages(learn, workspace, after):
    with pytest.raises(KeyboardInterrupt):
        learn("adalora", Interrupting(after))
    [checkpoint] = workspace.store.root.glob(f"x/runs/*/{CHECKPOINT}")
    tensors = load_file(checkpoint)
    for letter, axis in (("A", 0), ("B", 1), ("E", 0)):
        shapes = [t.shape for key, t in tensors.items() if key.startswith("model/") and f"lora_{letter}" in key]
        assert len(shapes) == 14
        assert {shape[axis] for shape in shapes} == {4}
    kept = [tensor for key, tensor in tensors.items() if key.startswith("method/kept/")]
    assert len(kept) == 14
    if after == 11:
        assert sum(int(tensor.sum()) for tensor in kept) == 2 * 14
    else:
        assert sum(key.startswith("method/exp_avg_ipt/") for key in tensors) == 3 * 14
        assert sum(int(tensor.sum()) for tensor in kept) > 2 * 14


def test_train_adalora_really_allocates(learn):
    trained = learn("adalora", steps=20)
    ranks = [update.rank for update in read_adapter(trained.path).values()]
    assert sum(ranks) == 2 * 14
    assert min(ranks) < 2 < max(ranks) <= 4
    assert trained.card["rank"] == {"mean": 2.0, "least": min(ranks), "most": max(ranks)}
    config = json.loads((trained.path / "adapter_config.json").read_text())
    assert sorted(sum(kept) for kept in config["rank_pattern"].values()) == sorted(ranks)


@pytest.mark.parametrize("final_share", [0.0, 0.1, 0.5])
def test_train_budget_is_met_for_any_final_share(learn, final_share):
    trained = learn("adalora", final_share=final_share)
    assert sum(update.rank for update in read_adapter(trained.path).values()) == 2 * 14


@TRAINERS
def test_train_reported_losses_are_manual_cross_entropies_without_any_penalty(
    plugins, workspace, examples, tmp_path, trainer
):
    base = workspace.base
    strong = {"orthogonality": 50.0} if trainer == "adalora" else {}
    method = method_of(plugins, trainer, learning_rate=1e-2, **strong)
    loop = TrainSettings(steps=10, batch_size=12)
    bare = manual_loss(base.model, examples)
    trained = train(base, examples, examples, method, loop, tmp_path, Progress())
    assert trained.losses[0] == pytest.approx(bare, rel=1e-4)
    assert trained.dev_before == pytest.approx(bare, rel=1e-4)
    assert trained.dev_after == pytest.approx(manual_loss(trained.model, examples), rel=1e-4)
    assert trained.dev_after < bare
    trained.model.unload()
    assert manual_loss(base.model, examples) == pytest.approx(bare, rel=1e-6)


@TRAINERS
def test_train_lowers_the_loss_on_records_it_does_not_see(learn, trainer):
    metrics = learn(trainer, steps=30).card["metrics"]
    assert metrics["dev_loss"] < metrics["dev_loss_before"] - 0.5
    assert metrics["train_loss"] < metrics["dev_loss_before"]


@TRAINERS
def test_train_saved_adapter_gives_the_trained_logits_in_plain_peft(
    plugins, workspace, examples, tmp_path, fresh, trainer, tokens
):
    method = method_of(plugins, trainer, learning_rate=1e-2)
    loop = TrainSettings(steps=10, batch_size=4)
    trained = train(workspace.base, examples, [], method, loop, tmp_path, Progress())
    with torch.no_grad():
        expected = trained.model(input_ids=tokens).logits
        trained.model.save_pretrained(str(tmp_path / "saved"))
        trained.model.unload()
        assert (expected - workspace.base.model(input_ids=tokens).logits).abs().max() > 0.01
        found = PeftModel.from_pretrained(fresh(), str(tmp_path / "saved"))(input_ids=tokens).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore")
@TRAINERS
def test_train_keeps_er_and_qa_from_colliding(learn, ontology, fresh, trainer, tokens):
    """PEFT matches adapter names as parts of module paths, where "er" is in "layers"."""
    sources = {"er": {"disease-ontology": ontology}, "qa": None}
    trained = {name: learn(trainer, skill=name, source=source) for name, source in sources.items()}
    for name, skill in trained.items():
        assert skill.path.name == name
        keys = set(load_file(skill.path / "adapter_model.safetensors"))
        assert len(keys) == (42 if trainer == "adalora" else 28)
        assert all(key.startswith("base_model.model.model.layers.") and f".{name}." not in key for key in keys)
        alone = PeftModel.from_pretrained(fresh(), str(skill.path))
        updates = read_adapter(skill.path)
        model = fresh()
        for path, module in model.named_modules():
            if path in updates:
                module.weight.data += updates[path].up @ updates[path].down
        with torch.no_grad():
            torch.testing.assert_close(
                alone(input_ids=tokens).logits, model(input_ids=tokens).logits, atol=1e-5, rtol=1e-5
            )


def test_train_base_is_clean_between_skills(learn, whole, workspace, recwarn):
    """Training after a finished, an interrupted or a failed run gives what a new process gives."""
    first, _ = whole("lora")
    with pytest.raises(KeyboardInterrupt):
        learn("adalora", Interrupting(5), store="b")
    with pytest.raises(MdkifError):
        learn("lora", store="c", learning_rate=1e30)
    assert not hasattr(workspace.base.model, "peft_config")
    assert not any("lora" in name for name, _ in workspace.base.model.named_modules())
    assert weights(learn("lora", store="d")) == first
    assert not [w for w in recwarn if "second time" in str(w.message)]


def test_train_attach_that_fails_leaves_the_base_clean(workspace, examples, plugins, tmp_path):
    method = method_of(plugins, "adalora", init_rank=4, target_rank=4)
    with pytest.raises(BadInput, match="target_rank is 4"):
        train(workspace.base, examples, [], method, TrainSettings(steps=5), tmp_path, Progress())


def test_train_save_that_fails_leaves_the_base_clean(learn, workspace, monkeypatch):
    from mdkif.core.training import train as skills

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(skills, "readme", full)
    with pytest.raises(MdkifError, match="No space left on device"):
        learn("lora", steps=1)
    assert not any("lora" in name for name, _ in workspace.base.model.named_modules())
    assert not list((workspace.store.root / "x" / "skills" / "tiny").iterdir())


def test_train_loss_that_is_not_finite_is_a_clear_error(learn):
    with pytest.raises(MdkifError, match=r"became (nan|inf) at step \d+: lower learning_rate, now 1e\+30") as raised:
        learn("lora", learning_rate=1e30)
    assert raised.value.exit_code == 1


def test_train_without_dev_records_has_no_dev_losses(workspace, plugins, examples, tmp_path):
    loop = TrainSettings(steps=1)
    trained = train(workspace.base, examples, [], method_of(plugins, "lora"), loop, tmp_path, Progress())
    trained.model.unload()
    assert trained.dev_before is None
    assert trained.dev_after is None


@pytest.mark.parametrize(("epochs", "expected"), [(1.0, 3), (2.0, 6), (0.1, 1), (1.5, 5)])
def test_train_epochs_become_steps(workspace, plugins, examples, tmp_path, epochs, expected):
    loop = TrainSettings(epochs=epochs, batch_size=4)
    trained = train(workspace.base, examples, [], method_of(plugins, "lora"), loop, tmp_path, Progress())
    trained.model.unload()
    assert trained.steps == expected == len(trained.losses)


def test_train_learning_rate_rises_to_its_full_and_falls_to_a_tenth():
    rates = [_rate(step, 200, 0.1) for step in range(200)]
    assert rates[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert rates[19:] == sorted(rates[19:], reverse=True)
    assert rates[110] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert all(0 < _rate(step, 1, 0.06) <= 1 for step in range(1))


def test_train_moves_the_adapter_alone_and_clips_gradients(plugins, workspace, examples, tmp_path):
    """A step of Adam is at most the learning rate, whatever the gradient; the base does not move at all."""
    before = {name: value.clone() for name, value in workspace.base.model.state_dict().items()}
    method = method_of(plugins, "lora", learning_rate=1e-3, dropout=0.0)
    loop = TrainSettings(steps=1, batch_size=4, warmup=0)
    trained = train(workspace.base, examples, [], method, loop, tmp_path, Progress())
    lifted = [value for name, value in trained.model.named_parameters() if "lora_B" in name]
    assert all(0.9e-3 < value.abs().max() <= 1.01e-3 for value in lifted)
    trained.model.unload()
    assert all(torch.equal(value, before[name]) for name, value in workspace.base.model.state_dict().items())


@TRAINERS
def test_train_card_has_the_settings_and_no_record_text(learn, pubmedqa, trainer):
    trained = learn(trainer)
    card = json.loads((trained.path / "skill.json").read_text())
    assert card == trained.card
    assert card["trainer"] == trainer
    assert card["steps"] == 12
    assert card["settings"]["learning_rate"] == 1e-2
    assert card["data"]["records"] == 48
    assert all(math.isfinite(loss) for loss in card["metrics"].values())
    articles = json.loads((pubmedqa / "data" / "ori_pqal.json").read_text()).values()
    written = "".join(path.read_text() for path in trained.path.iterdir() if path.suffix in (".json", ".md"))
    assert not [article for article in articles if article["QUESTION"] in written or article["CONTEXTS"][0] in written]


def test_train_step_in_parts_is_the_same_step(learn):
    """Accumulated parts must weigh answers' tokens as one batch does; parts also pad less."""
    whole = learn("lora", store="whole", dropout="0", tokens="100000")
    parts = learn("lora", store="parts", dropout="0", tokens="1")
    ours, theirs = read_adapter(whole.path), read_adapter(parts.path)
    for path, update in ours.items():
        torch.testing.assert_close(update.up @ update.down, theirs[path].up @ theirs[path].down, atol=2e-4, rtol=2e-3)
    assert whole.card["metrics"]["train_loss"] == pytest.approx(parts.card["metrics"]["train_loss"], rel=1e-4)
