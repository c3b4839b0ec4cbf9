"""Experiments: recipes that are wrong, cells that are computed once, runs that are killed, and what tables say."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from mdkif import BadInput, Toolkit
from mdkif.core.experiments import tables
from mdkif.core.experiments.engines import Local, engine
from mdkif.core.experiments.grid import plan
from mdkif.core.experiments.laboratory import Laboratory
from mdkif.core.experiments.recipe import parse
from mdkif.core.experiments.reproduce import finished, write
from mdkif.core.experiments.results import Column, Entry, Results, Row

RECIPE = """
title = "Do routers beat one skill?"
tasks = ["pubmedqa", "mednli"]
skills = ["qa", "nli"]
methods = ["base", "baseline:majority", "skill:corresponding", "skill:oracle", "uniform", "single"]
skill_seeds = [0, 1]
adaptation_seeds = [0, 1]
claims = [["single", "uniform"]]
train = { trainer = "lora", steps = 2, batch_size = 2, dev_records = 2 }
adapt = { shots = 4 }
evaluate = { limit = 6 }
"""


@pytest.fixture(scope="session")
def sources(pubmedqa, mednli):
    return {"pubmedqa": pubmedqa, "mednli": mednli}


@pytest.fixture
def laboratory(workspace, sources):
    return Laboratory(workspace, sources)


@pytest.fixture(scope="session")
def toy(tmp_path_factory, tiny, plugins, sources, shared_base):
    """A laboratory in which the recipe is finished, and its results."""
    kit = Toolkit(tmp_path_factory.mktemp("toy"), str(tiny), dtype="float32", device="cpu", plugins=plugins)
    kit.workspace.__dict__["base"] = shared_base
    made = Laboratory(kit.workspace, sources)
    return made, finished(made, parse(RECIPE, "toy"), Local(), 50)


class Counting(Local):
    """The local engine, which knows what it was given."""

    def run(self, laboratory, jobs, told):
        self.jobs = jobs
        super().run(laboratory, jobs, told)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tasks = [", "mine.toml is not TOML"),
        ("methods = ['base']", 'mine.toml has no tasks: add tasks = ["…"]'),
        ("tasks = ['a']", "mine.toml has no methods"),
        ("taks = ['a']", "no key in the recipe mine.toml named 'taks': did you mean 'tasks'?"),
        ("tasks = 'a'", "mine.toml has the wrong tasks: write a list of names"),
        ("skill_seeds = ['a']", "wrong skill_seeds: write a list of whole numbers"),
        ("unit = 0", "wrong unit: write a whole number above 0"),
        ("train = 3", "wrong train: write a table"),
        ("order = 'up'", "wrong order: use one of listed, random"),
        ("claims = ['a']", "wrong claims: write a list of pairs"),
        ("tasks = ['a']\nmethods = ['base', 'base']", "two methods named 'base'"),
        ("tasks = ['a']\nmethods = ['base']\nagainst = 'bas'", "no method in the recipe mine.toml named 'bas'"),
        ("tasks = ['a']\nmethods = ['base']\nclaims = [['base']]", "a claim of 1 methods"),
        ("tasks = ['a']\nmethods = ['base']\nsettings = ['few']", "no setting in the recipe mine.toml named 'few'"),
        ("tasks = ['a']\nmethods = ['base']\nvary = { shots = 8 }", "must vary one thing, with"),
        ("tasks = ['a']\nmethods = [3]", "neither a name nor a table"),
        ("tasks = ['a']\n[[methods]]\npaper = { a = 1 }", "neither a name nor what to run"),
    ],
)
def test_recipe_that_is_wrong_is_told_with_file_key_and_remedy(text, said):
    with pytest.raises(BadInput) as error:
        parse(text, "mine.toml")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"uniform"', '"unform"', "no router named 'unform': did you mean 'uniform'?"),
        (
            "shots = 4",
            "shot = 4",
            "There is no setting named 'shot': did you mean 'shots'?",
        ),
        ("steps = 2", "stps = 2", "In the recipe toy, train: There is no setting named 'stps': did you mean 'steps'?"),
        ("limit = 6", "limit = -1", "In the recipe toy, evaluate: The setting limit cannot be '-1'"),
        ('"pubmedqa", ', '"pubmed", ', "no task named 'pubmed': did you mean 'pubmedqa'?"),
    ],
)
def test_recipe_with_an_unknown_name_is_refused_before_anything_is_computed(laboratory, old, new, said):
    with pytest.raises(BadInput) as error:
        plan(parse(RECIPE.replace(old, new), "toy"), laboratory)
    assert said in str(error.value)


def test_recipe_leaves_out_what_has_no_data_in_one_sentence_with_the_stand_in(laboratory):
    recipe = parse(RECIPE.replace('"mednli"]', '"icd-coding"]'), "toy")
    grid = plan(recipe, laboratory)
    assert {place.task for place in grid.places} == {"pubmedqa"}
    [sentence] = grid.missing
    assert sentence.startswith("The task 'icd-coding' needs mimic-iii or mimic-iv")
    assert "mdkif synth hospital" in sentence
    with pytest.raises(BadInput, match="needs mimic-iii"):
        plan(replace(recipe, tasks=("icd-coding",)), laboratory)


def test_grid_has_a_cell_for_whatever_differs_and_one_for_what_does_not(laboratory):
    """2 tasks; base does not depend on seeds, a skill on one of them, a router on both, an oracle on two skills."""
    grid = plan(parse(RECIPE, "toy"), laboratory)
    jobs = [job for job in grid.jobs(laboratory) if job.kind == "cell"]
    runs = [job.run for job in jobs]
    assert {run: runs.count(run) for run in runs} == {
        "base": 2, "baseline:majority": 4, "skill:qa": 4, "skill:nli": 4, "uniform": 8, "single": 8,
    }  # fmt: skip
    assert sum(job.kind == "training" for job in grid.jobs(laboratory)) == 4


def test_grid_puts_every_job_after_what_it_needs(laboratory):
    keys = []
    for job in plan(parse(RECIPE, "toy"), laboratory).jobs(laboratory):
        assert all(laboratory.key(each) in keys for each in job.needs)
        keys.append(laboratory.key(job))
    assert len(set(keys)) == len(keys)


def blended(recipe, laboratory):
    """The skills that the router uniform blends, by seed and value."""
    places = plan(recipe, laboratory).places
    return {(place.seed, place.x): {each.skill for each in cell.needs}
            for place, cells in places.items() for cell in cells if place.method == "uniform"}  # fmt: skip


def test_grid_random_orders_are_nested(laboratory):
    text = RECIPE.replace(
        'tasks = ["pubmedqa", "mednli"]', 'tasks = ["pubmedqa"]\nvary = { skills = [1, 2] }\norder = "random"'
    )
    found = blended(parse(text.replace("[0, 1]", "[0, 1, 2, 3]"), "toy"), laboratory)
    seeds = {seed for seed, _ in found}
    assert len(seeds) == 16
    assert all(found[seed, "1"] < found[seed, "2"] == {"qa", "nli"} for seed in seeds)
    assert {next(iter(found[seed, "1"])) for seed in seeds} == {"qa", "nli"}


def test_grid_leaves_one_skill_out(laboratory):
    text = RECIPE.replace('tasks = ["pubmedqa", "mednli"]', 'tasks = ["pubmedqa"]\nvary = { without = ["qa", "nli"] }')
    found = blended(parse(text, "toy"), laboratory)
    assert found[(0, 0), "qa"] == {"nli"}
    assert found[(0, 0), "nli"] == {"qa"}


def test_key_changes_with_whatever_a_cell_depends_on(laboratory, workspace, sources, pubmedqa, tmp_path):
    def keys(recipe=RECIPE, given=sources):
        made = Laboratory(workspace, given)
        return {made.key(job) for job in plan(parse(recipe, "toy"), made).jobs(made)}

    first = keys()
    assert keys() == first
    copied = tmp_path / "elsewhere"
    subprocess.run(["cp", "-r", str(pubmedqa), str(copied)], check=True)
    assert keys(given=sources | {"pubmedqa": copied}) == first
    (copied / "data" / "note.txt").write_text("changed")
    assert not keys(given={"pubmedqa": copied}) & keys(given={"pubmedqa": pubmedqa})
    majority = keys(RECIPE.replace("limit = 6", "limit = 7"))
    assert len(first & majority) == 4  # the trainings alone
    assert len(first & keys(RECIPE.replace("shots = 4", "shots = 5"))) == 4 + 2 + 8  # and base, and single skills


def test_reproduce_computes_nothing_twice(toy):
    laboratory, results = toy
    counting = Counting()
    again = finished(laboratory, parse(RECIPE, "toy"), counting, 50)
    assert counting.jobs == []
    assert tables.markdown(again) == tables.markdown(results)
    finished(laboratory, parse(RECIPE.replace("[0, 1]\nclaims", "[0, 1, 2]\nclaims"), "toy"), counting, 0)
    assert all(job.run.partition(":")[0] in ("uniform", "single", "baseline") for job in counting.jobs)


def test_reproduce_has_the_numbers_of_the_reports(toy):
    laboratory, results = toy
    grid = plan(parse(RECIPE, "toy"), laboratory)
    for (row, column), entry in results.entries.items():
        cells = {laboratory.key(c): c for place, cells in grid.places.items() for c in cells
                 if (place.method, place.task) == (row.method, column.task)}  # fmt: skip
        values = [laboratory.report(laboratory.result(c))["metrics"]["accuracy"] for c in cells.values()]
        if row.bound:
            assert entry.mean >= sum(values) / len(values)
        else:
            assert entry.mean == pytest.approx(sum(values) / len(values))
            assert len(entry.values) == len(values)


def test_reproduce_oracle_is_the_best_skill_of_each_seed(toy):
    _, results = toy
    oracle, single = (Row(name, "few-shot", name == "skill:oracle") for name in ("skill:oracle", "skill:corresponding"))
    for task in ("pubmedqa", "mednli"):
        column = Column(task, "accuracy")
        assert results.entries[oracle, column].mean >= results.entries[single, column].mean


def test_reproduce_does_not_touch_the_users_own_store(toy):
    laboratory, _ = toy
    assert [path.name for path in laboratory.workspace.store.root.iterdir()] == ["experiments"]


def test_reproduce_lists_what_failed_and_goes_on(laboratory):
    recipe = RECIPE.replace("limit = 6", "limit = 6, max_length = 12").replace("[0, 1]", "[0]")
    results = finished(laboratory, parse(recipe, "toy"), Local(), 0)
    assert {failure.title for failure in results.failures} >= {"base on pubmedqa", "base on mednli"}
    assert all("raise max_length" in failure.reason for failure in results.failures)
    assert "Failed:\n\n- base on pubmedqa: None of" in tables.markdown(results)
    majority = Row("baseline:majority", "few-shot")
    assert results.entries[majority, Column("pubmedqa", "accuracy")].mean is not None


def test_reproduce_of_a_skill_that_failed_names_it(laboratory):
    recipe = RECIPE.replace("dev_records = 2 }", "dev_records = 2, max_length = 3 }").replace("[0, 1]", "[0]")
    results = finished(laboratory, parse(recipe, "toy"), Local(), 0)
    [told] = [f.reason for f in results.failures if f.title == "uniform of 2 skills on mednli"]
    assert told.startswith("the skill qa, seed 0 failed: ")


def test_reproduce_trains_a_skill_again_that_was_damaged(toy, tmp_path):
    laboratory, _ = toy
    jobs = plan(parse(RECIPE, "toy"), laboratory).jobs(laboratory)
    training = next(job for job in jobs if job.kind == "training")
    result = laboratory.result(training)
    folder = laboratory.workspace.store.experiment(result.place).skill(laboratory.workspace.base.name, training.skill)
    weights = folder / "adapter_model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert laboratory.result(training) is None
    assert laboratory.compute(training).version == result.version
    assert weights.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is needed")
def test_reproduce_killed_again_and_again_loses_and_repeats_no_cell(toy, tmp_path, tiny, sources):
    """Each time a few more cells are finished; at the end the table is the one of a run that nobody killed."""
    recipe, listed = tmp_path / "mine.toml", tmp_path / "sources.toml"
    recipe.write_text(RECIPE)
    listed.write_text("".join(f'{name} = "{path}"\n' for name, path in sources.items()))
    store = tmp_path / "store"
    command = [sys.executable, "-m", "mdkif", "--store", str(store), "reproduce", str(recipe), "--sources", str(listed),
               "--base", str(tiny), "--dtype", "float32", "--device", "cpu", "--draws", "50"]  # fmt: skip
    cells, seen = store / "experiments" / "cells", {}
    for _ in range(3):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = len(seen) + 4
        while running.poll() is None and len(list(cells.glob("[!.]*.json"))) < until:
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        running.wait()
        found = {path.name: path.read_bytes() for path in cells.glob("[!.]*.json")}
        assert seen.items() <= found.items()
        seen = found
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in cells.glob("[!.]*.json")}.items() >= seen.items()
    assert done.stdout == tables.markdown(toy[1])


def made(entries, unit=100, **recipe):
    """Results of two methods on one task."""
    experiment = parse(f"tasks = ['t']\nmethods = ['base', 'router', 'third', 'skill:oracle']\nunit = {unit}", "toy")
    experiment, column = replace(experiment, **recipe), Column("t", "accuracy")
    rows = [Row(name, "few-shot", name == "skill:oracle") for name in entries]
    given = {(row, column): entry for row, entry in zip(rows, entries.values(), strict=True)}
    return Results(experiment, rows, [column], given, higher={column: True})


TABLE = {
    "base": Entry({"a": 0.5, "b": 0.52}, paper=51.1, n=9),
    "router": Entry({"a": 0.61}, n=9),
    "third": Entry({"a": 0.6}, n=9),
    "skill:oracle": Entry({"a": 0.9}, n=9),
    "of the paper": Entry(paper=84.2),
}


def test_table_marks_best_and_second_but_no_upper_bound():
    lines = tables.markdown(made(TABLE)).splitlines()
    assert lines[2:7] == [
        "| base | 51.0 ± 1.4 (51.1) |",
        "| router | **61.0** |",
        "| third | <u>60.0</u> |",
        "| skill:oracle (upper bound) | 90.0 |",
        "| of the paper | (84.2) |",
    ]


def test_table_in_latex_is_one_of_booktabs():
    text = tables.latex(made(TABLE | {"a_b & c": Entry()}))
    assert text.startswith("\\begin{tabular}{lr}\n\\toprule\n & t accuracy \\\\\n\\midrule\n")
    assert r"router & \textbf{61.0} \\" in text
    assert r"third & \underline{60.0} \\" in text
    assert r"base & 51.0 $\pm$ 1.4 (51.1) \\" in text
    assert r"a\_b \& c & --- \\" in text


def test_table_as_csv_has_full_precision():
    rows = list(csv.DictReader(io.StringIO(tables.separated(made(TABLE)))))
    assert [row["method"] for row in rows] == list(TABLE)
    assert (float(rows[0]["mean"]), float(rows[0]["paper"])) == (0.51, 51.1)
    assert rows[4]["mean"] == ""


def test_table_of_counts_has_whole_numbers():
    assert tables.shown(Entry({"a": 44911.0}, paper=44911), 1) == "44,911 (44,911)"


def test_table_says_what_is_claimed_and_what_is_not(toy):
    text = tables.markdown(toy[1])
    assert "single better than uniform, few-shot, pubmedqa accuracy: not shown" in text
    assert "n is too small for this claim" in text or "+0.000" in text


def test_results_as_json_hold_no_text_of_records(toy, pubmedqa):
    told = json.dumps(toy[1].as_json())
    articles = json.loads((pubmedqa / "data" / "ori_pqal.json").read_text())
    assert not [a for a in articles.values() if a["CONTEXTS"][0] in told or a["QUESTION"] in told]


def test_figure_has_a_line_for_each_method_and_the_papers_dashed(toy, tmp_path):
    pytest.importorskip("matplotlib")
    laboratory, _ = toy
    text = RECIPE.replace('"uniform", "single"]', '"uniform", { name = "router", run = "single", '
                          'paper = { pubmedqa = { "4" = 60.0, "5" = 61.0 } } }]')  # fmt: skip
    text = text.replace("claims", "vary = { shots = [4, 5] }\n#").replace("[0, 1]", "[0]")
    results = finished(laboratory, parse(text, "toy"), Local(), 0)
    files = write(results, tmp_path / "out")
    assert [file.name for file in files] == ["table.md", "table.tex", "table.csv", "figure.svg"]
    svg = files[-1].read_text()
    assert "stroke-dasharray" in svg
    for name in ("router", "router, the paper&#x27;s", "uniform", "pubmedqa", "shots"):
        assert name in svg or name.replace("&#x27;", "'") in svg
    again = write(results, tmp_path / "again")
    assert again[-1].read_text() == svg


def test_figure_of_weights_has_a_bar_for_each_skill(toy, tmp_path):
    pytest.importorskip("matplotlib")
    laboratory, _ = toy
    text = RECIPE.replace("claims", 'figure = "weights"\n#').replace("[0, 1]", "[0]")
    svg = write(finished(laboratory, parse(text, "toy"), Local(), 0), tmp_path / "out")[-1].read_text()
    assert all(name in svg for name in ("qa", "nli", "weight", "pubmedqa", "mednli"))


def test_engine_that_is_unknown_is_told():
    with pytest.raises(BadInput, match="no engine named 'rey': did you mean 'ray'"):
        engine("rey")


def test_engine_ray_gives_the_local_numbers_on_two_workers(toy, tmp_path, tiny, sources, plugins, shared_base):
    ray = pytest.importorskip("ray", reason="the engine 'ray' needs pip install 'mdkif[ray]'")
    from mdkif.core.experiments.engines import Ray

    kit = Toolkit(tmp_path / "store", str(tiny), dtype="float32", device="cpu", plugins=plugins)
    kit.workspace.__dict__["base"] = shared_base
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        results = finished(Laboratory(kit.workspace, sources), parse(RECIPE, "toy"), Ray(2), 50)
    finally:
        ray.shutdown()
    assert results.failures == []
    assert tables.markdown(results) == tables.markdown(toy[1])
