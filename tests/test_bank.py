"""The skill bank against PEFT's own sum of adapters, dense products and finite differences, all in float32."""

import copy
from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mdkif import BadInput
from mdkif.core.adapters.bank import SkillBank
from mdkif.core.adapters.low_rank import LowRank
from mdkif.core.adapters.peft_files import read_adapter
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.nn import functional

WEIGHTS = torch.tensor([0.7, -0.4, 1.3])
TOLERANCE = {"atol": 2e-5, "rtol": 1e-5}


@pytest.fixture
def skills(adapters):
    return {name: read_adapter(folder) for name, folder in adapters.items()}


@pytest.fixture
def bank(base, skills):
    return SkillBank(base.model, skills)


@torch.no_grad()
def logits(model, tokens):
    return model(input_ids=tokens).logits


def by_peft(model, adapters, weights, tokens):
    """The logits of PEFT with several adapters active, each scaled; LoRA and AdaLoRA cannot share one PeftModel."""
    folders = iter(adapters.items())
    name, folder = next(folders)
    wrapped = PeftModel.from_pretrained(model, str(folder), adapter_name=f"skill__{name}__")
    for name, folder in folders:
        wrapped.load_adapter(str(folder), adapter_name=f"skill__{name}__")
    wrapped.base_model.set_adapter([f"skill__{name}__" for name in adapters])
    for module in wrapped.modules():
        for name, weight in zip(adapters, weights, strict=True):
            if isinstance(module, BaseTunerLayer) and f"skill__{name}__" in module.scaling:
                module.scaling[f"skill__{name}__"] *= float(weight)
    with torch.no_grad():
        return wrapped.eval()(input_ids=tokens).logits


def dense(model, skills, weight_of, tokens):
    """The logits with W + sum_i w_i dW_i in place of every W; `weight_of(path)` gives the w of a module."""
    changed = copy.deepcopy(model)
    modules = dict(changed.named_modules())
    with torch.no_grad():
        for i, updates in enumerate(skills.values()):
            for path, update in updates.items():
                modules[path].weight += weight_of(path)[i] * (update.up.double() @ update.down.double()).float()
    return logits(changed, tokens)


def test_bank_adapters_have_different_ranks_and_one_module_has_rank_zero(skills):
    ranks = {name: Counter(update.rank for update in updates.values()) for name, updates in skills.items()}
    assert ranks["qa"] == {4: 14}
    assert ranks["nli"] == {3: 4}
    assert ranks["er"] == {5: 7, 3: 2, 2: 2, 1: 2, 0: 1}
    assert skills["er"]["model.layers.0.self_attn.q_proj"].rank == 0


def test_bank_of_one_skill_at_weight_one_is_what_peft_computes(base, fresh, adapters, skills, tokens):
    for name, updates in skills.items():
        bank = SkillBank(base.model, {name: updates})
        with bank.blend(torch.ones(1)):
            found = logits(base.model, tokens)
        expected = by_peft(fresh(), {name: adapters[name]}, [1.0], tokens)
        assert (expected - logits(base.model, tokens)).abs().max() > 0.05, f"{name} has no effect"
        torch.testing.assert_close(found, expected, **TOLERANCE)


def test_bank_blend_equals_peft_sum_of_active_loras(base, fresh, adapters, skills, tokens):
    pair = {name: adapters[name] for name in ("qa", "nli")}
    expected = by_peft(fresh(), pair, [0.7, -0.4], tokens)
    with SkillBank(base.model, {name: skills[name] for name in pair}).blend(torch.tensor([0.7, -0.4])):
        torch.testing.assert_close(logits(base.model, tokens), expected, **TOLERANCE)


def test_bank_blend_equals_peft_sum_of_active_adaloras(base, fresh, make_adapter, tmp_path, tokens):
    chosen = {"init_r": 6, "target_r": 2, "lora_alpha": 5}
    folders = {
        "er": make_adapter(tmp_path / "er", 11, "ADALORA", ranks={"q_proj": 2, "0.mlp.up_proj": 0}, **chosen),
        "qa": make_adapter(tmp_path / "qa", 12, "ADALORA", ranks={"q_proj": 4, "down_proj": 1}, **chosen),
        "mcqa": make_adapter(tmp_path / "mcqa", 13, "ADALORA", ranks={"o_proj": 3}, **chosen),
    }
    updates = {name: read_adapter(folder) for name, folder in folders.items()}
    expected = by_peft(fresh(), folders, WEIGHTS, tokens)
    with SkillBank(base.model, updates).blend(WEIGHTS):
        torch.testing.assert_close(logits(base.model, tokens), expected, **TOLERANCE)


def test_bank_blend_of_all_kinds_equals_sum_of_peft_delta_weights(base, fresh, adapters, bank, tokens):
    summed = fresh()
    modules = dict(summed.named_modules())
    for folder, weight in zip(adapters.values(), WEIGHTS, strict=True):
        wrapped = PeftModel.from_pretrained(fresh(), str(folder))
        for path, module in wrapped.base_model.model.named_modules():
            if hasattr(module, "get_delta_weight"):
                modules[path].weight.data += weight * module.get_delta_weight("default").detach()
    with bank.blend(WEIGHTS):
        torch.testing.assert_close(logits(base.model, tokens), logits(summed, tokens), **TOLERANCE)


def test_bank_merged_equals_unmerged_and_the_weights_come_back_bit_for_bit(base, bank, tokens):
    before = {path: dict(base.model.named_modules())[path].weight.detach().clone() for path in bank.paths}
    with bank.blend(WEIGHTS):
        unmerged = logits(base.model, tokens)
    with bank.merged(WEIGHTS):
        merged = logits(base.model, tokens)
        assert not any(m._forward_hooks for m in base.model.modules())
    torch.testing.assert_close(merged, unmerged, **TOLERANCE)
    for path, weight in before.items():
        assert torch.equal(dict(base.model.named_modules())[path].weight, weight)


def test_bank_hooks_and_weights_are_restored_when_the_block_raises(base, bank, tokens):
    bare = logits(base.model, tokens)
    for inside in (bank.blend, bank.merged):
        with inside(WEIGHTS):
            assert not torch.equal(logits(base.model, tokens), bare)
        with pytest.raises(ZeroDivisionError), inside(WEIGHTS):
            raise ZeroDivisionError
        assert torch.equal(logits(base.model, tokens), bare)
    assert not any(m._forward_hooks for m in base.model.modules())


def test_bank_with_zero_weights_is_the_base(base, bank, tokens):
    bare = logits(base.model, tokens)
    with bank.blend(torch.zeros(3)):
        assert torch.equal(logits(base.model, tokens), bare)
    with bank.merged(torch.zeros(3)):
        assert torch.equal(logits(base.model, tokens), bare)


def test_bank_rows_of_weights_equal_separate_forwards(base, bank, tokens):
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.0, -1.0, 2.0]])
    with bank.blend(rows):
        together = logits(base.model, tokens)
    for i, row in enumerate(rows):
        with bank.blend(row):
            alone = logits(base.model, tokens[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, **TOLERANCE)
    assert (together[0] - together[1]).abs().max() > 0.05


@pytest.mark.parametrize(("granularity", "groups"), [("layer", 2), ("module", 14)])
def test_bank_finer_granularity_equals_a_dense_computation(base, skills, tokens, granularity, groups):
    bank = SkillBank(base.model, skills, granularity)
    assert bank.shape == (groups, 3)
    weights = torch.randn(bank.shape, generator=torch.Generator().manual_seed(3))

    def own(path):
        group = ".".join(path.split(".")[:3]) if granularity == "layer" else path
        return weights[bank.group_names.index(group)]

    expected = dense(base.model, skills, own, tokens)
    with bank.blend(weights):
        torch.testing.assert_close(logits(base.model, tokens), expected, **TOLERANCE)
    with bank.merged(weights):
        torch.testing.assert_close(logits(base.model, tokens), expected, **TOLERANCE)
    with bank.blend(torch.stack([weights, 0 * weights, -weights])):
        population = logits(base.model, tokens)
    torch.testing.assert_close(population[:1], expected[:1], **TOLERANCE)
    torch.testing.assert_close(population[1:2], logits(base.model, tokens[1:2]), **TOLERANCE)


def test_bank_layers_are_in_the_models_order_beyond_nine():
    model = torch.nn.Module()
    model.layers = torch.nn.ModuleList(torch.nn.ModuleDict({"up": torch.nn.Linear(2, 2)}) for _ in range(11))
    updates = {f"layers.{i}.up": LowRank(torch.full((1, 2), float(i)), torch.ones(2, 1)) for i in range(11)}
    bank = SkillBank(model, {"a": updates}, "layer")
    weights = torch.zeros(11, 1)
    weights[bank.group_names.index("layers.10")] = 1
    assert torch.equal(bank.delta("layers.10.up", weights), torch.full((2, 2), 10.0))
    assert bank.delta("layers.2.up", weights).abs().max() == 0


def test_bank_gradient_reaches_the_weights_and_equals_finite_differences(base, skills, tokens):
    bank = SkillBank(base.model, skills)

    def loss(weights):
        with bank.blend(weights):
            out = base.model(input_ids=tokens).logits
        return functional.cross_entropy(out[:, :-1].double().flatten(0, 1), tokens[:, 1:].flatten())

    leaf = WEIGHTS.clone().requires_grad_(True)
    loss(leaf).backward()
    step = 1e-2
    with torch.no_grad():
        slopes = [(loss(WEIGHTS + e) - loss(WEIGHTS - e)) / (2 * step) for e in step * torch.eye(3)]
    assert leaf.grad.abs().min() > 1e-3
    torch.testing.assert_close(leaf.grad.double(), torch.stack(slopes), rtol=2e-2, atol=1e-4)
    assert not any(p.requires_grad or p.grad is not None for p in base.model.parameters())


def test_bank_gradient_of_every_layers_weight_equals_finite_differences(base, skills, tokens):
    bank = SkillBank(base.model, skills, "layer")
    start = torch.full(bank.shape, 0.3)

    def loss(weights):
        with bank.blend(weights):
            return base.model(input_ids=tokens).logits.double().square().mean()

    leaf = start.clone().requires_grad_(True)
    loss(leaf).backward()
    for place in ((0, 0), (1, 2), (1, 1)):
        step = torch.zeros_like(start)
        step[place] = 1e-2
        with torch.no_grad():
            slope = (loss(start + step) - loss(start - step)) / 2e-2
        assert leaf.grad[place].item() == pytest.approx(slope.item(), rel=3e-2, abs=1e-5)


def test_bank_merging_factors_as_lorahub_does_is_another_model(base, make_adapter, tmp_path):
    """LoraHub averages A and B apart; (sum w B)(sum w A) has cross terms that sum w B A has not."""
    skills = {
        name: read_adapter(make_adapter(tmp_path / name, seed, r=4, lora_alpha=4))
        for name, seed in (("a", 1), ("b", 2), ("c", 3))
    }
    weights = torch.tensor([0.5, 0.3, 0.2])
    bank = SkillBank(base.model, skills)
    for path in bank.paths:
        exact = sum(w * s[path].up @ s[path].down for w, s in zip(weights, skills.values(), strict=True))
        up = sum(w * s[path].up for w, s in zip(weights, skills.values(), strict=True))
        down = sum(w * s[path].down for w, s in zip(weights, skills.values(), strict=True))
        torch.testing.assert_close(bank.delta(path, weights), exact, atol=1e-6, rtol=1e-5)
        assert (up @ down - exact).norm() / exact.norm() > 0.1


def test_bank_fused_is_the_delta_in_low_rank_and_leaves_out_skills_of_weight_zero(bank):
    weights = torch.tensor([0.5, 0.0, -2.0])
    fused = bank.fused(weights)
    assert set(fused) == set(bank.paths)
    for path, update in fused.items():
        torch.testing.assert_close(update.up @ update.down, bank.delta(path, weights), atol=1e-6, rtol=1e-5)
    assert fused["model.layers.0.self_attn.q_proj"].rank == 4
    assert fused["model.layers.1.self_attn.q_proj"].rank == 9
    assert all(update.rank == 0 for update in bank.fused(torch.zeros(3)).values())


@pytest.mark.parametrize("granularity", ["skill", "layer", "module"])
def test_bank_norms_are_the_dense_frobenius_norms(base, skills, granularity):
    bank = SkillBank(base.model, skills, granularity)
    own = {"skill": lambda path: "", "layer": lambda path: path[: len("model.layers.0")], "module": lambda path: path}
    for g, group in enumerate(bank.group_names):
        paths = [path for path in bank.paths if own[granularity](path) == group]
        squares = [
            [(s[p].up @ s[p].down).norm().item() ** 2 if p in s else 0.0 for p in paths] for s in skills.values()
        ]
        rms = torch.tensor([(sum(row) / len(paths)) ** 0.5 for row in squares])
        found = bank.norms() if granularity == "skill" else bank.norms()[g]
        torch.testing.assert_close(found, rms / rms.mean(), rtol=1e-4, atol=1e-6)
    assert bank.norms().shape == bank.shape


def test_bank_norms_are_one_where_no_skill_does_anything(base):
    nothing = {"model.layers.0.mlp.up_proj": LowRank(torch.zeros(2, 64), torch.zeros(128, 2))}
    assert torch.equal(SkillBank(base.model, {"a": nothing, "b": nothing}).norms(), torch.ones(2))


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 2), (4, 3, 3, 2)])
def test_bank_refuses_weights_of_the_wrong_shape(bank, shape):
    with pytest.raises(ValueError, match=r"must end in \(3,\)"), bank.blend(torch.zeros(shape)):
        pass


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("model.layers.0.mlp.up_proj", r"has shape \(128, 64\), the adapter needs \(9, 5\)"),
        ("model.layers.77.mlp.up_proj", "is not a linear layer"),
        ("model.embed_tokens", "is not a linear layer"),
    ],
)
def test_bank_refuses_an_update_that_does_not_fit_by_name(base, path, reason):
    update = LowRank(torch.zeros(1, 5), torch.zeros(9, 1))
    with pytest.raises(BadInput, match=f"The skill 'nli' does not fit this base model: {path} {reason}"):
        SkillBank(base.model, {"qa": {}, "nli": {path: update}})


def test_bank_keeps_the_bias_of_a_linear_layer():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2)).requires_grad_(False)
    update = LowRank(torch.randn(1, 3), torch.randn(2, 1))
    inputs = torch.randn(4, 3)
    expected = functional.linear(inputs, model[0].weight + 0.5 * update.up @ update.down, model[0].bias)
    bank = SkillBank(model, {"a": {"0": update}})
    for inside in (bank.blend, bank.merged):
        with inside(torch.tensor([0.5])):
            torch.testing.assert_close(model(inputs), expected)


def test_bank_bfloat16_base_stays_bfloat16_and_is_restored():
    model = torch.nn.Sequential(torch.nn.Linear(8, 8)).to(torch.bfloat16).requires_grad_(False)
    update = LowRank(torch.randn(2, 8), torch.randn(8, 2))
    bank = SkillBank(model, {"a": {"0": update}})
    kept = model[0].weight.clone()
    inputs = torch.randn(3, 8)
    exact = functional.linear(inputs, kept.float() + update.up @ update.down, model[0].bias.float())
    for inside in (bank.blend, bank.merged):
        with inside(torch.ones(1)):
            out = model(inputs.bfloat16())
        assert out.dtype == model[0].weight.dtype == torch.bfloat16
        torch.testing.assert_close(out.float(), exact, atol=0.15, rtol=0.05)
    assert torch.equal(model[0].weight, kept)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ranks=st.lists(st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=3, max_size=3), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_bank_sums_any_ranks_and_any_absences_exactly(ranks, seed):
    draw = torch.Generator().manual_seed(seed)
    model = torch.nn.Sequential(*(torch.nn.Linear(5, 5) for _ in range(3))).requires_grad_(False)
    skills = {
        f"s{i}": {
            str(m): LowRank(torch.randn(r, 5, generator=draw), torch.randn(5, r, generator=draw))
            for m, r in enumerate(row)
            if r is not None
        }
        for i, row in enumerate(ranks)
    }
    weights = torch.randn(len(skills), generator=draw)
    inputs = torch.randn(2, 5, generator=draw)
    hidden = inputs
    for m in range(3):
        delta = sum(
            w * s[str(m)].up @ s[str(m)].down for w, s in zip(weights, skills.values(), strict=True) if str(m) in s
        )
        hidden = functional.linear(hidden, model[m].weight + delta, model[m].bias)
    with SkillBank(model, skills).blend(weights):
        torch.testing.assert_close(model(inputs), hidden, atol=1e-4, rtol=1e-4)
