"""Comparisons on the tiny model: that both sides compute the same, and that a row says so. Never how long it takes."""

import copy
import json
import math
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from mdkif import BadInput, MdkifError, SkillBank, Toolkit
from mdkif.testing import assert_conforms, run
from mdkif_bench import adapters, answering, candidates, memory, processes, searching, training
from mdkif_bench.comparisons import COMPARISONS, ONCE, compare
from mdkif_bench.material import (
    Bench,
    forward_and_backward,
    losses,
    random_rows,
    random_shots,
    random_skills,
    random_weights,
)
from mdkif_bench.tables import COLUMNS, markdown, shown

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
KEYS = {"only", "name", "ours", "peer", "ratio", "spread", "unit", "wanted", "goal", "met", "note", "dtype",
        "memory"}  # fmt: skip
GOALS = {"candidate": 1.05, "active": 3.0, "rebuild": 10.0, "factors": None, "gradient": 1.15, "generation": 0.98,
         "stream": 1.0, "streams": 1.0, "labels": 8.0, "evaluation": 0.9, "training": 1.6, "lora": 1.5, "step": 1.35,
         "search": 2.0, "many-skills": 1.15}  # fmt: skip
PROCESSES = {"training-memory": 0.5, "memory": 1.25, "half-memory": 0.8, "start-up": 2.0}


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return Toolkit(tmp_path_factory.mktemp("bench") / "store", "tiny", dtype="float32", device="cpu")


@pytest.fixture
def bench(kit, monkeypatch):
    """A small bench on the tiny model. A comparison that leaves the model changed in any way fails here."""
    monkeypatch.setattr(searching, "SEEDS", 2)
    monkeypatch.setattr(searching, "BUDGET", 30)
    model = kit.workspace.base.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    yield Bench(kit=kit, skills=3, rank=2, repeats=1)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())
    assert not model.training


def test_bench_conforms():
    assert_conforms("mdkif-bench")


def test_bench_every_comparison_is_tested():
    assert {*GOALS, *PROCESSES} == set(COMPARISONS)
    assert set(ONCE) < set(COMPARISONS)


@pytest.mark.parametrize("name", GOALS)
def test_bench_comparison_agrees_with_its_peer_and_gives_a_row(bench, name):
    row = compare(bench, name)
    assert set(row) == KEYS
    assert row["only"] == name
    assert min(row["ours"], row["peer"], row["ratio"]) > 0
    assert row["spread"][0] <= row["ratio"] <= row["spread"][1]
    assert row["goal"] == GOALS[name]
    assert row["dtype"] == "float32"
    assert row["memory"] > 50
    if name == "factors":
        assert row["met"] is None
        assert "off by" in row["note"]
    else:
        reached = row["ratio"] >= row["goal"] if row["wanted"] == "at least" else row["ratio"] <= row["goal"]
        assert row["met"] is reached
    assert row["unit"] in ("s", "tokens/s", "evaluations")


# The two sides are really compared


def spoilt(function):
    """The function, its tensor with one value changed."""

    def change(*arguments, **options):
        found = function(*arguments, **options).clone()
        found.view(-1)[0] += 0.05 * found.abs().max()
        return found

    return change


@pytest.mark.parametrize(
    ("name", "module", "function"),
    [("candidate", candidates, "blended"), ("many-skills", candidates, "random_weights"),
     ("gradient", candidates, "dense_gradient"), ("active", adapters, "blended"), ("rebuild", adapters, "losses"),
     ("generation", answering, "last_logits")],
)  # fmt: skip
def test_bench_difference_is_found(bench, monkeypatch, name, module, function):
    right, calls = getattr(module, function), []

    def wrong_once(*arguments, **options):
        calls.append(1)
        return (spoilt(right) if len(calls) == 1 else right)(*arguments, **options)

    monkeypatch.setattr(module, function, wrong_once)
    if name == "many-skills":  # whose two sides take the same weights: only one of them is changed here
        monkeypatch.setattr(module, "random_weights", right)
        monkeypatch.setattr(module, "blended", _first_wrong(module.blended))
    with pytest.raises(MdkifError, match="disagrees"):
        compare(bench, name)


def _first_wrong(right):
    calls = []

    def blended(*arguments):
        calls.append(1)
        return spoilt(right)(*arguments) if len(calls) == 1 else right(*arguments)

    return blended


def test_bench_another_schedule_gives_another_curve(bench, monkeypatch):
    monkeypatch.setattr(training, "rate", lambda step: 0.3)
    for name in ("training", "lora"):
        with pytest.raises(MdkifError, match="disagrees with"):
            compare(bench, name)


# Adapters


def test_bench_random_skills_fit_and_no_name_is_part_of_another(bench):
    skills = random_skills(bench.base, 12, 3)
    assert not [(a, b) for a in skills for b in skills if a != b and a in b]
    bank = SkillBank(bench.base.model, skills)
    assert len(bank.paths) == 4 * 7
    assert not [path for path in bank.paths if "head" in path]
    same = random_skills(bench.base, 12, 3)
    assert all(torch.equal(u.down, same[n][path].down) for n, ups in skills.items() for path, u in ups.items())
    assert random_weights(12).sum() == pytest.approx(1.0)
    assert bool((random_weights(12) > 0).all())


def test_bench_adding_factors_is_exact_for_one_skill_alone_and_wrong_for_two(bench):
    from peft import get_peft_model, set_peft_model_state_dict

    skills = random_skills(bench.base, 2, 2)
    bank, states = SkillBank(bench.base.model, skills), [adapters.state(updates) for updates in skills.values()]
    model = get_peft_model(copy.deepcopy(bench.base.model), adapters.lora(2))
    for weights, error in (([1.0, 0.0], 0.0), ([0.0, 1.0], 0.0), ([1.0, 1.0], None)):
        set_peft_model_state_dict(model, adapters.added(states, weights))
        measured = adapters.relative_error(model, bank, torch.tensor(weights))
        if error is None:
            path = bank.paths[0]
            first, second = (updates[path] for updates in skills.values())
            cross = first.up @ second.down + second.up @ first.down
            exact = first.up @ first.down + second.up @ second.down
            assert measured == pytest.approx(float(cross.norm() / exact.norm()), rel=0.3)
        else:
            assert measured == pytest.approx(error, abs=1e-6)


def test_bench_dense_gradient_is_that_of_small_steps(bench):
    bank, shots, weights, size = bench.bank(), random_shots(bench.base, 4), random_weights(3), 0.0125
    found = candidates.dense_gradient(bench.base, bank, weights, shots)
    for i, step in enumerate(size * torch.eye(3)):
        up, down = (candidates.blended(bench.base, bank, weights + way * step, shots).double() for way in (1, -1))
        by_steps = float((up - down).sum()) / int((shots.targets != -100).sum()) / (2 * size)
        assert float(found[i]) == pytest.approx(by_steps, abs=3e-4)
    assert float(found.abs().max()) > 1e-2


# Answers


def test_bench_labels_are_of_four_tokens_and_share_the_context(bench):
    context, continuations = answering.texts(bench.base)
    prompt = answering.tokens(bench.base, context)
    assert abs(len(prompt) - answering.CONTEXT) <= 2
    for each in continuations:
        whole = answering.tokens(bench.base, context + each)
        assert whole[: len(prompt)] == prompt
        assert len(whole) == len(prompt) + answering.LABEL_TOKENS
    assert len(set(continuations)) == answering.LABELS


@pytest.fixture
def fake_lm_eval(monkeypatch):
    """A stand-in that computes as lm-eval does: every label by itself, from all logits."""

    class HFLM:
        def __init__(self, pretrained, tokenizer, batch_size):
            self.model, self.tokenizer = pretrained, tokenizer

        @torch.no_grad()
        def loglikelihood(self, requests, disable_tqdm):
            return [(self.score(*request.arguments), False) for request in requests]

        def score(self, context, continuation):
            whole = self.tokenizer(context + continuation)["input_ids"]
            start = len(self.tokenizer(context)["input_ids"])
            logp = self.model(input_ids=torch.tensor([whole])).logits.log_softmax(-1)[0]
            return sum(float(logp[i - 1, whole[i]]) for i in range(start, len(whole)))

    modules = {name: ModuleType(name) for name in ("lm_eval", "lm_eval.models", "lm_eval.api")}
    modules["lm_eval.models.huggingface"] = SimpleNamespace(HFLM=HFLM)
    modules["lm_eval.api.instance"] = SimpleNamespace(Instance=lambda **fields: SimpleNamespace(**fields))
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return HFLM


def test_bench_scores_of_a_batch_that_differ_from_those_alone_are_found(bench, monkeypatch):
    right = answering.option_scores

    def wrong(base, rows):
        return [[score * (1 + 0.01 * (len(rows) > 1)) for score in scores] for scores in right(base, rows)]

    monkeypatch.setattr(answering, "option_scores", wrong)
    with pytest.raises(MdkifError, match="disagrees with every record by itself"):
        compare(bench, "evaluation")


def test_bench_peer_is_lm_eval_where_it_is_installed(bench, fake_lm_eval):
    assert compare(bench, "labels")["name"].startswith("lm-eval on 50 labels")


def test_bench_without_lm_eval_the_row_says_what_the_peer_is(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.models.huggingface", None)
    assert compare(bench, "labels")["name"].startswith("one pass for each of 50 labels")


def test_bench_scores_that_differ_are_found(bench, fake_lm_eval, monkeypatch):
    right = fake_lm_eval.score
    monkeypatch.setattr(fake_lm_eval, "score", lambda *arguments: right(*arguments) + 0.05)
    with pytest.raises(MdkifError, match="disagrees with the scores of lm-eval"):
        compare(bench, "labels")


def test_bench_lm_eval_itself_agrees(bench):
    pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install mdkif-bench[peers]")
    assert compare(bench, "labels")["name"].startswith("lm-eval")


def test_bench_what_is_generated_is_as_long_as_asked_for(bench):
    ids = torch.full((1, 5), 30)
    assert answering.generate(bench.base, ids).shape == (1, 5 + answering.NEW)


# Stage I


def test_bench_both_loops_see_the_same_tokens(bench):
    rows = [*random_rows(bench.base, 3, 12), *random_rows(bench.base, 2, 9)]
    batch = training.padded([{"ids": row.prompt + row.answer} for row in rows], bench.base.pad)
    assert batch["attention_mask"].sum(1).tolist() == [12, 12, 12, 9, 9]
    for i, row in enumerate(rows):
        assert batch["labels"][i][batch["labels"][i] != -100].tolist() == list(row.answer)
        assert batch["input_ids"][i, : len(row)].tolist() == [*row.prompt, *row.answer]


@pytest.mark.parametrize("trainer", ["lora", "adalora"])
def test_bench_both_loops_time_every_step_but_the_first(bench, trainer):
    work = training.Work(bench, trainer)
    assert (work.base, {len(row) for row in work.examples}) == (bench.base, {training.LENGTH})
    for average in (max, min):
        seconds, losses = work.ours(average)
        assert seconds > 0
        assert len(losses) == training.STEPS
    assert work.peer()[0] > 0
    assert len(work.peer(curve=True)[1]) == training.STEPS


def test_bench_times_are_between_steps():
    times = training._Times()
    assert times.steps() == []
    for _ in range(4):
        times.tick()
    assert len(times.steps()) == 3
    assert min(times.steps()) >= 0


def test_bench_forward_and_backward_leaves_the_base_as_it_was(bench):
    forward_and_backward(bench.base, random_rows(bench.base, 2, 9))()  # the fixture looks for hooks and gradients


# Stage II


def test_bench_planted_weights_are_the_best_and_the_base_is_worth_leaving(bench):
    bank = bench.bank(size=searching.SIZE)
    objective = searching.Planted(bench, bank, seed=1)
    [least] = objective.evaluate_weights(objective.planted[None])
    assert least == pytest.approx(objective.least, rel=1e-5)
    others = torch.cat([torch.randn(30, 3), objective.planted + 0.05 * torch.randn(30, 3)])
    assert min(objective.evaluate_weights(others)) > least
    assert objective.references[0].value >= searching.WORTH * least
    assert [reference.name for reference in objective.references] == ["base", *bank.names, "uniform"]


def test_bench_population_has_the_values_of_its_candidates(bench):
    objective = searching.Planted(bench, bench.bank(size=searching.SIZE), seed=2)
    population = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    together = objective.evaluate_weights(population)
    assert together == pytest.approx([objective.evaluate_weights(each[None])[0] for each in population], rel=1e-4)
    points = torch.zeros(1, objective.space.size)
    uniform = objective.references[-1]
    assert objective.values(points) == pytest.approx([uniform.value], rel=1e-5)
    torch.testing.assert_close(objective.candidate(points[0], 1.0).weights, uniform.weights)
    with pytest.raises(BadInput, match="no gradient"):
        objective.gradient(points[0])


def test_bench_every_evaluation_is_counted(bench):
    bank = bench.bank(size=searching.SIZE)
    found = {router: searching.values(bench, bank, router, 0) for router in ("cma-es", "lorahub")}
    references = [reference.value for reference in searching.Planted(bench, bank, 0).references]
    assert found["cma-es"][: len(references)] == pytest.approx(references)
    assert len(references) < len(found["cma-es"]) <= searching.BUDGET
    assert len(found["lorahub"]) == searching.BUDGET
    assert found["lorahub"][0] == pytest.approx(references[0])  # it starts from the base


def test_bench_first_value_that_is_low_enough_counts():
    assert searching.first_below([3.0, 2.0, 1.0, 0.5], 1.0) == 3
    assert searching.first_below([3.0], 1.0) == searching.BUDGET + 1


def test_bench_search_that_does_not_get_there_is_noted(bench, monkeypatch):
    monkeypatch.setattr(
        searching,
        "values",
        lambda bench, bank, router, seed: {"secant": [3, 2], "cma-es": [2, 1], "lorahub": [1]}[router],
    )
    row = compare(bench, "search")
    assert (row["ours"], row["peer"], row["met"]) == (searching.BUDGET + 1, 1, False)
    assert (
        row["note"]
        == "CMA-ES needs 2; not there after 30 evaluations, of 2 searches: secant in 2, cma-es in 0, lorahub in 0"
    )


# Processes


def test_bench_memory_and_start_up(bench):
    rows = {name: compare(bench, name) for name in PROCESSES}
    assert {name: row["goal"] for name, row in rows.items()} == PROCESSES
    assert [row["unit"] for row in rows.values()] == ["MiB", "MiB", "MiB", "s"]
    assert 50 < rows["memory"]["peer"] < 5000
    assert 5 < rows["training-memory"]["ours"] < rows["memory"]["peer"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not let a peak be forgotten")
def test_bench_peak_is_the_most_held_since_it_was_forgotten():
    memory.forget_peak()
    before = memory.peak()
    assert before >= memory.held() > 50
    block = torch.ones(64 << 20, dtype=torch.uint8)
    assert memory.peak() >= before + 50
    del block
    memory.forget_peak()
    assert memory.peak() < before + 30


def test_bench_report_has_the_losses_of_the_shots(bench, capsys):
    for skills in ("0", "3"):
        processes.report(bench.base.path, "float32", "cpu", skills, "2")
        printed = json.loads(capsys.readouterr().out)
        expected = losses(bench.base.model, random_shots(bench.base)).tolist()
        assert printed["losses"] == pytest.approx(expected, rel=1e-4)
        assert math.isfinite(printed["mebibytes"])
        assert printed["mebibytes"] > 50


def test_bench_process_that_fails_is_one_sentence():
    with pytest.raises(MdkifError, match=r"A process of the benchmark failed \(ValueError: no\)"):
        processes.python("raise ValueError('no')")
    with pytest.raises(MdkifError, match="it said nothing"):
        processes.python("import sys; sys.exit(3)")
    assert processes.python("import sys; print(*sys.argv[1:])", "a", "b") == "a b\n"


# The command


@pytest.fixture
def rows(bench):
    return [compare(bench, name) for name in ("candidate", "factors", "generation")]


def test_bench_rows_are_shown_with_their_goals(rows):
    for row, cells in zip(rows, map(shown, rows), strict=True):
        assert tuple(cells) == COLUMNS
        assert cells["met"] == {True: "yes", False: "no", None: "—"}[row["met"]]
    assert [shown(row)["goal"] for row in rows] == ["≤ 1.05", "—", "≥ 0.98"]
    large = rows[0] | {"ours": 12345.6, "spread": [0.12345, 1.0]}
    assert (shown(large)["ours"], shown(large)["spread"]) == ("12346", "0.123–1")


def test_bench_page_has_the_command_the_machine_and_every_row(rows, bench):
    page = markdown(rows, bench, ["candidate", "factors", "generation"])
    assert (
        "    mdkif bench --base tiny --only candidate --only factors --only generation --dtype auto --skills 3" in page
    )
    assert f"torch {torch.__version__.partition('+')[0]}" in page
    assert "tiny on cpu" in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(rows)
    assert {line.count("|") for line in table} == {len(COLUMNS) + 1}
    assert f"- {rows[1]['name']}: {rows[1]['note']}." in page


def command(kit, *arguments):
    return run("--store", kit.workspace.store.root, "bench", "--base", "tiny", *arguments)


def test_bench_command_prints_and_writes_the_same_rows(kit, tmp_path, capsys):
    out, table = tmp_path / "new" / "rows.json", tmp_path / "rows.md"
    chosen = ["--only", "candidate", "--only", "factors", "--skills", "2", "--rank", "1", "--repeats", "2"]
    assert command(kit, *chosen, "--out", str(out), "--table", str(table), "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["only"] for row in printed] == ["candidate", "factors"]
    assert json.loads(out.read_text("utf-8")) == printed
    assert shown(printed[0])["name"] in table.read_text("utf-8")


def test_bench_both_dtypes_are_measured_and_what_is_the_same_for_both_once(kit, tmp_path, capsys):
    table = tmp_path / "rows.md"
    chosen = ["--only", "factors", "--only", "start-up", "--skills", "2", "--repeats", "1"]
    assert command(kit, *chosen, "--dtype", "both", "--table", str(table), "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [(row["only"], row["dtype"]) for row in printed] == [
        ("factors", "bfloat16"), ("start-up", "bfloat16"), ("factors", "float32")]  # fmt: skip
    assert "--dtype both" in table.read_text("utf-8")


def test_bench_goals_of_training_are_higher_in_half_precision(kit):
    half = Bench(kit=Toolkit(kit.workspace.store.root, "tiny", dtype="bfloat16", device="cpu"), repeats=1)
    assert (half.half, half.dtype, half.tolerance) == (True, "bfloat16", 2e-2)
    assert {name: goals[0] for name, goals in training.GOALS.items()} == {"adalora": 2.5, "lora": 2.5}


@pytest.mark.parametrize("name", ["candidate", "training", "evaluation"])
def test_bench_profile_says_where_our_time_goes(kit, capsys, name):
    assert command(kit, "--profile", name, "--skills", "2", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed[0]) == ["dtype", "operation", "share", "seconds", "calls"]
    assert any(row["operation"].startswith("aten::") for row in printed)
    shares = [float(row["share"].rstrip("%")) for row in printed]
    assert shares == sorted(shares, reverse=True)
    assert 30 < sum(shares) <= 101


def test_bench_what_runs_in_other_processes_has_no_profile(kit, capsys):
    assert command(kit, "--profile", "start-up") == 2
    assert "'start-up' is not one of" in capsys.readouterr().err


def test_bench_profile_is_shown_as_a_table(kit, capsys):
    assert command(kit, "--profile", "factors", "--skills", "2") == 0
    assert capsys.readouterr().out.split()[:5] == ["dtype", "operation", "share", "seconds", "calls"]


def test_bench_command_prints_a_table(kit, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert command(kit, "--only", "factors", "--skills", "2", "--repeats", "1") == 0
    printed = capsys.readouterr()
    assert printed.out.split()[: len(COLUMNS)] == list(COLUMNS)
    assert "factors: its update is off by" in printed.out
    assert "Warning" not in printed.err


def test_bench_what_was_measured_is_kept_if_a_later_row_fails(kit, tmp_path, monkeypatch, capsys):
    def refuse(bench):
        raise MdkifError("The benchmark disagrees.")

    monkeypatch.setattr(adapters, "factors", refuse)
    out = tmp_path / "rows.json"
    chosen = ["--only", "candidate", "--only", "factors", "--skills", "2", "--repeats", "1"]
    assert command(kit, *chosen, "--out", str(out)) == 1
    assert [row["only"] for row in json.loads(out.read_text("utf-8"))] == ["candidate"]
    assert "The benchmark disagrees." in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--only", "speed"], ["--skills", "0"], ["--repeats", "x"], ["--base", "nobody"]])
def test_bench_wrong_option_is_refused(kit, wrong, capsys):
    assert command(kit, "--only", "candidate", *wrong) == 2
    assert capsys.readouterr().out == ""
