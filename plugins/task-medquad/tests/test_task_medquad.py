"""The MedQuAD task: its prompt, with four answers, and the papers' shares."""

from mdkif import ConversionReport
from mdkif.testing import assert_conforms, instructions_of, records_of


def test_task_medquad_conforms():
    assert_conforms("mdkif-task-medquad")


def test_prompt_of_the_sample():
    first, *_ = instructions_of("medquad")
    assert first.prompt == (
        "What is (are) Breast cancer? Choose from: Alzheimer disease is a progressive brain disorder that slowly "
        "destroys memory and thinking skills.; Breast cancer is a cancer that starts in the tissue of the breast.; "
        "Iron deficiency anemia, also known as IDA or iron-deficient blood, is a shortage of healthy red blood cells "
        "caused by too little iron.; Hypothyroidism, also known as thyroid hormone deficiency or thyroid "
        "underactivity, is a condition in which the thyroid gland does not make enough thyroid ...."
    )
    assert first.answer == "Breast cancer is a cancer that starts in the tissue of the breast."


def test_task_medquad_papers_policy_draws_their_shares_of_what_has_an_answer(tmp_path):
    for number in range(100):
        (tmp_path / f"{number:07}.xml").write_text(
            f'<Document><Focus>D{number}</Focus><QAPairs><QAPair pid="1"><Question qtype="causes">What causes '
            f"D{number} ?</Question><Answer>A virus of kind {number} causes it.</Answer></QAPair></QAPairs></Document>"
        )
    told = ConversionReport()
    assert {len(record.options) for record in records_of("medquad", tmp_path, split_policy="paper", report=told)} == {4}
    assert told.splits["test"] == told.splits["adapt"] == 3
    assert told.splits["train"] >= 94
