"""The table of medicine is whole and consistent, and the small tools of wording do what they say."""

import doctest
import re
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif_synthetic import annotated, marked, mednli, wording
from mdkif_synthetic.knowledge import by_code, conditions, drugs, helps, procedures, treats
from mdkif_synthetic.medquad import FOLDERS
from mdkif_synthetic.mimiccause import MOST_HELPED
from mdkif_synthetic.patients import draw
from mdkif_synthetic.wording import capital, listed, unlike, with_article

EVERY = pytest.mark.parametrize("condition", conditions(), ids=lambda condition: condition.code)


def test_synthetic_knowledge_there_are_enough_conditions_with_codes_of_their_own():
    assert 36 <= len(conditions()) <= 45
    assert len(by_code()) == len(conditions()) == len({condition.icd10 for condition in conditions()})
    assert [condition.code for condition in conditions()] == sorted(by_code())
    assert {"4019", "25000", "4280", "42731", "41401", "5849", "2724", "5990", "53081", "486"} <= by_code().keys()


def test_synthetic_knowledge_codes_with_leading_zeros_are_there_to_be_lost_by_careless_readers():
    assert any(code.startswith("0") for code in by_code())
    assert any(procedure.code.startswith("00") for procedure in procedures())


@EVERY
def test_synthetic_knowledge_condition_has_all_that_texts_need(condition):
    assert re.fullmatch(r"\d{3,5}", condition.code)
    assert 1 <= len(condition.short_title) <= 24  # the width of SHORT_TITLE in the official list
    assert len(condition.long_title) >= 4
    assert 3 <= len(condition.synonyms) <= 5
    assert 3 <= len(condition.findings) <= 5
    assert 2 <= len(condition.drugs) <= 3
    assert condition.weight > 0
    assert condition.sex in ("", "F", "M")
    assert condition.library in range(1, 10)
    assert condition.definition.startswith(("a ", "an ", "the "))
    assert not condition.definition.endswith(".")
    assert condition.test[0].islower()
    assert re.fullmatch(r"[A-Z]\d[0-9A-Z]{1,5}", condition.icd10)
    assert condition.icd10_title[0].isupper()
    assert condition.exam


@EVERY
def test_synthetic_knowledge_what_is_said_of_a_condition_never_contains_an_icd_title(condition):
    said = (*condition.synonyms, *condition.signs, *condition.drugs)
    titles = {title.lower() for other in conditions() for title in (other.short_title, other.long_title)}
    for phrase in said:
        assert not [title for title in titles if title in phrase.lower()], phrase


def test_synthetic_knowledge_no_procedure_is_said_by_its_title():
    for procedure in procedures():
        assert procedure.short_title.lower() not in procedure.said.lower()
        assert procedure.long_title.lower() not in procedure.said.lower()
        assert procedure.icd10_title.lower() not in procedure.said.lower()


def test_synthetic_knowledge_procedures_have_a_code_of_their_own_in_both_versions():
    """Of ICD-10-PCS seven characters without I and O, which look like figures."""
    for procedure in procedures():
        assert re.fullmatch(r"\d{3,4}", procedure.code)
        assert re.fullmatch(r"[0-9A-HJ-NP-Z]{7}", procedure.icd10)
        assert 1 <= len(procedure.short_title) <= 24
        assert procedure.icd10_title[0].isupper()
    for codes in ({p.code for p in procedures()}, {p.icd10 for p in procedures()}):
        assert len(codes) == len(procedures())
        assert any(code.startswith("0") for code in codes)


def test_synthetic_knowledge_name_means_one_condition():
    for one, two in combinations(conditions(), 2):
        ours = {name.lower() for name in (one.name, *one.synonyms)}
        assert not ours & {name.lower() for name in (two.name, *two.synonyms)}, (one.name, two.name)
        assert not set(one.signs) & set(two.signs), (one.name, two.name)


@EVERY
def test_synthetic_knowledge_names_and_findings_are_not_repeated(condition):
    names = [name.lower() for name in (condition.name, *condition.synonyms)]
    assert len(names) == len(set(names))
    assert len(condition.findings) == len(set(condition.findings))


@EVERY
def test_synthetic_knowledge_references_lead_somewhere(condition):
    assert set(condition.causes) <= by_code().keys() - {condition.code}
    assert set(condition.drugs) <= drugs().keys()
    assert set(condition.also) <= {drug.drug_class for drug in drugs().values()}


def test_synthetic_knowledge_every_drug_is_used_and_whole():
    for drug in drugs().values():
        assert treats(drug.name), drug.name
        assert drug.brands
        assert drug.name not in drug.brands
        assert float(drug.dose) > 0
        assert drug.route in {"PO", "IV", "IH", "SC", "SL", "IM"}


def test_synthetic_knowledge_brand_names_mean_one_drug():
    names = [name.lower() for drug in drugs().values() for name in (drug.name, *drug.brands)]
    assert len(names) == len(set(names))


def test_synthetic_knowledge_drug_helps_where_it_or_its_class_is_listed_and_nowhere_else():
    assert helps("metoprolol", by_code()["41401"])
    assert helps("metoprolol", by_code()["4019"]), "by its class"
    assert not helps("metoprolol", by_code()["496"])
    assert max(sum(helps(drug, condition) for condition in conditions()) for drug in drugs()) == MOST_HELPED


def test_synthetic_knowledge_all_answered_folders_of_medquad_have_a_condition():
    assert {condition.library for condition in conditions()} == set(FOLDERS) - {10, 11, 12}


@EVERY
def test_synthetic_knowledge_what_is_denied_or_wrong_shares_nothing_with_what_is_present(condition):
    rng = Random(condition.code)
    for other in unlike(rng, [condition], 8, "F"):
        assert other.code not in {condition.code, *condition.causes}
        assert not set(other.signs) & set(condition.signs)
        assert not set(other.drugs) & set(condition.drugs)
        assert other.sex in ("", "F")


@given(st.randoms(use_true_random=False), st.integers(0, 8))
def test_synthetic_knowledge_drawing_takes_different_conditions(rng, count):
    drawn = draw(rng, conditions(), count)
    assert len({condition.code for condition in drawn}) == count


def test_synthetic_knowledge_common_conditions_are_drawn_more_often():
    rng = Random(0)
    firsts = [draw(rng, conditions(), 1)[0].code for _ in range(2000)]
    assert firsts.count("4019") > 3 * firsts.count("135")


@given(st.lists(st.text("abc", min_size=1), min_size=1, max_size=5))
def test_synthetic_knowledge_list_names_every_item_once(items):
    text = listed(items)
    assert text.replace(" and ", ", ").split(", ") == items
    assert " and " in text or len(items) == 1


@given(st.text())
def test_synthetic_knowledge_capital_changes_the_first_letter_only(text):
    assert capital(text)[len(text[:1].upper()) :] == text[1:]


@pytest.mark.parametrize(
    ("phrase", "said"),
    [("antibiotic", "an antibiotic"), ("statin", "a statin"), ("SSRI", "an SSRI"), ("84 year old", "an 84 year old"),
     ("58 year old", "a 58 year old"), ("urinary alkalinizer", "a urinary alkalinizer")],
)  # fmt: skip
def test_synthetic_knowledge_articles(phrase, said):
    assert with_article(phrase) == said


@pytest.mark.parametrize("module", [wording, mednli, marked, annotated])
def test_synthetic_knowledge_examples_in_the_documentation_hold(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
