"""Adapters of others become skills, skills become folders that PEFT loads, and what is not safe stays outside."""

import json
import pickle
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mdkif import BadInput
from mdkif.cli import main
from mdkif.core.adapters.peft_files import read_adapter
from mdkif.core.console.app import run
from peft import PeftModel
from safetensors.torch import load_file, save_file
from verbs import applied, bank_of, kit_of, resolve

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def kit(workspace):
    return kit_of(workspace)


@pytest.fixture
def foreign(adapters, tmp_path):
    """A copy of a LoRA that PEFT wrote, to be damaged."""
    return shutil.copytree(adapters["qa"], tmp_path / "foreign")


def configured(folder, **changes):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


def weighted(folder, change):
    """Change the tensors of an adapter by a function of name and tensor; None leaves one out."""
    tensors = load_file(folder / WEIGHTS)
    changed = {name: change(name, value) for name, value in tensors.items()}
    save_file({name: value.contiguous() for name, value in changed.items() if value is not None}, folder / WEIGHTS)


@torch.no_grad()
def logits(model, tokens):
    return model.eval()(input_ids=tokens).logits


@pytest.mark.parametrize("name", ["qa", "nli", "er"])
def test_imported_adapter_computes_what_peft_computes(kit, workspace, adapters, fresh, tokens, name):
    """A LoRA, an rsLoRA and an AdaLoRA."""
    expected = logits(PeftModel.from_pretrained(fresh(), str(adapters[name])), tokens)
    kit.import_skill(adapters[name], "borrowed", licence="MIT")
    with applied(workspace, "skill:borrowed") as base:
        torch.testing.assert_close(logits(base.model, tokens), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["qa", "nli", "er"])
def test_exported_skill_is_loaded_by_peft_to_the_same_logits(skilled, fresh, tokens, tmp_path, name):
    facts = kit_of(skilled).export_skill(name, tmp_path / "out")
    with applied(skilled, f"skill:{name}") as base:
        expected = logits(base.model, tokens)
    torch.testing.assert_close(
        logits(PeftModel.from_pretrained(fresh(), str(tmp_path / "out")), tokens), expected, atol=2e-5, rtol=1e-4
    )
    written = json.loads((tmp_path / "out/mdkif.json").read_text())
    assert set(written.pop("files")) == set(written.pop("bytes")) == {CONFIG, WEIGHTS}
    assert written.items() <= facts.items()
    assert facts["version"] == resolve(skilled, f"skill:{name}").versions[name]


def test_exported_skill_comes_back_as_the_same_updates(skilled, tmp_path):
    kit = kit_of(skilled)
    kit.export_skill("er", tmp_path / "out")
    kit.import_skill(tmp_path / "out", "again", licence="MIT")
    kit.export_skill("again", tmp_path / "out2")
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (tmp_path / "out2" / WEIGHTS).read_bytes()


def test_imported_skill_is_blended_with_trained_ones(skilled, adapters):
    kit = kit_of(skilled)
    kit.import_skill(adapters["er"], "borrowed", licence="MIT")
    made = kit.compose("both", {"qa": 0.4, "borrowed": 0.6})
    assert made.summary() == pytest.approx({"qa": 0.4, "borrowed": 0.6})
    assert bank_of(skilled, ["qa", "borrowed"]).names == ["qa", "borrowed"]


def test_imported_card_says_where_it_comes_from_and_claims_nothing(kit, adapters):
    """No metrics, steps, records or data sets: nobody here has seen them."""
    made = kit.import_skill(adapters["qa"], "borrowed", licence="CC-BY-4.0", title="Answers of others")
    assert set(made.card) == {
        "skill",
        "title",
        "imported",
        "base",
        "fingerprint",
        "created",
        "rank",
        "adapter",
        "files",
    }
    assert made.card["imported"]["licence"] == "CC-BY-4.0"
    assert made.card["imported"]["kind"] == "LORA"
    [row] = kit.list("trained")
    assert (row["name"], row["trainer"], row["title"]) == ("borrowed", "imported", "Answers of others")
    assert (row["steps"], row["records"], row["dev_loss"]) == (None, None, None)
    [shown] = kit.show("borrowed")
    assert shown["imported"]["licence"] == "CC-BY-4.0"
    assert "CC-BY-4.0" in (made.path / "README.md").read_text()
    assert {path.name for path in made.path.iterdir()} == {CONFIG, WEIGHTS, "README.md", "skill.json"}


def test_imported_card_does_not_keep_where_a_base_lay_on_the_machine_of_others(kit, foreign):
    configured(foreign, base_model_name_or_path="/home/somebody/models/tiny")
    assert kit.import_skill(foreign, "borrowed", licence="MIT").card["imported"]["stated_base"] == "tiny"


def test_imported_skill_of_a_known_name_keeps_the_trained_version(skilled, adapters):
    kit = kit_of(skilled)
    older = resolve(skilled, "skill:qa").versions["qa"]
    newer = kit.import_skill(adapters["er"], "qa", licence="MIT").version
    assert resolve(skilled, "skill:qa").versions == {"qa": newer}
    assert resolve(skilled, f"skill:qa@{older}").versions == {"qa": older}
    kit.import_skill(adapters["nli"], "qa", licence="MIT", replace=True)
    with pytest.raises(BadInput, match="no version named"):
        resolve(skilled, f"skill:qa@{newer}")
    [card] = [card for card in kit.show("qa") if card["kind"] == "skill"]
    assert {each["adapter"] for each in card["trained"]} >= {older}


def test_exported_other_adapter_is_copied_and_a_whole_model_refused(skilled, adapters, put_skill, tmp_path):
    kit, store = kit_of(skilled), skilled.store
    configured(store.skill("tiny", "qa"), use_dora=True)
    kit.export_skill("qa", tmp_path / "out")
    assert json.loads((tmp_path / "out" / CONFIG).read_text())["use_dora"] is True
    whole = store.skill("tiny", "nli")
    (whole / CONFIG).rename(whole / "config.json")
    with pytest.raises(BadInput, match="is a whole model, no adapter"):
        kit.export_skill("nli", tmp_path / "out2")


def test_export_overwrites_nothing_and_needs_no_model(skilled, adapters, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/kept.txt").write_text("mine")
    store = skilled.store.root
    (store / "skills/tiny").rename(store / "skills/unloadable")
    line = ["--store", str(store), "skills", "export", "qa", str(tmp_path / "mine"), "--base", "./unloadable"]
    assert run(main, line) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["kept.txt"]
    line[5] = str(tmp_path / "new")
    assert run(main, line) == 0
    assert set(read_adapter(tmp_path / "new")) == set(read_adapter(adapters["qa"]))


def test_command_line_imports_exports_and_asks_for_licence_and_base(skilled, adapters, tmp_path, capsys):
    start = ["--store", str(skilled.store.root), "skills"]
    base = ["--base", str(skilled.base.path), "--dtype", "float32"]
    bring = ["import", str(adapters["er"]), "--name", "borrowed"]
    assert run(main, [*start, *bring, "--licence", "MIT", *base, "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["imported"]["licence"] == "MIT"
    for left_out, arguments in (("--licence", [*bring, *base]), ("--base", [*bring, "--licence", "MIT"]),
                                ("--name", ["import", str(adapters["er"]), "--licence", "MIT", *base])):  # fmt: skip
        assert run(main, [*start, *arguments]) == 2
        assert capsys.readouterr().err == f"Error: Missing option '{left_out}'. See 'mdkif skills import --help'.\n"
    assert run(main, [*start, *bring, "--licence", " ", *base]) == 2
    assert "licence" in capsys.readouterr().err
    assert run(main, [*start, "export", "borowed", str(tmp_path / "out"), "--base", "tiny"]) == 2
    assert "did you mean 'borrowed'?" in capsys.readouterr().err


def test_import_says_where_the_stated_base_has_another_name(skilled, foreign, capsys):
    configured(foreign, base_model_name_or_path="someone/other-7b\x1b[31m")
    line = ["--store", str(skilled.store.root), "skills", "import", str(foreign), "--name", "borrowed"]
    assert run(main, [*line, "--licence", "MIT", "--base", str(skilled.base.path), "--dtype", "float32"]) == 0
    said = capsys.readouterr().err
    assert "It says that it was trained on 'someone/other-7b?[31m', and fits 'tiny'." in said


# What stays outside


def bad_weights(change):
    return lambda folder: weighted(folder, change)


def first_only(to):
    """A change of the first tensor alone."""
    seen = []

    def change(name, value):
        seen.append(name)
        return to(value) if len(seen) == 1 else value

    return change


def pickled(folder):
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"a": 1}))


def deep(folder):
    (folder / CONFIG).write_text("[" * 100_000)


REFUSED = {
    "no adapter": (lambda folder: (folder / CONFIG).unlink(), "There is no PEFT adapter at"),
    "weights in a pickle": (pickled, "adapter_model.bin, which can run code"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "has no weights"),
    "weights that are none": (lambda folder: (folder / WEIGHTS).write_bytes(b"\x80\x04."), "cannot be read"),
    "half of a config": (lambda folder: (folder / CONFIG).write_text('{"r": 4'), "is not a readable"),
    "a config that is a list": (lambda folder: (folder / CONFIG).write_text("[]"), "is no JSON object"),
    "a config without an end": (deep, "is not a readable"),
    "a config without a kind": (lambda folder: (folder / CONFIG).write_text("{}"), "peft_type None"),
    "another kind": (lambda folder: configured(folder, peft_type="IA3"), "peft_type IA3"),
    "DoRA": (lambda folder: configured(folder, use_dora=True), "use_dora"),
    "weights of whole modules": (lambda folder: configured(folder, modules_to_save=["lm_head"]), "modules_to_save"),
    "a base that was shifted": (lambda folder: configured(folder, init_lora_weights="pissa"), "pissa"),
    "tokens that switch it on": (lambda folder: configured(folder, alora_invocation_tokens=[1]), "alora"),
    "an alpha that is a text": (lambda folder: configured(folder, lora_alpha="4; import os"), "lora_alpha"),
    "an alpha that is infinite": (lambda folder: configured(folder, lora_alpha=float("inf")), "lora_alpha"),
    "an alpha of a module that is none": (lambda folder: configured(folder, alpha_pattern={"q_proj": []}), "q_proj"),
    "a pattern that is no mapping": (lambda folder: configured(folder, alpha_pattern=["q_proj"]), "alpha_pattern"),
    "a pattern that is none": (lambda folder: configured(folder, alpha_pattern={"(": 4}), "alpha_pattern"),
    "a pattern without an end": (lambda folder: configured(folder, alpha_pattern={"(.|[a-z])*!": 4}), "alpha_pattern"),
    "numbers that are not finite": (bad_weights(first_only(lambda value: value * torch.nan)), "is not finite in"),
    "whole numbers": (bad_weights(first_only(lambda value: value.to(torch.int8))), "torch.int8 in"),
    "half of a module": (bad_weights(lambda name, value: None if "0.mlp.up_proj.lora_A" in name else value), "half of"),
    "the other half": (bad_weights(lambda name, value: None if "0.mlp.up_proj.lora_B" in name else value), "lacks"),
    "no module": (bad_weights(lambda name, value: value if "norm" in name else None), "updates no module"),
    "factors of one dimension": (bad_weights(lambda name, value: value.flatten()), "do not belong together"),
    "factors of two ranks": (
        bad_weights(lambda name, value: value[:2] if "lora_A" in name else value),
        "do not belong together",
    ),
    "another width": (bad_weights(lambda name, value: value[:, :9] if "lora_A" in name else value), "has shape"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_import_refuses_with_one_sentence_and_keeps_nothing(kit, workspace, foreign, what):
    damage, sentence = REFUSED[what]
    damage(foreign)
    with pytest.raises(BadInput) as raised:
        kit.import_skill(foreign, "borrowed", licence="MIT")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert kit.list("trained") == []
    assert list(workspace.store.root.rglob("*.safetensors")) == []


def test_import_refuses_an_adapter_of_another_model(kit, foreign):
    def renamed(name):
        return name.replace("layers.1", "layers.\x1b[2J7")

    tensors = load_file(foreign / WEIGHTS)
    save_file({renamed(name): value for name, value in tensors.items()}, foreign / WEIGHTS)
    with pytest.raises(BadInput, match=r"changes model\.layers\.\?\[2J7.*does not have: give the one it was trained"):
        kit.import_skill(foreign, "borrowed", licence="MIT")


@pytest.mark.parametrize("name", ["", "../qa", "qa@1", "QA", ".hidden", "a b", "skill:qa"])
def test_import_refuses_a_name_that_a_skill_cannot_have(kit, adapters, name):
    with pytest.raises(BadInput, match="cannot be named"):
        kit.import_skill(adapters["qa"], name, licence="MIT")


def test_import_reads_two_files_and_runs_nothing(kit, workspace, foreign):
    """What else lies in the folder stays there, and a code map of the configuration is not carried on."""
    (foreign / "modeling.py").write_text("raise SystemExit")
    (foreign / "adapter_model.bin").write_bytes(b"\x80\x04.")
    configured(foreign, auto_mapping={"base_model_class": "Evil", "parent_library": "modeling"}, revision="evil")
    made = kit.import_skill(foreign, "borrowed", licence="MIT")
    assert {path.name for path in made.path.iterdir()} == {CONFIG, WEIGHTS, "README.md", "skill.json"}
    config = json.loads((made.path / CONFIG).read_text())
    assert not {"auto_mapping", "revision"} & set(config)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=12), each, max_size=3),
    max_leaves=6,
)
FIELDS = ("peft_type", "r", "lora_alpha", "alpha_pattern", "rank_pattern", "use_rslora", "bias", "target_modules",
          "init_lora_weights", "base_model_name_or_path", "use_dora", "init_r")  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1, max_size=3))
def test_import_of_any_configuration_works_or_is_one_sentence(kit, adapters, tmp_path, changes):
    folder = tmp_path / "any"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(adapters["nli"], folder)
    configured(folder, **changes)
    try:
        made = kit.import_skill(folder, "borrowed", licence="MIT", replace=True)
    except BadInput:
        return
    assert all(bool(update.down.isfinite().all()) for update in read_adapter(made.path).values())
