"""The readmission task: its prompt, its balance, and the papers' shares."""

import csv

from mdkif.testing import assert_conforms, instructions_of, records_of


def test_task_readmission_conforms():
    assert_conforms("mdkif-task-readmission")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("readmission")
    assert first.prompt == (
        "Will the patient be readmitted within 30 days? Choose from: yes; no.\n"
        "\n"
        "[**Synthetic Hospital**]\n"
        "Admission Date:  [**2106-3-24**]     Discharge Date:  [**2106-4-7**]\n"
        "\n"
        "Date of Birth:  [**2021-10-21**]     Sex:  M\n"
        "\n"
        "Service: MEDICINE\n"
        "\n"
        "Chief Complaint:\n"
        "Sudden shortness of breath\n"
        "\n"
        "History of Present Illness:\n"
        "This 84 year old man was admitted for blood clot in the lung and\n"
        "received rivaroxaban. Denies any history of migraine headache or PNA.\n"
        "Lives alone and often misses doses.\n"
        "\n"
        "Past Medical History:\n"
        "Palpitations, takes diltiazem. Itching with pale skin, takes sevelamer.\n"
        "\n"
        "Medications on Admission:\n"
        "1. Diltiazem 120 mg CAP PO\n"
        "2. Sevelamer 800 mg TAB PO\n"
        "\n"
        "Brief Hospital Course:\n"
        "Improved and went home.\n"
        "\n"
        "Discharge Medications:\n"
        "1. Rivaroxaban 20 mg TAB PO\n"
        "2. Diltiazem 120 mg CAP PO\n"
        "3. Sevelamer 800 mg TAB PO\n"
        "\n"
        "[**First Name8 (NamePattern2) 810**] [**Last Name (NamePattern1) 956**], M.D."
    )
    assert first.answer == "no"


def hospital(folder, patients):
    """Patients who each come twice: five months apart, or one month for every second of them."""
    notes, stays = [], []
    for n in range(patients):
        for visit, month in enumerate(("01", "02" if n % 2 else "06")):
            admission = 100 + 10 * n + visit
            times = [f"2150-{month}-01 08:00:00", f"2150-{month}-09 08:00:00"]
            stays.append([0, n, admission, *times, "", "EMERGENCY", 0])
            summary = ["2150-01-09", "", "", "Discharge summary", "Report", "", "", f"Visit {visit}."]
            notes.append([0, n, admission, *summary])
    header = "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,CGID,ISERROR,TEXT"
    times = "ROW_ID,SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,DEATHTIME,ADMISSION_TYPE,HOSPITAL_EXPIRE_FLAG"
    for table, columns, lines in (("NOTEEVENTS", header, notes), ("ADMISSIONS", times, stays)):
        with (folder / f"{table}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns.split(","), *lines])
    return folder


def test_task_readmission_half_the_answers_are_yes(tmp_path):
    found = records_of("readmission", hospital(tmp_path, 40))
    assert [record.answer for record in found].count("yes") == len(found) / 2 == 20
    assert {record.options for record in found} == {("yes", "no")}


def test_task_readmission_papers_shares_keep_patients_whole(tmp_path):
    splits = {}
    found = records_of("readmission", hospital(tmp_path, 400), split_policy="paper")
    for record in found:
        assert splits.setdefault(record.group, record.split) == record.split
    shares = [record.split for record in found]
    assert [shares.count(name) for name in ("adapt", "test")] == [37, 37]
