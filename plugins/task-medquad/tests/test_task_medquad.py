"""The MedQuAD task: its prompt, with four answers, and the papers' shares."""

from mdkif import ConversionReport
from mdkif.testing import assert_conforms, instructions_of, records_of


def test_task_medquad_conforms():
    assert_conforms("mdkif-task-medquad")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("medquad")
    assert first.prompt == (
        "What are the symptoms of Breast cancer? Choose from: People with depression may have loss of "
        "interest in hobbies, poor appetite with tearfulness and early morning awakening.; Common features "
        "include dry cough with enlarged hilar nodes, tender red nodules on the shins and painful red eye "
        "from uveitis.; Typical signs of breast cancer are bloody nipple discharge, dimpling of the breast "
        "skin and painless breast lump.; People with hyperlipidemia may have tendon xanthomas, yellow fatty "
        "deposits on the eyelids and corneal arcus.."
    )
    assert first.answer == (
        "Typical signs of breast cancer are bloody nipple discharge, dimpling of the breast skin and painless"
        " breast lump."
    )


def test_task_medquad_papers_policy_draws_whole_groups_of_foci(tmp_path):
    kinds = {"causes": "What causes", "treatment": "What treats", "symptoms": "What shows", "information": "What is"}
    for number in range(300):
        pairs = "".join(
            f'<QAPair pid="{pid}"><Question qtype="{kind}">{asks} D{number} ?</Question>'
            f"<Answer>A {kind} of the kind {number * 7919 % 10_007} of {number * 31 % 97} and D{number}.</Answer>"
            "</QAPair>"
            for pid, (kind, asks) in enumerate(kinds.items())
        )
        (tmp_path / f"{number:07}.xml").write_text(
            f"<Document><Focus>D{number}</Focus><QAPairs>{pairs}</QAPairs></Document>"
        )
    told = ConversionReport()
    records = records_of("medquad", tmp_path, split_policy="paper", report=told)
    assert {len(record.options) for record in records} == {4}
    assert 0 < told.splits["test"] <= len(records) * 1273 / 47_457 + 1
    assert told.splits["train"] > 0.8 * len(records)
