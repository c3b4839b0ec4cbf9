"""Baselines: measured as all else is, on records they did not learn from, and with no model unless they use one."""

import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from mdkif import AdaptSettings, BadInput, Baseline, BaselineMethod, EvaluateSettings, MdkifError, Task, Toolkit
from mdkif.cli import main
from mdkif.core.adapters.target import find
from mdkif.core.data.conversion import ConversionReport
from mdkif.core.evaluation.learning import MOST, apart, calibration_set, learning_set
from mdkif.core.routing.adapt import adaptation_set
from mdkif.testing import given_to, questions, run
from mdkif_baseline_shortcuts import Majority, Position
from mdkif_synthetic import generate
from verbs import adapt, evaluate, kit_of


@dataclass(kw_only=True)
class Spy(BaselineMethod):
    """It remembers what it was given, and answers the first option."""

    share: float = 0.5

    def answers(self, given):
        seen.append(given)
        given.counts["parameters"] = 7
        return [given.prediction(each, scores=tuple(range(len(each.options), 0, -1))) for each in given.records]


class Missing(Spy):
    def answers(self, given):
        return super().answers(given)[1:]


class Asking(Spy):
    """It answers with the base model, and then with the first of the skills."""

    def answers(self, given):
        seen.append(given)
        given.predict()
        if not given.skills:
            return given.predict()
        with next(iter(given.skills.values())).applied(given.encoder.base) as base:
            return given.predict(base)


class Stranger:
    pass


seen: list[object] = []


@pytest.fixture
def declare(monkeypatch, workspace):
    """A function that adds a baseline of a class of this module to what is installed."""
    seen.clear()
    monkeypatch.setitem(sys.modules, "spies", sys.modules[__name__])

    def declare(cls, **facts):
        made = Baseline(name=cls.__name__.lower(), title="A spy", target=f"spies:{cls.__name__}", **facts)
        owner = next(iter(workspace.plugins._taken.values()))[1]
        monkeypatch.setitem(workspace.plugins._taken, ("baseline", made.name), (made, owner))
        return f"baseline:{made.name}"

    return declare


@pytest.fixture
def source(pubmedqa):
    return {"pubmedqa": pubmedqa}


@pytest.fixture
def bare(workspace):
    """The same workspace, in which no base model was named."""
    return replace(workspace, base_name=None)


def report(done):
    return json.loads(done.report.read_text())


def test_baseline_is_measured_with_its_settings_and_figures_in_the_report(bare, source, declare):
    declare(Spy)
    [done] = evaluate(bare, "pubmedqa", source, [Spy(share=0.25)], limit=6)
    [given] = seen
    right = sum(record.labels == ("yes",) for record in given.records) / 6
    assert done.metrics["accuracy"] == pytest.approx(right)
    assert (done.target, done.n, done.normaliser) == ("baseline:spy", 6, None)
    body = report(done)
    assert body["baseline"] == {"share": 0.25}
    assert body["counts"] == {"examples": len(given.examples), "parameters": 7}
    assert body["base"] is None
    assert [row["id"] for row in body["records"]] == [record.id for record in given.records]


def test_baseline_of_other_settings_has_a_report_of_its_own(bare, source, declare):
    declare(Spy)
    first, other = evaluate(bare, "pubmedqa", source, [Spy(), Spy(share=0.75)], limit=2)
    assert first.report != other.report


def test_baseline_that_uses_records_alone_needs_no_base_model(bare, source, declare):
    assert len(evaluate(bare, "pubmedqa", source, [declare(Spy)], limit=4)) == 1
    assert "base" not in bare.__dict__
    with pytest.raises(BadInput, match="No base model was named: add --base"):
        evaluate(bare, "pubmedqa", source, ["baseline:spy", "base"], limit=4)


def test_baseline_beside_a_model_answers_the_records_that_the_model_does(workspace, source, declare):
    base, spy = evaluate(workspace, "pubmedqa", source, ["base", declare(Spy)], limit=9)
    assert [row["id"] for row in report(base)["records"]] == [row["id"] for row in report(spy)["records"]]
    assert base.counts.keys() & {"encoded"}
    assert "encoded" not in spy.counts


def test_baseline_learns_from_all_training_records_by_default(bare, source, declare):
    evaluate(bare, "pubmedqa", source, [declare(Spy)])
    [given] = seen
    task, every = bare.plugins.get(Task, "pubmedqa"), ConversionReport()
    trained = {each.id for each in bare.records(task, source, every) if each.split == "train"}
    assert {each.id for each in given.examples} == trained
    assert len(trained) < MOST


@pytest.mark.parametrize("seed", [0, 3])
def test_baseline_learns_with_shots_from_the_very_set_that_adapt_draws(ready, source, declare, seed):
    evaluate(ready, "pubmedqa", source, [declare(Spy)], limit=4, shots=5, shots_seed=seed)
    made = adapt(ready, "pubmedqa", source, router="uniform", settings={"shots": "5", "seed": str(seed)}).composition
    [given] = seen
    assert given.seed == seed
    task, chosen = ready.plugins.get(Task, "pubmedqa"), AdaptSettings(shots=5, seed=seed)
    skills = {each.name: each for each in find(ready, ["skill:qa"])[0].artifacts.values()}
    drawn = adaptation_set(ready, task, source, chosen, skills, ConversionReport())
    assert [each.id for each in given.examples] == [each.id for each in drawn]
    assert len(made.learnt["ids"]) == 5 * 16


def test_baseline_seed_is_that_of_the_records_unless_it_has_its_own(bare, source, declare):
    evaluate(bare, "pubmedqa", source, [declare(Spy)], limit=4, seed=2, shots=6)
    evaluate(bare, "pubmedqa", source, ["baseline:spy"], limit=4, seed=2, shots=6, shots_seed=5)
    own, other = seen
    assert (own.seed, other.seed) == (2, 5)
    assert [each.id for each in own.records] == [each.id for each in other.records]
    assert [each.id for each in own.examples] != [each.id for each in other.examples]


def test_learning_set_leaves_out_what_is_tested_its_text_and_its_group():
    tested = questions("labels", 4, seed=1)
    others = questions("labels", 6, seed=2)
    same_text = replace(tested[0], id="copy", group="other")
    same_group = replace(others[0], id="sister", group=tested[1].group)
    assert apart([*others, tested[2], same_text, same_group], tested) == others


def test_learning_set_says_how_many_are_left_out_and_refuses_to_be_empty(workspace, source, pubmedqa):
    task, told = workspace.plugins.get(Task, "pubmedqa"), []
    workspace.progress.note = told.append
    records = [each for each in workspace.records(task, source, ConversionReport()) if each.split == "train"]
    settings = EvaluateSettings()
    found = learning_set(workspace, task, source, settings, records[:10], ConversionReport())
    assert len(found) == len(records) - 10
    assert told == [f"Baselines learn from {len(found)} of {len(records)} records: the others are tested, or related "
                    "to such."]  # fmt: skip
    with pytest.raises(BadInput, match="no record of 'pubmedqa' that a baseline could learn from, and that is not"):
        learning_set(workspace, task, source, settings, records, ConversionReport())


def test_baseline_uses_the_model_and_skills_that_it_declares(ready, source, declare):
    names = ["base", declare(Asking, uses="model"), "skill:er"]
    base, asked, skill = evaluate(ready, "pubmedqa", source, names, limit=5)
    assert asked.metrics == base.metrics
    assert asked.normaliser == base.normaliser
    assert report(asked)["fingerprint"] == ready.base.fingerprint
    [done] = kit_of(ready).evaluate("pubmedqa", source, [declare(Asking, uses="skills")], skills=["er"],
                                    settings=EvaluateSettings(limit=5))  # fmt: skip
    assert done.metrics == pytest.approx(skill.metrics)
    assert list(report(done)["versions"]) == ["er"]


def test_baseline_with_skills_is_kept_from_what_they_learnt(ready, taught, source, declare):
    shutil.copy(taught["qa"] / "learnt.json", ready.store.skill(ready.base.name, "qa"))
    with pytest.raises(BadInput, match=r"records that the skill 'qa' of 'baseline:asking' learnt from"):
        evaluate(ready, "pubmedqa", source, [declare(Asking, uses="skills")], split="train")


def test_baseline_that_does_not_say_that_it_uses_the_model_is_told_to(workspace, source, declare):
    with pytest.raises(MdkifError, match='has to say so: declare it with uses="model"'):
        evaluate(workspace, "pubmedqa", source, [declare(Asking)], limit=2)


def test_baseline_that_leaves_records_out_is_named(bare, source, declare):
    with pytest.raises(MdkifError, match="baseline:missing gave 3 answers to 4 records"):
        evaluate(bare, "pubmedqa", source, [declare(Missing)], limit=4)


def test_baseline_of_another_kind_of_records_or_class_is_refused(bare, source, declare):
    with pytest.raises(BadInput, match="'spy' is for records that list no options, as these do: name another"):
        evaluate(bare, "pubmedqa", source, [declare(Spy, takes="text")])
    with pytest.raises(BadInput, match=r"'stranger' is a Stranger: its target has to be .* mdkif\.BaselineMethod"):
        evaluate(bare, "pubmedqa", source, [declare(Stranger)])
    with pytest.raises(BadInput, match="no baseline named 'majorty': did you mean 'majority'"):
        evaluate(bare, "pubmedqa", source, ["baseline:majorty"])
    with pytest.raises(BadInput, match=r"No installed baseline is a Missing: .*Toolkit\.baseline"):
        evaluate(bare, "pubmedqa", source, [Missing()])


def test_shortcuts_are_all_that_answer_such_records_and_each_once(bare, source, declare):
    declare(Spy, shortcut=True, takes="text")
    done = evaluate(bare, "pubmedqa", source, [Position(smoothing=2.0), "shortcuts"], limit=8)
    installed = {each.name for each, _ in bare.plugins.all(Baseline) if each.shortcut and each.takes != "text"}
    assert {each.target for each in done} == {f"baseline:{name}" for name in installed} >= {"baseline:majority"}
    assert len(done) == len(installed)
    assert report(done[0])["baseline"] == {"smoothing": 2.0}


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    """Discharge notes with any number of codes each."""
    return {"mimic-iii": generate(tmp_path_factory.mktemp("coded") / "hospital", seed=0, patients=60)["mimic-iii"]}


FIVE = {"data": {"top": "5"}}


def test_evaluate_sets_thresholds_of_several_labels_by_the_adaptation_set(bare, coded, declare):
    [done] = evaluate(bare, "icd-coding", coded, [declare(Spy)], limit=8, shots=6, **FIVE)
    [given] = seen
    tested, others = given.records[: done.n], given.records[done.n :]
    assert done.n == len(report(done)["records"]) == 8
    assert {each.split for each in tested} == {"test"}
    assert [each.id for each in others] == [each.id for each in given.examples]
    counts = [sum(label in each.labels for each in others) for label in others[0].options]
    marked = sum(counts)  # the spy scores places alike in every record: what is marked are the first places
    edge = sorted((5 - place for _ in others for place in range(5)), reverse=True)[marked - 1]
    places = [place for place in range(5) if 5 - place >= edge]
    hits = sum(tested[0].options[place] in each.labels for each in tested for place in places)
    gold = sum(len(each.labels) for each in tested)
    assert done.metrics["micro_f1"] == pytest.approx(2 * hits / (gold + len(places) * done.n))
    assert done.metrics["oracle_micro_f1"] >= 0


def test_evaluate_keeps_what_sets_thresholds_from_those_that_learn_from_all(bare, coded, declare):
    [done] = evaluate(bare, "icd-coding", coded, [declare(Spy)], limit=12, **FIVE)
    [given] = seen
    others = {each.id for each in given.records[done.n :]}
    assert len(others) > 8
    assert not others & {each.id for each in given.examples}
    assert {each.split for each in given.records[done.n :]} == {"adapt"}


def test_evaluate_ranks_several_labels_of_a_model_against_their_likelihood_without_a_context(workspace, coded):
    base, majority = evaluate(workspace, "icd-coding", coded, ["base", "baseline:majority"], limit=6, shots=8,
                              max_length=256, **FIVE)  # fmt: skip
    assert {"auroc", "pmi_auroc", "micro_f1", "pmi_micro_f1", "oracle_micro_f1"} <= set(base.metrics)
    assert not [name for name in majority.metrics if name.startswith("pmi_")]
    assert all(len(row["unconditional"]) == 5 for row in report(base)["records"])
    assert base.counts["encoded"] == base.n


def test_calibration_set_is_the_adaptation_set_without_what_is_tested_and_may_be_empty(bare, coded):
    task, settings = bare.plugins.get(Task, "icd-coding"), EvaluateSettings(shots=7, shots_seed=2)
    chosen = AdaptSettings(shots=7, seed=2)
    drawn = adaptation_set(bare, task, coded, chosen, {}, ConversionReport())
    assert calibration_set(bare, task, coded, settings, []) == drawn
    assert calibration_set(bare, task, coded, settings, drawn[:3]) == drawn[3:]
    assert calibration_set(bare, task, coded, settings, drawn) == []
    nothing = EvaluateSettings(split_policy="8:2", shots=7)
    assert calibration_set(bare, task, {"mimic-iii": coded["mimic-iii"] / "nowhere"}, nothing, []) == []


def test_toolkit_makes_a_baseline_with_settings_and_refuses_others(bare):
    kit = kit_of(bare)
    assert kit.baseline("majority", smoothing=3.0) == Majority(smoothing=3.0)
    with pytest.raises(BadInput, match="no setting named 'smoothng': did you mean 'smoothing'"):
        kit.baseline("majority", smoothng=3.0)


def test_baseline_is_nothing_to_predict_with_or_export(workspace, tmp_path):
    kit = Toolkit(tmp_path, plugins=workspace.plugins)
    for verb in (
        lambda: kit.predict("baseline:majority", []),
        lambda: kit.export("baseline:majority", tmp_path / "x", "lora"),
    ):
        with pytest.raises(BadInput, match="'baseline:majority' learns from the records of a task: measure it with"):
            verb()


def test_given_prediction_takes_the_best_option_for_its_text():
    [record] = questions("labels", 1)
    given = given_to([record], [], multi_label=True)
    found = given.prediction(record, scores=(0.1, 0.3, 0.2))
    assert (found.text, found.gold, found.options, found.multi_label) == (
        record.options[1],
        record.labels,
        record.options,
        True,
    )
    assert given.prediction(record, text="other").text == "other"


@pytest.fixture
def mdkif(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MDKIF_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("MDKIF_BASE", raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words):
        code = run(*words)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_command_line_measures_shortcuts_without_a_base_and_takes_their_settings(mdkif, pubmedqa):
    line = ("evaluate", "pubmedqa", "--source", pubmedqa, "--limit", "8")
    code, out, err = mdkif(
        *line, "--with", "baseline:majority", "--set", "majority.smoothing=4", "--shortcuts", "--json"
    )
    assert code == 0, err
    rows = json.loads(out)
    assert rows[0]["with"] == "baseline:majority"
    assert json.loads(Path(rows[0]["report"]).read_text())["baseline"] == {"smoothing": 4.0}
    assert {"baseline:length", "baseline:overlap-words"} <= {row["with"] for row in rows}
    code, out, _ = mdkif(*line, "--shortcuts", "--shots", "6", "--shots-seed", "1")
    assert code == 0
    assert "majority" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Name what to measure by --with, or give --shortcuts"),
        (("--with", "base"), "No base model was named: add --base"),
        (("--with", "baseline:majority", "--set", "smoothing=1"), "write it as NAME.SETTING=VALUE"),
        (("--with", "baseline:majority", "--set", "length.x=1"), "write it as NAME.SETTING=VALUE"),
        (("--with", "baseline:majority", "--set", "majority.smooth=1"), "did you mean 'smoothing'?"),
        (("--with", "baseline:majority", "--set", "majority.smoothing=-1"), "give a number from 0"),
        (("--with", "baseline:first-sentence"), "is for records that list no options"),
    ],
)
def test_command_line_says_what_is_wrong_with_a_baseline(mdkif, pubmedqa, words, told):
    code, out, err = mdkif("evaluate", "pubmedqa", "--source", pubmedqa, *words)
    assert (code, out) == (2, "")
    assert told in err


def test_command_line_shows_a_baseline_with_its_settings_and_completes_its_name(mdkif, monkeypatch, capsys):
    code, out, _ = mdkif("show", "majority")
    assert code == 0
    assert "Its settings, each for --set majority.NAME=VALUE" in out
    for name, value in {"_MDKIF_COMPLETE": "bash_complete", "COMP_WORDS": "mdkif evaluate --with baseline:maj",
                        "COMP_CWORD": "3"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main(prog_name="mdkif")
    assert capsys.readouterr().out == "plain,baseline:majority\n"
