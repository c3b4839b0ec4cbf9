"""The multiple-choice skill: what it declares, and that both of its data sets give it choices."""

import json
from importlib.resources import files

import mdkif_dataset_medmcqa
import mdkif_dataset_medqa
import mdkif_dataset_medquad
import mdkif_skill_mcqa as plugin
from mdkif import ConversionReport, convert

[SKILL] = plugin.mdkif_skills()
DATASETS = {
    dataset.name: dataset
    for plugin in (mdkif_dataset_medmcqa, mdkif_dataset_medqa, mdkif_dataset_medquad)
    for dataset in plugin.mdkif_datasets()
}


def records(name, source):
    return list(convert(DATASETS[name], source, ConversionReport(), SKILL.source(name).options))


def test_its_template_fills_the_default_of_its_category():
    template = files(SKILL.package).joinpath("templates", SKILL.template).read_text()
    assert '{% extends "question-answering.jinja" %}' in template
    assert SKILL.category == "question-answering"


def test_it_is_trained_on_its_two_data_sets_and_medmcqa_stands_in_for_one():
    assert [source.dataset for source in SKILL.sources] == ["medquad", "medqa"]
    assert [source.dataset for source in SKILL.alternatives] == [DATASETS["medqa"].stand_in] == ["medmcqa"]
    assert set(SKILL.reads) == set(DATASETS)


def test_medmcqa_asks_as_medqa_does(tmp_path):
    texts = dict(zip(("opa", "opb", "opc", "opd"), "wxyz", strict=True))
    (tmp_path / "train.json").write_text(json.dumps({"id": "1", "question": "Which?", "cop": 2, **texts}))
    [record] = records("medmcqa", tmp_path)
    assert record.query == "Which answer is right? Choose from: w; x; y; z."
    assert (record.context, record.answer, record.split) == ("Which?", "x", "train")


def test_medquad_gives_four_choices(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.xml").write_text(
            f'<Document><Focus>D{number}</Focus><QAPairs><QAPair pid="1"><Question qtype="causes">What causes it in '
            f"D{number} ?</Question><Answer>A virus of kind {number} causes it.</Answer></QAPair></QAPairs></Document>"
        )
    assert [len(record.options) for record in records("medquad", tmp_path)] == [4] * 4


def test_medqa_gives_the_five_choices_of_the_paper(tmp_path):
    options = dict(zip("ABCDE", ["v", "w", "x", "y", "z"], strict=True))
    (tmp_path / "US").mkdir()
    (tmp_path / "US" / "test.jsonl").write_text(json.dumps({"question": "Which?", "options": options, "answer": "w"}))
    [record] = records("medqa", tmp_path)
    assert (record.options, record.answer) == (tuple("vwxyz"), "w")
