"""The synthetic hospital as a whole: same seed same bytes, declared everywhere, never over foreign files."""

import gzip
import hashlib
import json
import subprocess
import sys
import tomllib
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mdkif import BadInput, MdkifError
from mdkif.testing import assert_conforms
from mdkif_synthetic import generate, mdkif_commands
from mdkif_synthetic.cli import synth
from mdkif_synthetic.generation import FAMILIES
from mdkif_synthetic.patients import admit


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "hospital"
    generate(folder, seed=3, patients=40)
    return folder


def test_synthetic_conforms():
    assert_conforms("mdkif-synthetic")


def test_synthetic_has_the_official_files_and_nothing_else(hospital):
    names = {
        name
        for name in digests(hospital)
        if not name.endswith(("SYNTHETIC.txt", "SYNTHETIC.md", ".xml")) and not name.startswith("i2b2/")
    }
    assert names == {
        "README.txt",
        "sources.toml",
        "PubMedQA/data/ori_pqal.json",
        "PubMedQA/data/test_ground_truth.json",
        *(f"MedQA/data_clean/questions/US/{split}.jsonl" for split in ("train", "dev", "test")),
        *(f"MedNLI/mli_{split}_v1.jsonl" for split in ("train", "dev", "test")),
        "MeQSum/MeQSum_ACL2019_BenAbacha_Demner-Fushman.xlsx",
        "HealthCareMagic/HealthCareMagic-100k.json",
        "WikiMed/wikimed.json",
        "WikiMed/MRSTY.RRF",
        "MIMIC-Cause/mimicause.zip",
        "emrQA/data.json",
        *(f"CliCR/{split}1.0.json" for split in ("train", "dev", "test")),
        *(
            f"MIMIC-IV/hosp/{table}.csv.gz"
            for table in (
                "admissions",
                "patients",
                "diagnoses_icd",
                "procedures_icd",
                "d_icd_diagnoses",
                "d_icd_procedures",
                "prescriptions",
            )
        ),
        "MIMIC-IV/note/discharge.csv.gz",
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


def test_synthetic_bytes_are_the_same_with_the_same_seed(hospital, tmp_path):
    generate(tmp_path / "again", seed=3, patients=40)
    assert digests(tmp_path / "again") == digests(hospital)


def test_synthetic_bytes_are_the_same_in_another_process_with_another_hash_seed(hospital, tmp_path):
    code = "import sys, pathlib, mdkif_synthetic as m; m.generate(pathlib.Path(sys.argv[1]), seed=3, patients=40)"
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"})
    assert digests(tmp_path / "a") == digests(hospital)


def test_synthetic_another_seed_changes_every_family_but_the_knowledge(hospital, tmp_path):
    generate(tmp_path / "other", seed=4, patients=40)
    ours, theirs = digests(hospital), digests(tmp_path / "other")
    marks = ("SYNTHETIC.txt", "SYNTHETIC.md", ".xml")
    same = {name for name in ours if theirs.get(name) == ours[name] and not name.endswith(marks)}
    assert same == {
        "sources.toml",
        "WikiMed/MRSTY.RRF",
        "MIMIC-III/D_ICD_DIAGNOSES.csv.gz",
        "MIMIC-III/D_ICD_PROCEDURES.csv.gz",
        "MIMIC-IV/hosp/d_icd_diagnoses.csv.gz",
        "MIMIC-IV/hosp/d_icd_procedures.csv.gz",
        *(f"UMLS/META/{table}.RRF" for table in ("MRCONSO", "MRDEF", "MRREL", "MRSTY")),
    }
    assert any(theirs.get(name) != ours[name] for name in ours if name.endswith(".xml"))


def test_synthetic_more_patients_leave_the_first_ones_as_they_are(tmp_path):
    generate(tmp_path / "few", seed=1, patients=12, only=["mimic-iii"])
    generate(tmp_path / "more", seed=1, patients=15, only=["mimic-iii"])
    few, more = (
        gzip.decompress((tmp_path / name / "MIMIC-III" / "PATIENTS.csv.gz").read_bytes()) for name in ("few", "more")
    )
    assert more.startswith(few)
    assert more != few


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(-(2**40), 2**40), patients=st.integers(10, 24))
def test_synthetic_any_seed_and_size_gives_a_whole_hospital_twice_the_same(tmp_path_factory, seed, patients):
    folder = tmp_path_factory.mktemp("any")
    counts = generate(folder / "a", seed=seed, patients=patients).counts
    assert generate(folder / "b", seed=seed, patients=patients).counts == counts
    assert digests(folder / "a") == digests(folder / "b")
    assert counts["patients"] == patients
    assert patients <= counts["admissions"] <= 3 * patients
    assert all(count > 0 for name, count in counts.items() if not name.endswith("procedures_icd"))


def test_synthetic_every_folder_says_that_it_is_synthetic(hospital):
    folders = [hospital, *(path for path in hospital.rglob("*") if path.is_dir())]
    assert len(folders) > 20
    for folder in folders:
        mark = "SYNTHETIC.md" if "i2b2" in folder.parts else "SYNTHETIC.txt"
        assert (folder / mark).read_text(encoding="utf-8").startswith("SYNTHETIC DATA"), folder
    assert "SYNTHETIC" in (hospital / "README.txt").read_text(encoding="utf-8")


def test_synthetic_files_say_it_inside_where_the_layout_has_room(hospital):
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
        assert all(
            json.loads(line)["pairID"].startswith("synthetic") for line in path.read_text(encoding="utf-8").splitlines()
        )
    for path in hospital.glob("i2b2/**/*.txt"):
        assert path.read_text(encoding="utf-8").startswith("SYNTHETIC RECORD"), path
    for path in (hospital / "CliCR").glob("*.json"):
        report = json.loads(path.read_text(encoding="utf-8"))
        assert "SYNTHETIC" in report["version"]
        assert all(case["source"].startswith("synthetic") for case in report["data"])
    with zipfile.ZipFile(hospital / "MIMIC-Cause" / "mimicause.zip") as archive:
        assert archive.comment.startswith(b"SYNTHETIC DATA")
    articles = json.loads((hospital / "PubMedQA" / "data" / "ori_pqal.json").read_text(encoding="utf-8"))
    assert all("Synthetic" in article["MESHES"] for article in articles.values())


def test_synthetic_time_leaves_no_trace_in_the_archives(hospital):
    for path in hospital.rglob("*.gz"):
        assert path.read_bytes()[4:8] == b"\0\0\0\0", path
    with zipfile.ZipFile(hospital / "MIMIC-Cause" / "mimicause.zip") as archive:
        assert [member.date_time for member in archive.infolist()] == [(1980, 1, 1, 0, 0, 0)]
    with zipfile.ZipFile(next(hospital.rglob("*.xlsx"))) as book:
        assert {member.date_time for member in book.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        core = book.read("docProps/core.xml").decode()
    assert core.count("1980-01-01T00:00:00Z") == 2


def test_synthetic_earlier_hospital_is_replaced_whole(tmp_path):
    folder = tmp_path / "hospital"
    generate(folder, seed=1, patients=10)
    stray = folder / "MIMIC-III" / "left-over.csv"
    stray.write_text("x")
    generate(folder, seed=2, patients=10)
    assert not stray.exists()
    assert "Seed: 2" in (folder / "README.txt").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["hospital"]


def test_synthetic_empty_folder_is_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    generate(tmp_path / "empty", patients=10)
    assert (tmp_path / "empty" / "README.txt").exists()


@pytest.mark.parametrize("foreign", ["thesis.txt", "SYNTHETIC.txt", "README.txt"])
def test_synthetic_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path, foreign):
    (tmp_path / foreign).write_text("mine")
    with pytest.raises(BadInput, match="did not write"):
        generate(tmp_path, patients=10)
    assert digests(tmp_path).keys() == {foreign}
    assert (tmp_path / foreign).read_text() == "mine"


def test_synthetic_mark_that_is_not_text_is_no_mark(tmp_path):
    (tmp_path / "SYNTHETIC.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="did not write"):
        generate(tmp_path, patients=10)


def test_synthetic_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="is a file"):
        generate(tmp_path / "file", patients=10)


@pytest.mark.parametrize("patients", [9, 0, -1])
def test_synthetic_too_few_patients_are_refused(tmp_path, patients):
    with pytest.raises(BadInput, match="10 or more"):
        generate(tmp_path / "tiny", patients=patients)
    assert not (tmp_path / "tiny").exists()


def test_synthetic_failure_leaves_the_earlier_hospital_and_no_rubbish(tmp_path, monkeypatch):
    folder = tmp_path / "hospital"
    generate(folder, seed=1, patients=10)
    before = digests(folder)

    def full(folder, hospital):
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setitem(FAMILIES, "meqsum", FAMILIES["meqsum"]._replace(write=full))
    with pytest.raises(MdkifError, match="No space left"):
        generate(folder, seed=2, patients=10)
    assert digests(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["hospital"]


def test_synthetic_default_size_is_as_promised(tmp_path):
    counts = generate(tmp_path / "default").counts
    assert counts["patients"] == 400
    assert 400 < counts["admissions"] < 700
    assert counts["mednli_train"] + counts["mednli_dev"] + counts["mednli_test"] == 600
    assert counts["medqa_train"] + counts["medqa_dev"] + counts["medqa_test"] == 300
    assert (counts["pubmedqa"], counts["pubmedqa_test"], counts["meqsum"]) == (300, 150, 200)
    assert counts["medquad"] >= 150
    assert counts["umls_mrconso"] > 400
    assert (counts["healthcaremagic"], counts["mimic_cause"], counts["wikimed"]) == (400, 400, 200)
    assert counts["i2b2_beth"] + counts["i2b2_partners"] + counts["i2b2_test"] == 134
    assert counts["mimic_iv_admissions"] == counts["mimic_iv_discharge"] == counts["admissions"]


def test_synthetic_tells_where_each_data_set_lies(tmp_path):
    written = generate(tmp_path / "h", patients=12)
    assert list(written) == [
        "medqa", "medquad", "pubmedqa", "mednli", "meqsum", "umls", "healthcaremagic", "wikimed", "clicr",
        "mimic-cause", "emrqa", "i2b2", "mimic-iii", "mimic-iv",
    ]  # fmt: skip
    assert all(path.exists() and path.is_relative_to(tmp_path / "h") for path in written.values())
    readme = (tmp_path / "h" / "README.txt").read_text(encoding="utf-8")
    assert all(f"  {name} " in readme for name in written)


def test_synthetic_only_some_data_sets_are_the_same_bytes_as_among_all(hospital, tmp_path):
    written = generate(tmp_path / "some", seed=3, patients=40, only=["mimic-iv", "clicr", "i2b2"])
    assert list(written) == ["clicr", "i2b2", "mimic-iv"]
    ours = digests(tmp_path / "some")
    del ours["README.txt"], ours["sources.toml"]
    assert {name.split("/")[0] for name in ours} == {"SYNTHETIC.txt", "CliCR", "i2b2", "MIMIC-IV"}
    assert ours.items() <= digests(hospital).items()


def test_synthetic_unknown_data_set_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no synthetic 'hoc': choose from medqa, "):
        generate(tmp_path / "h", patients=12, only=["clicr", "hoc"])
    assert not (tmp_path / "h").exists()


def test_synthetic_memory_does_not_grow_with_the_notes(tmp_path):
    peaks = {}
    for patients in (20, 200):
        hospital = admit(0, patients)
        tracemalloc.start()
        FAMILIES["mimic-iii"].write(tmp_path / str(patients), hospital)
        peaks[patients] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    with gzip.open(tmp_path / "200" / "MIMIC-III" / "NOTEEVENTS.csv.gz") as notes:
        assert peaks[200] - peaks[20] < len(notes.read()) / 2


def test_synthetic_hook_declares_the_command_and_imports_nothing_heavy():
    (command,) = mdkif_commands()
    assert (command.kind, command.name) == ("command", "synth")
    assert command.load() is synth
    code = (
        "import sys, mdkif_synthetic; mdkif_synthetic.mdkif_commands();"
        "print(sorted({'torch', 'transformers', 'peft', 'datasets', 'openpyxl', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_synthetic_command_prints_one_json_document(tmp_path):
    result = CliRunner().invoke(synth, [str(tmp_path / "h"), "--size", "12", "--seed", "5", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["directory"] == str(tmp_path / "h")
    assert told["seed"] == 5
    assert told["counts"]["patients"] == 12
    assert told["datasets"]["mimic-iii"] == str(tmp_path / "h" / "MIMIC-III")
    assert len(told["datasets"]) == 14
    assert told["seconds"] >= 0


def test_synthetic_command_tells_people_what_it_wrote_and_where(tmp_path):
    result = CliRunner().invoke(synth, [str(tmp_path / "h"), "--size", "12"])
    assert "12 invented patients" in result.stdout
    assert f"mimic-cause      {tmp_path / 'h' / 'MIMIC-Cause' / 'mimicause.zip'}" in result.stdout
    assert str(tmp_path / "h" / "README.txt") in result.stdout


def test_synthetic_command_writes_only_what_is_asked_for(tmp_path):
    result = CliRunner().invoke(synth, [str(tmp_path / "h"), "--size", "12", "--only", "umls", "--only", "i2b2"])
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "h").iterdir() if path.is_dir()) == ["UMLS", "i2b2"]


def test_synthetic_command_refuses_foreign_folders_and_silly_sizes(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert isinstance(CliRunner().invoke(synth, [str(tmp_path), "--size", "12"]).exception, BadInput)
    assert CliRunner().invoke(synth, [str(tmp_path / "h"), "--size", "3"]).exit_code == 2


def test_synthetic_lists_its_data_sets_for_the_command_line(hospital):
    """`--sources` takes the file; every path is there."""
    listed = tomllib.loads((hospital / "sources.toml").read_text("utf-8"))
    assert {name: hospital / place for name, place in listed.items()} == dict(generate(hospital, seed=3, patients=40))
    assert all((hospital / place).exists() for place in listed.values())


def test_synthetic_types_of_concepts_lie_beside_the_articles(hospital):
    assert (hospital / "WikiMed/MRSTY.RRF").read_bytes() == (hospital / "UMLS/META/MRSTY.RRF").read_bytes()
