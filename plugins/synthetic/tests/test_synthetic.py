"""The synthetic hospital as a whole: same seed same bytes, declared everywhere, never over foreign files."""

import gzip
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mdkif import BadInput, MdkifError
from mdkif_synthetic import generate, mdkif_commands
from mdkif_synthetic.cli import synth


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "hospital"
    generate(folder, seed=3, patients=40)
    return folder


def test_it_has_the_official_files_and_nothing_else(hospital):
    names = {name for name in digests(hospital) if not name.endswith(("SYNTHETIC.txt", ".xml"))}
    assert names == {
        "README.txt",
        "PubMedQA/data/ori_pqal.json",
        "PubMedQA/data/test_ground_truth.json",
        *(f"MedQA/data_clean/questions/US/{split}.jsonl" for split in ("train", "dev", "test")),
        *(f"MedNLI/mli_{split}_v1.jsonl" for split in ("train", "dev", "test")),
        "MeQSum/MeQSum_ACL2019_BenAbacha_Demner-Fushman.xlsx",
        *(f"UMLS/META/{table}.RRF" for table in ("MRCONSO", "MRDEF", "MRREL", "MRSTY")),
        *(
            f"MIMIC-III/{table}.csv.gz"
            for table in (
                "ADMISSIONS",
                "PATIENTS",
                "DIAGNOSES_ICD",
                "PROCEDURES_ICD",
                "D_ICD_DIAGNOSES",
                "D_ICD_PROCEDURES",
                "PRESCRIPTIONS",
                "NOTEEVENTS",
            )
        ),
    }


def test_same_seed_same_bytes(hospital, tmp_path):
    generate(tmp_path / "again", seed=3, patients=40)
    assert digests(tmp_path / "again") == digests(hospital)


def test_same_bytes_in_another_process_with_another_hash_seed(hospital, tmp_path):
    code = "import sys, pathlib, mdkif_synthetic as m; m.generate(pathlib.Path(sys.argv[1]), seed=3, patients=40)"
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"})
    assert digests(tmp_path / "a") == digests(hospital)


def test_another_seed_changes_every_family_but_the_knowledge(hospital, tmp_path):
    generate(tmp_path / "other", seed=4, patients=40)
    ours, theirs = digests(hospital), digests(tmp_path / "other")
    same = {name for name in ours if theirs.get(name) == ours[name] and not name.endswith(("SYNTHETIC.txt", ".xml"))}
    assert same == {
        "MIMIC-III/D_ICD_DIAGNOSES.csv.gz",
        "MIMIC-III/D_ICD_PROCEDURES.csv.gz",
        *(f"UMLS/META/{table}.RRF" for table in ("MRCONSO", "MRDEF", "MRREL", "MRSTY")),
    }
    assert any(theirs.get(name) != ours[name] for name in ours if name.endswith(".xml"))


def test_more_patients_leave_the_first_ones_as_they_are(tmp_path):
    generate(tmp_path / "few", seed=1, patients=12)
    generate(tmp_path / "more", seed=1, patients=15)
    few, more = (
        gzip.decompress((tmp_path / name / "MIMIC-III" / "PATIENTS.csv.gz").read_bytes()) for name in ("few", "more")
    )
    assert more.startswith(few)
    assert more != few


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(-(2**40), 2**40), patients=st.integers(10, 30))
def test_any_seed_and_size_gives_a_whole_hospital_twice_the_same(tmp_path_factory, seed, patients):
    folder = tmp_path_factory.mktemp("any")
    counts = generate(folder / "a", seed=seed, patients=patients)
    assert generate(folder / "b", seed=seed, patients=patients) == counts
    assert digests(folder / "a") == digests(folder / "b")
    assert counts["patients"] == patients
    assert patients <= counts["admissions"] <= 3 * patients
    assert all(count > 0 for name, count in counts.items() if name != "procedures_icd")


def test_every_folder_says_that_it_is_synthetic(hospital):
    folders = [hospital, *(path for path in hospital.rglob("*") if path.is_dir())]
    assert len(folders) > 20
    for folder in folders:
        assert (folder / "SYNTHETIC.txt").read_text(encoding="utf-8").startswith("SYNTHETIC DATA"), folder
    assert "SYNTHETIC" in (hospital / "README.txt").read_text(encoding="utf-8")


def test_files_say_it_inside_where_the_layout_has_room(hospital):
    for path in hospital.rglob("*.xml"):
        assert "<!--SYNTHETIC" in path.read_text(encoding="utf-8"), path
    for path in hospital.rglob("*.gz"):
        assert f"SYNTHETIC-{path.stem}".encode() in path.read_bytes()[:60], path
    for path in hospital.rglob("*.RRF"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert path.stem == "MRSTY" or all("|SYNTHETIC|" in line for line in lines), path
    with zipfile.ZipFile(next(hospital.rglob("*.xlsx"))) as book:
        assert b"SYNTHETIC" in book.read("docProps/core.xml")
    for path in (hospital / "MedNLI").glob("*.jsonl"):
        assert all(json.loads(line)["pairID"].startswith("synthetic") for line in path.open(encoding="utf-8"))
    articles = json.loads((hospital / "PubMedQA" / "data" / "ori_pqal.json").read_text(encoding="utf-8"))
    assert all("Synthetic" in article["MESHES"] for article in articles.values())


def test_time_leaves_no_trace_in_the_archives(hospital):
    for path in hospital.rglob("*.gz"):
        assert path.read_bytes()[4:8] == b"\0\0\0\0", path
    with zipfile.ZipFile(next(hospital.rglob("*.xlsx"))) as book:
        assert {member.date_time for member in book.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        core = book.read("docProps/core.xml").decode()
    assert core.count("1980-01-01T00:00:00Z") == 2


def test_an_earlier_hospital_is_replaced_whole(tmp_path):
    folder = tmp_path / "hospital"
    generate(folder, seed=1, patients=10)
    stray = folder / "MIMIC-III" / "left-over.csv"
    stray.write_text("x")
    generate(folder, seed=2, patients=10)
    assert not stray.exists()
    assert "Seed: 2" in (folder / "README.txt").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["hospital"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    generate(tmp_path / "empty", patients=10)
    assert (tmp_path / "empty" / "README.txt").exists()


@pytest.mark.parametrize("foreign", ["thesis.txt", "SYNTHETIC.txt", "README.txt"])
def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path, foreign):
    (tmp_path / foreign).write_text("mine")
    with pytest.raises(BadInput, match="did not write"):
        generate(tmp_path, patients=10)
    assert digests(tmp_path).keys() == {foreign}
    assert (tmp_path / foreign).read_text() == "mine"


def test_a_mark_that_is_not_text_is_no_mark(tmp_path):
    (tmp_path / "SYNTHETIC.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="did not write"):
        generate(tmp_path, patients=10)


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="is a file"):
        generate(tmp_path / "file", patients=10)


@pytest.mark.parametrize("patients", [9, 0, -1])
def test_too_few_patients_are_refused(tmp_path, patients):
    with pytest.raises(BadInput, match="10 or more"):
        generate(tmp_path / "tiny", patients=patients)
    assert not (tmp_path / "tiny").exists()


def test_a_failure_leaves_the_earlier_hospital_and_no_rubbish(tmp_path, monkeypatch):
    folder = tmp_path / "hospital"
    generate(folder, seed=1, patients=10)
    before = digests(folder)

    def full(folder, hospital):
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setattr("mdkif_synthetic.generation.meqsum.write", full)
    with pytest.raises(MdkifError, match="No space left"):
        generate(folder, seed=2, patients=10)
    assert digests(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["hospital"]


def test_the_default_size_is_as_promised(tmp_path):
    counts = generate(tmp_path / "default")
    assert counts["patients"] == 400
    assert 400 < counts["admissions"] < 700
    assert counts["mednli_train"] + counts["mednli_dev"] + counts["mednli_test"] == 600
    assert counts["medqa_train"] + counts["medqa_dev"] + counts["medqa_test"] == 300
    assert (counts["pubmedqa"], counts["pubmedqa_test"], counts["meqsum"]) == (300, 150, 200)
    assert counts["medquad"] >= 150
    assert counts["umls_mrconso"] > 400


def test_the_hook_declares_the_command_and_imports_nothing_heavy():
    (command,) = mdkif_commands()
    assert (command.kind, command.name) == ("command", "synth")
    assert command.load() is synth
    code = (
        "import sys, mdkif_synthetic; mdkif_synthetic.mdkif_commands();"
        "print(sorted({'torch', 'transformers', 'peft', 'datasets', 'openpyxl', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_command_prints_one_json_document(tmp_path):
    result = CliRunner().invoke(synth, [str(tmp_path / "h"), "--size", "12", "--seed", "5", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["directory"] == str(tmp_path / "h")
    assert told["seed"] == 5
    assert told["counts"]["patients"] == 12
    assert told["seconds"] >= 0


def test_the_command_tells_people_what_it_wrote_and_where(tmp_path):
    result = CliRunner().invoke(synth, [str(tmp_path / "h"), "--size", "12"])
    assert "12  patients" in result.stdout
    assert str(tmp_path / "h" / "README.txt") in result.stdout


def test_the_command_refuses_foreign_folders_and_silly_sizes(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert isinstance(CliRunner().invoke(synth, [str(tmp_path), "--size", "12"]).exception, BadInput)
    assert CliRunner().invoke(synth, [str(tmp_path / "h"), "--size", "3"]).exit_code == 2
