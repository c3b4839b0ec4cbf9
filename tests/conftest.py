"""A tiny random Llama, adapters that PEFT itself wrote for it, and stores and sources made from them."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when imported: threads only slow down a model this small

import copy
import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from environments import build_all
from mdkif.core.adapters.library import library_of
from mdkif.core.adapters.target import compose
from mdkif.core.contract.declarations import Task
from mdkif.core.contract.discovery import Plugins
from mdkif.core.data.conversion import ConversionReport
from mdkif.core.data.labels import format_choices
from mdkif.core.data.records import Record
from mdkif.core.models import loading as models
from mdkif.core.prompts.encoding import Encoder
from mdkif.core.routing.objective import adaptation_objective
from mdkif.core.routing.optimizer import AdaptSettings
from mdkif.core.store.layout import Store
from mdkif.core.toolkit import Toolkit
from mdkif.core.training.settings import TrainSettings
from mdkif.core.workspace import Workspace
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM
from verbs import bank_of, new_composition

YES_NO = ("yes", "no", "maybe")
WORDS = ("fever", "cough", "asthma", "aspirin", "heparin", "renal", "benign", "acute", "lesion", "liver", "trial")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("MDKIF_PLUGINS", raising=False)


@pytest.fixture(scope="session")
def plugins():
    """Every plugin of the repository, as installed."""
    return Plugins()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """A folder with the wheels of mdkif and of every plugin, which the processes of a run share."""
    own = tmp_path_factory.getbasetemp()
    return build_all(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of the tiny base model, with two layers only; its name in a store is `tiny`."""
    from mdkif_model_tiny import pull
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    pull(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig.from_pretrained(folder, num_hidden_layers=2)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def shared_base(tiny, plugins):
    return models.load(plugins, Store(tiny.parent), str(tiny), "float32", "cpu")


@pytest.fixture
def base(shared_base):
    """The tiny base in float32. A test that leaves it changed in any way fails here."""
    before = {name: value.clone() for name, value in shared_base.model.state_dict().items()}
    yield shared_base
    after = shared_base.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(p.requires_grad or p.grad is not None for p in shared_base.model.parameters())
    assert not any(m._forward_hooks for m in shared_base.model.modules())
    assert not shared_base.model.training


@pytest.fixture
def fresh(base):
    """A function that returns a copy of the bare model, for a computation by PEFT alone."""
    return lambda: copy.deepcopy(base.model)


@pytest.fixture
def tokens(base):
    """Token ids of three rows, without padding."""
    return torch.randint(3, base.model.config.vocab_size, (3, 11), generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="session")
def make_adapter(shared_base):
    """A function that has PEFT write an adapter with random factors, none of which is zero.

    `ranks` (AdaLoRA) maps the end of a module's path to the rank it keeps; the others keep `init_r`.
    """

    def make(folder, seed, peft_type="LORA", ranks=None, spread=0.15, **settings):
        from peft import AdaLoraConfig, LoraConfig, get_peft_model

        settings = {"target_modules": "all-linear", "task_type": "CAUSAL_LM", **settings}
        adalora = peft_type == "ADALORA"
        config = AdaLoraConfig(total_step=100, **settings) if adalora else LoraConfig(**settings)
        model = get_peft_model(copy.deepcopy(shared_base.model), config)
        draw = torch.Generator().manual_seed(seed)
        pattern = {}
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "lora_" not in name or "ranknum" in name:
                    continue
                scale = 1.0 if "lora_E" in name else spread
                value.copy_(torch.randn(value.shape, generator=draw) * scale)
                if "lora_E" in name:
                    path = name.removeprefix("base_model.model.").removesuffix(".lora_E.default")
                    keep = next((rank for end, rank in (ranks or {}).items() if path.endswith(end)), len(value))
                    kept = torch.randperm(len(value), generator=draw) < keep
                    value[~kept] = 0
                    pattern[name.removeprefix("base_model.model.")] = kept.tolist()
        if adalora:
            model.peft_config["default"].rank_pattern = pattern
        model.eval().save_pretrained(str(folder))
        return folder

    return make


@pytest.fixture(scope="session")
def adapters(make_adapter, tmp_path_factory):
    """Three adapters of different kinds and ranks: a LoRA, an rsLoRA of two projections, an AdaLoRA with ranks 0-5."""
    folder = tmp_path_factory.mktemp("adapters")
    ranks = {"0.self_attn.q_proj": 0, "mlp.down_proj": 1, "k_proj": 3, "v_proj": 2}
    return {
        "qa": make_adapter(folder / "qa", 1, r=4, lora_alpha=6),
        "nli": make_adapter(
            folder / "nli", 2, r=3, lora_alpha=2, use_rslora=True, target_modules=["q_proj", "up_proj"]
        ),
        "er": make_adapter(folder / "er", 3, "ADALORA", ranks=ranks, init_r=5, target_r=2, lora_alpha=4),
    }


@pytest.fixture
def workspace(tmp_path, base, plugins):
    """A workspace with an empty store on the tiny base."""
    made = Workspace(plugins, Store(tmp_path / "store"), base.path, dtype="float32", device="cpu")
    made.__dict__["base"] = base
    return made


@pytest.fixture
def put_skill():
    """A function that puts an adapter into a workspace's store as a trained skill."""

    def put(workspace, name, adapter: Path, **card):
        folder = workspace.store.skill(workspace.base.name, name)
        folder.mkdir(parents=True, exist_ok=True)
        for file in adapter.glob("adapter_*"):
            (folder / file.name).write_bytes(file.read_bytes())
        digest = hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()[:16]
        facts = {"skill": name, "base": workspace.base.name, "fingerprint": workspace.base.fingerprint}
        (folder / "skill.json").write_text(json.dumps({**facts, "adapter": digest, **card}))

    return put


@pytest.fixture
def skilled(workspace, adapters, put_skill):
    """A workspace whose store holds the three adapters as trained skills."""
    for name, adapter in adapters.items():
        put_skill(workspace, name, adapter)
    return workspace


@pytest.fixture
def encoder_for(plugins):
    """A function that makes an encoder for a skill's or task's own template."""
    from mdkif.core.prompts.templates import Template

    def make(base, max_length=512, format="auto", name="pubmedqa"):
        return Encoder(base, Template.of(plugins.get(Task, name)), max_length, format)

    return make


@pytest.fixture
def questions():
    """A function that makes records of a closed question, of very different lengths."""

    def make(count, options=YES_NO, gold=None, seed=0, longest=40):
        draw = random.Random(seed)
        records = []
        for i in range(count):
            text = " ".join(draw.choices(WORDS, k=draw.randint(1, longest)))
            fields = format_choices(f"Is {draw.choice(WORDS)} {i} safe?", options, [gold or options[i % len(options)]])
            records.append(Record(id=f"q{i}", context=text, split="train", **fields))
        return records

    return make


@pytest.fixture(scope="session")
def pubmedqa(tmp_path_factory):
    """A PubMedQA repository as its authors lay it out: 200 articles, 20 of them for testing, most decided "yes"."""
    folder = tmp_path_factory.mktemp("pubmedqa") / "data"
    folder.mkdir()
    draw = random.Random(1)
    articles, truth = {}, {}
    for pmid in range(1000, 1200):
        decision = draw.choices(YES_NO, (6, 2, 1))[0]
        text = [" ".join(draw.choices(WORDS, k=draw.randint(3, 12))) for _ in range(2)]
        articles[str(pmid)] = {"QUESTION": f"Does {draw.choice(WORDS)} help?", "CONTEXTS": text}
        articles[str(pmid)] |= {"LONG_ANSWER": "Unused.", "final_decision": decision}
        if pmid >= 1180:
            truth[str(pmid)] = decision
    (folder / "ori_pqal.json").write_text(json.dumps(articles))
    (folder / "test_ground_truth.json").write_text(json.dumps(truth))
    return folder.parent


@pytest.fixture(scope="session")
def mednli(tmp_path_factory):
    """A MedNLI folder as PhysioNet lays it out, with 24, 6 and 6 pairs."""
    folder = tmp_path_factory.mktemp("mednli")
    draw = random.Random(2)
    for split, count in (("train", 24), ("dev", 6), ("test", 6)):
        rows = []
        for i in range(count):
            first, second = (" ".join(draw.choices(WORDS, k=6)) for _ in range(2))
            label = draw.choice(("entailment", "neutral", "contradiction"))
            rows.append({"sentence1": first, "sentence2": second, "pairID": f"{split}{i}", "gold_label": label})
        (folder / f"mli_{split}_v1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="session")
def ontology(tmp_path_factory):
    """A small ontology as `doid.obo`: four groups of diseases, each with six kinds."""
    lines = ["format-version: 1.2", "ontology: doid", "", "[Term]", "id: X:0", "name: disease"]
    number = 0
    for place in ("lung", "liver", "skin", "heart"):
        number += 1
        parent = number
        lines += ["", "[Term]", f"id: X:{number}", f"name: {place} disease", "is_a: X:0 ! disease"]
        for kind in ("acute", "chronic", "benign", "viral", "familial", "toxic"):
            number += 1
            lines += ["", "[Term]", f"id: X:{number}", f"name: {kind} {place} failure", f"is_a: X:{parent}"]
    path = tmp_path_factory.mktemp("ontology") / "doid.obo"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def taught(tmp_path_factory, shared_base, plugins, pubmedqa, mednli):
    """The folders of two skills that were really trained; pubmedqa's own is of use to the task, mednli's less."""
    kit = Toolkit(tmp_path_factory.mktemp("taught"), shared_base.path, plugins=plugins)
    kit.workspace.__dict__["base"] = shared_base

    def learnt(skill, sources, seed):
        loop = TrainSettings(steps=10, batch_size=8, seed=seed)
        lora = kit.trainer("lora", learning_rate=1e-2, rank=3, alpha=6)
        return kit.train(skill, sources, trainer=lora, settings=loop).path

    return {"qa": learnt("qa", {"pubmedqa": pubmedqa}, 3), "nli": learnt("nli", {"mednli": mednli}, 4)}


@pytest.fixture
def ready(workspace, taught, adapters, put_skill):
    """A workspace with those two skills and one of random numbers."""
    for name, folder in {**taught, "er": adapters["er"]}.items():
        put_skill(workspace, name, folder)
    return workspace


@pytest.fixture
def examples(ready, pubmedqa):
    """The adaptation set of eight shots of seed 0, drawn and encoded apart from `adapt`."""
    task = ready.plugins.get(Task, "pubmedqa")
    drawn = ready.drawn(task, {"pubmedqa": pubmedqa}, {"adapt": 8}, 0, ConversionReport(), stratified=True)["adapt"]
    assert len(drawn) == 8
    return list(ready.encoder(ready.template(task), 512).encode(drawn))


@pytest.fixture
def objective(ready, examples):
    def objective(skills=("qa", "nli", "er"), **settings):
        task = ready.plugins.get(Task, "pubmedqa")
        chosen = AdaptSettings(**{"objective": "cross-entropy", **settings})
        artifacts = library_of(ready).choose(skills)
        bank = bank_of(ready, skills, chosen.granularity)
        versions = {name: artifact.version for name, artifact in artifacts.items()}
        encoder = ready.encoder(ready.template(task), 512)
        return adaptation_objective(ready, task, encoder, bank, versions, examples, chosen)

    return objective


@pytest.fixture
def measured(ready, examples):
    """Nats per answer token with the dense sum in the weights, one unpadded row at a time."""

    @torch.no_grad()
    def measured(weights, rows=tuple(examples)):
        total = 0.0
        with bank_of(ready, list(weights)).merged(torch.tensor(list(weights.values()))):
            for row in rows:
                logits = ready.base.model(input_ids=torch.tensor([row.prompt + row.answer])).logits[0]
                answer = logits[len(row.prompt) - 1 : -1].double()
                total += functional.cross_entropy(answer, torch.tensor(row.answer), reduction="sum").item()
        return total / sum(len(row.answer) for row in rows)

    return measured


@pytest.fixture
def accuracy(ready, examples):
    """The share of records whose likeliest option is right, by one plain forward for each option."""

    @torch.no_grad()
    def accuracy(weights):
        right = 0
        with bank_of(ready, list(weights)).merged(torch.tensor(list(weights.values()))):
            for example in examples:
                scores = []
                for option in example.options:
                    logits = ready.base.model(input_ids=torch.tensor([example.prompt + option])).logits[0]
                    logp = torch.log_softmax(logits[len(example.prompt) - 1 : -1], -1)
                    scores.append(logp.gather(1, torch.tensor(option)[:, None]).sum().item())
                right += example.record.options[scores.index(max(scores))] == example.record.labels[0]
        return right / len(examples)

    return accuracy


@pytest.fixture
def composed(skilled):
    compose(skilled, "all", {"qa": 0.7, "nli": -0.3, "er": 0.6})
    new_composition(skilled, "layered", ["qa", "er"], torch.tensor([[0.9, -0.2], [0.0, 0.7]]), "layer")
    return skilled


@pytest.fixture
def other(base):
    """A function that makes another base model: a Llama with these settings, or the given model."""

    def other(model=None, tokenizer=None, **settings):
        if model is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(3)
                model = LlamaForCausalLM(LlamaConfig.from_pretrained(base.path, **settings)).eval()
        return replace(base, model=model, tokenizer=tokenizer or base.tokenizer, name="other")

    return other
