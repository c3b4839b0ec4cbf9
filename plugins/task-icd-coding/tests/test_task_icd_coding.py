"""The ICD coding task: its prompt, and that several diagnoses may be right."""

from mdkif.testing import assert_conforms, instructions_of, records_of


def test_task_icd_coding_conforms():
    assert_conforms("mdkif-task-icd-coding")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("icd-coding")
    assert first.prompt == (
        "Which diagnoses are documented? Choose from: Hypertension NOS; Pneumonia, organism NOS; DMII wo cmp nt "
        "st uncntr; Acute kidney failure NOS; Urin tract infection NOS; Sarcoidosis; Hyperlipidemia NEC/NOS; "
        "Esophageal reflux; Crnry athrscl natve vssl; Cirrhosis of liver NOS.\n"
        "\n"
        "[**Synthetic Hospital**]\n"
        "Admission Date:  [**2178-4-30**]     Discharge Date:  [**2178-5-5**]\n"
        "\n"
        "Date of Birth:  [**2133-4-19**]     Sex:  M\n"
        "\n"
        "Service: MEDICINE\n"
        "\n"
        "Chief Complaint:\n"
        "Metallic taste with nausea\n"
        "\n"
        "History of Present Illness:\n"
        "This 45 year old man also had a creatinine of 3.4 mg/dL, up from 0.9 two\n"
        "days before, consistent with ARF. No evidence of migraine disorder.\n"
        "\n"
        "Past Medical History:\n"
        "Breathlessness when lying flat, takes furosemide.\n"
        "\n"
        "Medications on Admission:\n"
        "1. Furosemide 40 mg TAB PO\n"
        "\n"
        "Brief Hospital Course:\n"
        "Stay complicated by lung infection. Discharged in stable condition.\n"
        "\n"
        "Discharge Medications:\n"
        "1. Azithromycin 250 mg TAB PO\n"
        "2. Levofloxacin 750 mg TAB PO\n"
        "3. Furosemide 40 mg TAB PO\n"
        "\n"
        "[**First Name8 (NamePattern2) 822**] [**Last Name (NamePattern1) 860**], M.D.\n"
        "\n"
        "Name:  [**Known lastname 901**]\n"
        "Unit No:  [**Numeric Identifier 390**]\n"
        "\n"
        "Addendum:\n"
        "The dose of azithromycin was confirmed with the pharmacy before\n"
        "discharge."
    )
    assert first.answer == "Pneumonia, organism NOS; Acute kidney failure NOS"


def test_task_icd_coding_several_diagnoses_may_be_right_of_ten_that_are_listed():
    for dataset in ("mimic-iii", "mimic-iv"):
        records = records_of("icd-coding", dataset=dataset)
        assert {len(record.options) for record in records} == {10}
        assert max(len(record.labels) for record in records) > 1
