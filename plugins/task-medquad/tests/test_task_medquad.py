"""The MedQuAD task: what it declares, and the choices a router is learnt and tested on."""

from importlib.resources import files

import mdkif_dataset_medquad
import mdkif_task_medquad as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.core.data.splits import policy
from mdkif.core.prompts.templates import Template

[TASK] = plugin.mdkif_tasks()
[MEDQUAD] = mdkif_dataset_medquad.mdkif_datasets()
SOURCE = TASK.source("medquad")


def write(folder, count):
    for number in range(count):
        (folder / f"{number:07}.xml").write_text(
            f'<Document><Focus>D{number}</Focus><QAPairs><QAPair pid="1"><Question qtype="causes">What causes '
            f"D{number} ?</Question><Answer>A virus of kind {number} causes it.</Answer></QAPair></QAPairs></Document>"
        )
    return folder


def records(source, name="official"):
    conversion = ConversionReport()
    return list(convert(MEDQUAD, source, conversion, SOURCE.options, policy(name, SOURCE.sizes))), conversion


def test_its_template_fills_the_default_of_its_category():
    template = files(TASK.package).joinpath("templates", TASK.template).read_text()
    assert f'{{% extends "{TASK.category}.jinja" %}}' in template


def test_it_is_scored_as_the_papers_score_it():
    declared = (TASK.track, TASK.evaluator, TASK.metric, TASK.normaliser, TASK.multi_label)
    assert declared == ("unseen data", "classification", "accuracy", "sum", False)


def test_it_reads_medquad_in_the_papers_numbers():
    assert SOURCE.sizes == (44_911, 1273, 1273)
    assert sum(SOURCE.sizes) == 47_457
    with pytest.raises(BadInput, match="it reads medquad"):
        TASK.source("medqa")


def test_every_question_comes_with_four_answers_of_which_one_is_right(tmp_path):
    found, _ = records(write(tmp_path, 8))
    assert [len(record.options) for record in found] == [4] * 8
    instruction = Template.of(TASK).render(found[3])
    assert instruction.prompt.startswith("What causes D3? Choose from: ")
    assert instruction.answer == "A virus of kind 3 causes it."


def test_the_papers_policy_draws_their_shares_of_what_has_an_answer(tmp_path):
    _, conversion = records(write(tmp_path, 100), "paper")
    assert conversion.splits["test"] == conversion.splits["dev"] == 3
    assert conversion.splits["train"] >= 94
