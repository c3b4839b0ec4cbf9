"""The MedNLI task: what it declares, and the records a router is learnt and tested on."""

import json
from importlib.resources import files

import mdkif_dataset_mednli
import mdkif_task_mednli as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.core.data.splits import policy
from mdkif.core.prompts.templates import Template

[TASK] = plugin.mdkif_tasks()
[MEDNLI] = mdkif_dataset_mednli.mdkif_datasets()
SOURCE = TASK.source("mednli")
LABELS = ("entailment", "neutral", "contradiction")


def write(folder, split, count):
    rows = (
        {"pairID": str(n), "gold_label": LABELS[n % 3], "sentence1": f"Note {n // 3}.", "sentence2": f"Claim {n}."}
        for n in range(count)
    )
    path = folder / f"mli_{split}_v1.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def records(source, name="official"):
    conversion = ConversionReport()
    return list(convert(MEDNLI, source, conversion, SOURCE.options, policy(name, SOURCE.sizes))), conversion


def test_its_template_fills_the_default_of_its_category():
    template = files(TASK.package).joinpath("templates", TASK.template).read_text()
    assert f'{{% extends "{TASK.category}.jinja" %}}' in template


def test_it_is_scored_as_the_papers_score_it():
    declared = (TASK.track, TASK.evaluator, TASK.metric, TASK.normaliser, TASK.multi_label)
    assert declared == ("unseen data", "classification", "accuracy", "sum", False)


def test_no_stand_in_passes_for_mednli():
    with pytest.raises(BadInput, match="it reads mednli"):
        TASK.source("pubmedqa")


def test_its_test_records_are_the_official_ones(tmp_path):
    for split in ("train", "dev", "test"):
        write(tmp_path, split, 3)
    found, conversion = records(tmp_path)
    assert conversion.splits == {"train": 3, "dev": 3, "test": 3}
    assert Template.of(TASK).render(found[0]).answer == "entailment"


def test_the_papers_sizes_add_up_to_the_official_test_file_and_keep_premises_whole(tmp_path):
    found, conversion = records(write(tmp_path, "test", 1422), "paper")
    assert SOURCE.sizes == (1138, 142, 142)
    assert sum(SOURCE.sizes) == len(found) + conversion.left_out["beyond the split policy's sizes"] == 1422
    assert abs(conversion.splits["test"] - 142) < 3
    splits: dict[str, str] = {}
    for record in found:
        assert splits.setdefault(record.group, record.split) == record.split
