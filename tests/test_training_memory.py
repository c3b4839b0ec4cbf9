"""What a training holds and how long it takes: activations that are computed again, and the estimate of a dry run."""

import json
import subprocess
import sys

import pytest
import torch
from mdkif import BadInput, Encoded, Progress, Trainer, TrainSettings
from mdkif.core.models.memory import forget_peak, held_bytes, peak_bytes, recomputed, weight_bytes
from mdkif.core.training import estimate as estimating
from mdkif.core.training.estimate import estimate
from mdkif.core.training.loop import schedule, train
from mdkif.testing import run
from transformers import LlamaConfig, LlamaForCausalLM

CPU = torch.device("cpu")
LLAMA = LlamaConfig(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                    num_key_value_heads=1)  # fmt: skip


def rows_of(lengths, answer=3):
    draw = torch.Generator().manual_seed(3)
    ids = [torch.randint(3, 600, (n,), generator=draw).tolist() for n in lengths]
    return [Encoded(None, tuple(i[:-answer]), tuple(i[-answer:])) for i in ids]


def method_of(plugins, name, **chosen):
    return plugins.get(Trainer, name).load()(**chosen)


# Activations that are computed again


@pytest.mark.parametrize("trainer", ["lora", "adalora"])
def test_train_with_gradient_checkpointing_gives_the_same_adapter(plugins, base, tmp_path, trainer):
    """With dropout: a layer that is computed again draws the same mask."""
    rows, found = rows_of((9, 14, 20, 31, 12, 25)), []
    for again in (False, True):
        settings = TrainSettings(steps=10, batch_size=3, gradient_checkpointing=again)
        done = train(base, rows, rows, method_of(plugins, trainer, dropout=0.2), settings, tmp_path, Progress())
        factors = {n: p.clone() for n, p in done.model.named_parameters() if "lora_" in n}
        done.model.unload()
        found.append((done, factors))
        assert not base.model.is_activation_checkpointing
    (kept, factors), (again, others) = found
    assert again.losses == pytest.approx(kept.losses, rel=1e-4)
    assert again.dev_after == pytest.approx(kept.dev_after, rel=1e-4)
    for name, factor in factors.items():
        torch.testing.assert_close(others[name], factor, rtol=1e-2, atol=1e-4)


def test_recomputed_keeps_fewer_activations_and_leaves_the_model_as_it_was():
    def kept(model):
        sizes = {}

        def note(tensor):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        ids = torch.randint(0, 50, (4, 40))
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model(input_ids=ids, use_cache=False)
        return sum(sizes.values())

    model = LlamaForCausalLM(LLAMA).train()
    before = kept(model)
    with recomputed(model):
        assert model.is_activation_checkpointing
        assert kept(model) < 0.5 * before
    assert not model.is_activation_checkpointing
    assert kept(model) == before


def test_recomputed_model_that_cannot_is_refused():
    model = LlamaForCausalLM(LLAMA)
    model.supports_gradient_checkpointing = False
    with (
        pytest.raises(BadInput, match=r"LlamaForCausalLM cannot recompute.*gradient_checkpointing=no"),
        recomputed(model),
    ):
        pass


# Bytes


def test_weight_bytes_counts_tied_weights_once():
    model = LlamaForCausalLM(LLAMA)
    model.lm_head.weight = model.model.embed_tokens.weight
    numbers = {id(p): p.numel() for p in model.parameters()}
    assert weight_bytes(model) - sum(b.nbytes for b in model.buffers()) == 4 * sum(numbers.values())
    assert weight_bytes(model.bfloat16()) < 2.2 * sum(numbers.values())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not let a peak be forgotten")
def test_peak_is_the_most_held_since_it_was_forgotten():
    forget_peak(CPU)
    before = peak_bytes(CPU)
    assert before >= held_bytes(CPU) > 0
    held = torch.ones(64 << 20, dtype=torch.uint8)
    assert peak_bytes(CPU) >= before + 0.9 * len(held)
    del held
    assert peak_bytes(CPU) >= before + 0.9 * (64 << 20)
    forget_peak(CPU)
    assert peak_bytes(CPU) < before + 0.5 * (64 << 20)


# The estimate


@pytest.fixture
def clock(monkeypatch):
    """A clock by which every step and every loss takes two seconds."""

    def seconds(work):
        work()
        return 2.0

    monkeypatch.setattr(estimating, "_seconds", seconds)
    return 2.0


@pytest.mark.parametrize("trainer", ["lora", "adalora"])
@pytest.mark.parametrize("again", [False, True])
def test_estimate_counts_the_schedule_and_leaves_the_base_as_it_was(plugins, base, clock, trainer, again):
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    rows = rows_of((9, 14, 20, 31, 12, 25, 17))
    settings = TrainSettings(epochs=6, batch_size=3, tokens=50, gradient_checkpointing=again)
    found = estimate(base, rows, rows[:4], method_of(plugins, trainer), settings)
    assert (found.records, found.steps) == (7, 14)
    steps = [parts for _, parts in zip(range(14), schedule(rows, settings), strict=False)]
    assert found.tokens == sum(len(row) for parts in steps for part in parts for row in part)
    sizes = [sum(len(part) * max(map(len, part)) for part in parts) for parts in steps]
    largest, *ordinary = sorted(sizes, reverse=True)
    assert clock * sum(sizes) / largest < 3600 * found.hours <= clock * sum(sizes) / min(ordinary) + 2 * clock
    assert found.weights == pytest.approx(weight_bytes(base.model) / 2**20)
    assert found.memory > found.weights
    after = base.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(p.requires_grad for p in base.model.parameters())
    assert not base.model.training


def test_estimate_of_a_single_step_and_of_no_development_records(plugins, base, clock):
    found = estimate(base, rows_of((9,)), [], method_of(plugins, "lora"), TrainSettings(steps=1))
    assert (found.steps, found.tokens) == (1, 9)
    assert found.hours == pytest.approx(clock / 3600)


def test_estimate_random_state_is_left_alone(plugins, base):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    estimate(base, rows_of((9, 12)), [], method_of(plugins, "lora"), TrainSettings(steps=3))
    assert torch.equal(torch.rand(1), expected)


MEASURE = """
import json, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from mdkif import Encoded, Progress, Toolkit, TrainSettings, train
from mdkif.core.models.memory import forget_peak, peak_bytes
from mdkif.core.training.estimate import estimate
import random
kit = Toolkit(sys.argv[2], sys.argv[3], dtype="float32", device="cpu")
draw = random.Random(0)
tokens = lambda count: tuple(draw.choices(range(20, 800), k=count))
rows = [Encoded(None, tokens(draw.randint(20, 60)), tokens(4)) for _ in range(20)]
base, method, settings = kit.workspace.base, kit.trainer("adalora"), TrainSettings(steps=5, batch_size=4)
if sys.argv[1] == "estimate":
    found = estimate(base, rows, rows[:4], method, settings)
    print(json.dumps([found.memory, found.tokens, found.weights]))
else:
    forget_peak(base.model.device)
    with TemporaryDirectory() as folder:
        train(base, rows, rows[:4], method, settings, Path(folder), Progress())
    print(json.dumps([peak_bytes(base.model.device) / 2**20]))
"""


def test_estimate_of_memory_is_within_a_quarter_of_what_a_training_takes(tmp_path):
    """Each in a process of its own, above what the weights and the libraries take."""

    def measured(what, base):
        command = [sys.executable, "-c", MEASURE, what, str(tmp_path / "store"), base]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    pytest.importorskip("mdkif_model_smollm2", reason="SmolLM2 is not installed: mdkif install smollm2")
    estimated, _, weights = measured("estimate", "smollm2")
    [real] = measured("train", "smollm2")
    assert real > weights + 100
    assert estimated == pytest.approx(real, rel=0.25)


def test_dry_run_says_what_a_training_takes_and_keeps_nothing(workspace, pubmedqa, tmp_path, capsys):
    line = ["--store", tmp_path / "store", "train", "qa", "--source", f"pubmedqa={pubmedqa}",
            "--base", workspace.base.path, "--set", "batch_size=4", "--set", "steps=3",
            "--trainer", "lora", "--max-length", "256"]  # fmt: skip
    assert run(*line, "--dry-run", "--json") == 0
    [found] = json.loads(capsys.readouterr().out)
    assert list(found) == ["skill", "trainer", "records", "steps", "tokens", "weights", "memory", "hours"]
    assert (found["skill"], found["trainer"], found["steps"]) == ("qa", "lora", 3)
    assert not list((tmp_path / "store").rglob("skill.json"))
    assert run(*line, "--dry-run") == 0
    assert capsys.readouterr().out.split()[:5] == ["skill", "trainer", "records", "steps", "tokens"]
    assert run(*line, "--json") == 0
    [card] = json.loads(capsys.readouterr().out)
    assert (card["steps"], card["data"]["records"]) == (found["steps"], found["records"])
