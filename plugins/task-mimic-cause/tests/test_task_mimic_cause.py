"""The MIMIC-Cause task: what it declares, and the records a router is learnt and tested on."""

import csv
from importlib.resources import files

import mdkif_dataset_mimic_cause
import mdkif_task_mimic_cause as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.core.data.splits import policy
from mdkif.core.prompts.templates import Template

[TASK] = plugin.mdkif_tasks()
[CAUSE] = mdkif_dataset_mimic_cause.mdkif_datasets()
SOURCE = TASK.source("mimic-cause")


def records(path, count, name="official"):
    with path.open("w", newline="") as file:
        rows = ([f"<e1>Drug {n}</e1> caused <e2>pain</e2>.", str(n % 9)] for n in range(count))
        csv.writer(file).writerows([["Text", "Label"], *rows])
    conversion = ConversionReport()
    return list(convert(CAUSE, path, conversion, SOURCE.options, policy(name, SOURCE.sizes))), conversion


def test_its_template_fills_the_default_of_its_category():
    template = files(TASK.package).joinpath("templates", TASK.template).read_text()
    assert f'{{% extends "{TASK.category}.jinja" %}}' in template


def test_it_is_scored_as_the_papers_score_it():
    declared = (TASK.track, TASK.evaluator, TASK.metric, TASK.normaliser, TASK.multi_label)
    assert declared == ("unseen data", "classification", "accuracy", "sum", False)


def test_it_reads_mimic_cause_alone():
    assert SOURCE.sizes is not None
    assert sum(SOURCE.sizes) == 2714
    with pytest.raises(BadInput, match="it reads mimic-cause"):
        TASK.source("ddi")


def test_the_instruction_lists_nine_labels_before_the_tagged_sentence(tmp_path):
    [record], _ = records(tmp_path / "cause.csv", 1)
    instruction = Template.of(TASK).render(record)
    assert instruction.prompt.endswith("e2 hinders e1; other.\n\n<e1>Drug 0</e1> caused <e2>pain</e2>.")
    assert instruction.answer == "e1 causes e2"


def test_the_papers_policy_draws_their_shares(tmp_path):
    found, conversion = records(tmp_path / "cause.csv", 2714, "paper")
    assert conversion.splits == {"train": 1286, "dev": 714, "test": 714}
    assert {len(record.labels) for record in found} == {1}
