"""PubMedQA: the official split, the long answer that must stay out, and files read piece by piece."""

import json
import os
from collections import Counter
from pathlib import Path

import mdkif_dataset_pubmedqa as plugin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms

OPEN = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "PubMedQA"
DATASET = plugin.mdkif_datasets()[0]


def article(**changes):
    """One article in the layout of ori_pqal.json."""
    return {
        "QUESTION": "Does exercise help?",
        "CONTEXTS": ["Forty adults walked.", "Twenty rested."],
        "LABELS": ["METHODS", "RESULTS"],
        "MESHES": ["Adult"],
        "YEAR": None,
        "reasoning_required_pred": "yes",
        "reasoning_free_pred": "maybe",
        "final_decision": "yes",
        "LONG_ANSWER": "Exercise certainly helped.",
        **changes,
    }


def labeled(folder, articles, test=()):
    """ori_pqal.json and test_ground_truth.json in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ori_pqal.json").write_text(json.dumps(articles, indent=4), encoding="utf-8")
    truth = {pmid: articles.get(pmid, {}).get("final_decision", "yes") for pmid in test}
    (folder / "test_ground_truth.json").write_text(json.dumps(truth), encoding="utf-8")
    return folder


def run(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def test_pubmedqa_conforms():
    assert_conforms("mdkif-dataset-pubmedqa")


def test_pubmedqa_article_becomes_a_listed_choice_about_its_abstract(tmp_path):
    [record] = run(labeled(tmp_path, {"21645374": article(final_decision="maybe")}))
    assert record.id == "pubmedqa/21645374"
    assert record.query == "Does exercise help? Choose from: yes; no; maybe."
    assert record.context == "Forty adults walked.\nTwenty rested."
    assert (record.answer, record.labels, record.options) == ("maybe", ("maybe",), ("yes", "no", "maybe"))
    [(start, end)] = record.spans
    assert record.query[start:end] == "maybe"
    assert record.source == "ori_pqal.json:21645374"


@pytest.mark.parametrize("view", ["qa", "nli"])
def test_pubmedqa_long_answer_and_the_annotators_guesses_stay_out(tmp_path, view):
    source = labeled(tmp_path, {"1": article(LONG_ANSWER="LEAK", reasoning_free_pred="LEAK")})
    assert "LEAK" not in json.dumps([record.to_dict() for record in run(source, view=view)])


@pytest.mark.parametrize(
    ("decision", "relation"), [("yes", "entailment"), ("no", "contradiction"), ("maybe", "neutral")]
)
def test_pubmedqa_question_can_be_read_as_inference_in_the_words_of_mednli(tmp_path, decision, relation):
    source = labeled(tmp_path, {"1": article(final_decision=decision)})
    [record] = run(source, view="nli")
    assert record.query == (
        "Determine the relationship between the two sentences. Choose from: entailment; neutral; contradiction."
    )
    assert record.context == "sentence1: Forty adults walked. Twenty rested.\nsentence2: Does exercise help?"
    assert record.query[slice(*record.spans[0])] == record.answer == relation
    assert (record.id, record.options) == ("pubmedqa/1", ("entailment", "neutral", "contradiction"))


def test_pubmedqa_both_views_share_the_official_split(tmp_path):
    pmids = [str(number) for number in range(40)]
    source = labeled(tmp_path, dict.fromkeys(pmids, article()), test=pmids[:10])
    splits = [{record.id: record.split for record in run(source, view=view)} for view in ("qa", "nli")]
    assert splits[0] == splits[1]


@pytest.mark.parametrize("place", ["", "data", "data/ori_pqal.json"])
def test_pubmedqa_repository_its_data_folder_and_the_file_are_the_same_source(tmp_path, place):
    labeled(tmp_path / "repo" / "data", {"1": article(), "2": article()}, test=["2"])
    source = tmp_path / "repo" / place
    if place == "":
        assert run(source) == run(tmp_path / "repo" / "data")
    assert {record.id: record.split for record in run(source)} == {"pubmedqa/1": "train", "pubmedqa/2": "test"}


def test_pubmedqa_official_ids_are_the_test_and_a_tenth_of_the_others_are_dev(tmp_path):
    pmids = [str(number) for number in range(100, 160)]
    records = run(labeled(tmp_path, dict.fromkeys(pmids, article()), test=pmids[::6]))
    assert Counter(record.split for record in records) == {"test": 10, "dev": 5, "train": 45}
    assert {record.id for record in records if record.split == "test"} == {f"pubmedqa/{pmid}" for pmid in pmids[::6]}


def test_pubmedqa_split_does_not_depend_on_the_order_of_the_file(tmp_path):
    pmids = [str(number) for number in range(40)]
    forth = run(labeled(tmp_path / "a", dict.fromkeys(pmids, article()), test=pmids[:10]))
    back = run(labeled(tmp_path / "b", dict.fromkeys(reversed(pmids), article()), test=pmids[:10]))
    assert {record.id: record.split for record in forth} == {record.id: record.split for record in back}


def test_pubmedqa_artificial_articles_need_no_test_ids_and_are_never_test(tmp_path):
    articles = {str(number): article() for number in range(400)}
    (tmp_path / "ori_pqaa.json").write_text(json.dumps(articles), encoding="utf-8")
    splits = Counter(record.split for record in run(tmp_path, subset="artificial"))
    assert set(splits) == {"train", "dev"}
    assert 5 < splits["dev"] < 45  # the authors keep 5 % for development


def test_pubmedqa_unlabelled_articles_are_left_out_and_counted(tmp_path):
    unlabelled = article()
    del unlabelled["final_decision"]
    path = tmp_path / "ori_pqau.json"
    path.write_text(json.dumps({"1": unlabelled, "2": unlabelled}), encoding="utf-8")
    conversion = ConversionReport()
    assert run(path, conversion, subset="artificial") == []
    assert conversion.left_out == {"no decision": 2}


@given(
    contexts=st.dictionaries(
        st.integers(1, 10**8).map(str), st.lists(st.text(max_size=40), max_size=4), min_size=1, max_size=20
    ),
    chunk=st.integers(1, 300),
    indent=st.sampled_from([None, 0, 4]),
)
def test_pubmedqa_articles_are_read_whole_wherever_the_pieces_break(tmp_path_factory, contexts, chunk, indent):
    path = tmp_path_factory.mktemp("pubmedqa") / "ori_pqaa.json"
    articles = {pmid: article(CONTEXTS=parts) for pmid, parts in contexts.items()}
    path.write_text(json.dumps(articles, indent=indent, ensure_ascii=indent == 0), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugin, "CHUNK", chunk)
        records = run(path, subset="artificial")
    assert [(record.id, record.context) for record in records] == [
        (f"pubmedqa/{pmid}", "\n".join(parts)) for pmid, parts in contexts.items()
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"QUESTION": " "}, "has no QUESTION"),
        ({"QUESTION": None}, "has no QUESTION"),
        ({"CONTEXTS": "one string"}, "has no list of CONTEXTS"),
        ({"CONTEXTS": [1]}, "has no list of CONTEXTS"),
        ({"final_decision": "perhaps"}, "final_decision"),
    ],
)
def test_pubmedqa_malformed_article_is_named_by_file_and_pmid_or_skipped(tmp_path, changes, reason):
    source = labeled(tmp_path, {"1": article(), "77": article(**changes)})
    with pytest.raises(BadInput, match=rf"ori_pqal\.json:77 .*{reason}") as caught:
        run(source)
    assert "adults" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert [record.id for record in run(source, conversion)] == ["pubmedqa/1"]
    assert sum(conversion.left_out.values()) == 1


def test_pubmedqa_member_that_is_no_article_is_malformed(tmp_path):
    with pytest.raises(BadInput, match="is not an article"):
        run(labeled(tmp_path, {"1": [article()]}))


@pytest.mark.parametrize("end", [1, 30, -1, -30])
def test_pubmedqa_file_cut_short_is_refused(tmp_path, end):
    path = labeled(tmp_path, {"1": article(), "2": article()}) / "ori_pqal.json"
    path.write_text(path.read_text()[:end])
    with pytest.raises(BadInput, match=r"ori_pqal\.json is cut short"):
        run(tmp_path)


def test_pubmedqa_another_large_file_is_refused_without_being_read_to_its_end(tmp_path):
    path = tmp_path / "ori_pqaa.json"
    path.write_text("[" + "0," * 1_500_000 + "0]")
    with pytest.raises(BadInput, match="not a JSON object of articles"):
        run(path, subset="artificial")


def test_pubmedqa_article_that_comes_twice_is_left_out(tmp_path):
    path = labeled(tmp_path, {"1": article(), "2": article()}) / "ori_pqal.json"
    path.write_text(f"{path.read_text()[:-1]},{path.read_text()[1:]}")
    conversion = ConversionReport()
    assert [record.id for record in run(path, conversion)] == ["pubmedqa/1", "pubmedqa/2"]
    assert conversion.left_out == {"duplicate id": 2}


@pytest.mark.parametrize("text", ['{"%s": 7}' % ("SECRET" * 9), '{"1": ' + "[" * 50_000])
def test_pubmedqa_what_is_no_pmid_or_nests_too_deeply_is_refused_without_quoting_it(tmp_path, text):
    path = tmp_path / "ori_pqaa.json"
    path.write_text(text)
    with pytest.raises(BadInput, match="not a JSON object of articles") as caught:
        run(path, subset="artificial")
    assert "SECRET" not in str(caught.value)


def test_pubmedqa_empty_object_has_no_records(tmp_path):
    assert run(labeled(tmp_path, {})) == []


def test_pubmedqa_missing_or_mismatched_files_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"ori_pqal\.json is neither in"):
        run(tmp_path)
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")
    labeled(tmp_path, {"1": article()}, test=["1", "2"])
    with pytest.raises(BadInput, match="lacks 1 of the 2 articles"):
        run(tmp_path)
    for text in ("{", "7", '["1"]', "[" * 50_000):
        (tmp_path / "test_ground_truth.json").write_text(text)
        with pytest.raises(BadInput, match=r"test_ground_truth\.json is not JSON with PMIDs as keys"):
            run(tmp_path)
    (tmp_path / "test_ground_truth.json").unlink()
    with pytest.raises(BadInput, match="official test ids are not at"):
        run(tmp_path)


def test_pubmedqa_unknown_subset_names_the_choices(tmp_path):
    with pytest.raises(BadInput, match="choose one of labeled, artificial"):
        run(labeled(tmp_path, {"1": article()}), subset="unlabeled")
    with pytest.raises(BadInput, match="no view 'NLI': choose one of qa, nli"):
        run(tmp_path, view="NLI")
    with pytest.raises(BadInput, match="no option 'part'"):
        run(tmp_path, part="labeled")


@pytest.mark.skipif(not OPEN.is_dir(), reason=f"PubMedQA is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder")
def test_pubmedqa_official_counts():
    records = run(OPEN)
    assert Counter(record.split for record in records) == {"train": 450, "dev": 50, "test": 500}
    assert Counter(record.answer for record in records) == {"yes": 552, "no": 338, "maybe": 110}
    test = Counter(record.answer for record in records if record.split == "test")
    assert test == {"yes": 276, "no": 169, "maybe": 55}
