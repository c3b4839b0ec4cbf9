"""MedQuAD: its three XML schemas, removed answers, recurring questions and the choices made out of answers."""

import os
import random
import re
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

import mdkif_dataset_medquad as plugin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert, hashed_split, letter_triples, question_of
from mdkif.testing import assert_conforms, records_of
from mdkif_dataset_medquad.choices import LONGEST_CHOICE, first_sentence, without_focus
from mdkif_dataset_medquad.pair import Pair

OPEN = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "MedQuAD"
DATASET = plugin.mdkif_datasets()[0]

LEGACY = """<?xml version="1.0" encoding="UTF-8"?>
<doc docid="0000007" corpus="NINDS" url="http://example.org">
<doctitle-focus>Holmes-Adie</doctitle-focus>
<umls><cui></cui><semanticType></semanticType><semanticGroup></semanticGroup></umls>
<qaPairs>
<pair pid="1"><question qid="0000007-1" qtype="information">what is holmes-adie syndrome ?</question>
<answer>A disorder of the pupil.</answer></pair>
<pair pid="3"><question qid="0000007-3" qtype="treatment">how is it treated ?</question>
<answer>With drops.</answer></pair>
</qaPairs></doc>"""

CDC = """<?xml version="1.0" encoding="UTF-8"?>
<DiseaseFile fid="0000397" source="CDC" url="http://example.org">
<Focus>Parasites - Taeniasis</Focus>
<UMLS><CUI></CUI><SemanticType></SemanticType><SemanticGroup></SemanticGroup></UMLS>
<QAPairs><QAPair pid="2"><Question qid="0000397-2" qtype="susceptibility">Who is at risk for Taeniasis? ?</Question>
<Answer>People who eat
 raw   beef.</Answer></QAPair></QAPairs></DiseaseFile>"""


def document(focus, *pairs):
    """One document in the usual schema; each pair is (pid, qtype, question, answer)."""
    body = "".join(
        f'<QAPair pid="{pid}"><Question qid="x-{pid}" qtype="{qtype}">{escape(question)}</Question>'
        f"<Answer>{escape(answer)}</Answer></QAPair>"
        for pid, qtype, question, answer in pairs
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Document id="1" source="X" url="http://example.org">'
        f"<!--Answers were removed--><Focus>{escape(focus)}</Focus><FocusAnnotations><Category>Disease</Category>"
        f"<Synonyms><Synonym>y</Synonym></Synonyms></FocusAnnotations><QAPairs>{body}</QAPairs></Document>"
    )


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def diseases(folder, count):
    """`count` documents that each say what a disease is."""
    for number in range(count):
        pair = ("1", "information", f"What is disease {number} ?", f"Disease {number} is a rare condition. It passes.")
        write(folder, f"2_GARD_QA/{number:07}.xml", document(f"Disease {number}", pair))
    return folder


def run(source, conversion=None, **options):
    return list(convert(DATASET, source, conversion or ConversionReport(), options))


def test_medquad_conforms():
    assert_conforms("mdkif-dataset-medquad")


def test_medquad_pair_becomes_a_question_and_its_answer(tmp_path):
    pair = ("2", "symptoms", "What are the symptoms of Flu ?", "Fever.\n   Cough\t and pain.")
    write(tmp_path, "1_CancerGov_QA/0000001_1.xml", document("Flu", pair))
    [record] = run(tmp_path)
    assert record.id == "medquad/1_CancerGov_QA/0000001_1/2"
    assert record.query == "What are the symptoms of Flu?"
    assert record.answer == "Fever. Cough and pain."
    assert (record.context, record.options) == ("", ())
    assert record.source == "1_CancerGov_QA/0000001_1.xml"
    assert record.split in ("train", "dev", "test")


def test_medquad_lower_case_schema_of_four_ninds_documents_is_read(tmp_path):
    write(tmp_path, "6_NINDS_QA/0000007.xml", LEGACY)
    first, second = run(tmp_path)
    assert (first.query, first.answer) == ("what is holmes-adie syndrome?", "A disorder of the pupil.")
    assert second.id == "medquad/6_NINDS_QA/0000007/3"


def test_medquad_disease_file_root_and_flat_umls_of_cdc_are_read(tmp_path):
    write(tmp_path, "9_CDC_QA/0000397.xml", CDC)
    [record] = run(tmp_path)
    assert record.query == "Who is at risk for Taeniasis?"
    assert record.answer == "People who eat raw beef."


def test_medquad_removed_answers_are_left_out_and_documents_without_pairs_are_fine(tmp_path):
    write(
        tmp_path,
        "10_MPlus_ADAM_QA/0000001.xml",
        document("Flu", ("1", "causes", "Why ?", ""), ("2", "x", "How ?", " ")),
    )
    write(tmp_path, "5_NIDDK_QA/0000056.xml", document("Flu"))
    conversion = ConversionReport()
    assert run(tmp_path, conversion) == []
    assert conversion.left_out == {"empty answer": 2}


def test_medquad_ids_tell_equal_qids_and_pids_of_different_files_apart(tmp_path):
    for name in ("1_CancerGov_QA/1.xml", "1_CancerGov_QA/2.xml", "8_NHLBI_QA_XML/1.xml"):
        write(tmp_path, name, document("Flu", ("1", "causes", "Why ?", "Virus."), ("5", "causes", "How ?", "Air.")))
    ids = [record.id for record in run(tmp_path)]
    assert len(ids) == len(set(ids)) == 6


def test_medquad_focus_is_one_group_and_never_straddles_splits(tmp_path):
    for number, focus in enumerate(["Alpha-Flu", "alpha  flu", "Alpha flu"]):
        write(tmp_path, f"3_GHR_QA/{number}.xml", document(focus, ("1", "information", f"Why {number} ?", "Unknown.")))
    records = run(tmp_path)
    assert len(records) == 3
    assert {record.group for record in records} == {"alpha flu"}
    assert len({record.split for record in records}) == 1


def test_medquad_folder_and_a_single_document_give_the_same_ids_as_the_repository(tmp_path):
    diseases(tmp_path, 2)
    folder = tmp_path / "2_GARD_QA"
    assert run(folder) == run(tmp_path)
    assert run(folder / "0000000.xml") == run(tmp_path)[:1]


KINDS = {
    "information": ("What is {} ?", "{} is a rare {} of the {} that begins in {} life."),
    "symptoms": ("What are the symptoms of {} ?", "{} often shows as {} in the {} with {} nights."),
    "causes": ("What causes {} ?", "{} is brought about by a {} of the {} and {} habits."),
    "treatment": ("What are the treatments for {} ?", "{} is mostly treated with {} for the {} in {} weeks."),
}
PARTS = ("swelling", "change", "disorder", "weakness"), ("skin", "eye", "liver", "nerve"), ("early", "late", "adult")


def clinic(folder, foci, seed=0):
    """That many diseases, each with four questions whose answers share its name, as MedQuAD's do."""
    draw = random.Random(seed)
    for number in range(foci):
        name = f"{draw.choice(('Meril', 'Dovan', 'Kast', 'Lupin'))}-{number} {draw.choice(('disease', 'syndrome'))}"
        pairs = [
            (str(pid), kind, question.format(name), answer.format(name, *(draw.choice(each) for each in PARTS)))
            for pid, (kind, (question, answer)) in enumerate(KINDS.items(), 1)
        ]
        write(folder, f"2_GARD_QA/{number:07}.xml", document(name, *pairs))
    return folder


def overlap(one, other):
    """The share of letter triples in common (Jaccard), by other means than the choices are made."""
    one, other = ({text.lower()[i : i + 3] for i in range(len(text) - 2)} for text in (one, other))
    return len(one & other) / len(one | other)


def right(records, best):
    """How often what a shortcut takes for the answer is it."""
    return sum(best(record) == record.answer for record in records) / len(records)


SHORTCUTS = {
    "nearest in letters": lambda each: max(each.options, key=lambda text: overlap(text, question_of(each))),
    "farthest in letters": lambda each: min(each.options, key=lambda text: overlap(text, question_of(each))),
    "longest": lambda each: max(each.options, key=len),
    "shortest": lambda each: min(each.options, key=len),
}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """The choices of four hundred pairs, and what they were made of."""
    folder = clinic(tmp_path_factory.mktemp("clinic"), 100)
    return run(folder, view="mcqa"), {record.id: record for record in run(folder)}


def test_medquad_choices_are_first_sentences_of_which_one_answers(chosen):
    records, pairs = chosen
    assert len(records) > 150
    sentences = {first_sentence(pair.answer) for pair in pairs.values()}
    for record in records:
        assert record.answer == first_sentence(pairs[record.id].answer)
        assert record.query.startswith(f"{pairs[record.id].query} Choose from: ")
        assert len(set(record.options)) == 4
        assert set(record.options) <= sentences
        assert record.labels == (record.answer,)
        [(start, end)] = record.spans
        assert record.query[start:end] == record.answer


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_medquad_choices_are_not_told_by_length_or_by_shared_letters(chosen, shortcut):
    records, _ = chosen
    assert abs(right(records, SHORTCUTS[shortcut]) - 0.25) <= 0.05


def test_medquad_choices_have_the_length_of_the_answer_within_a_quarter(chosen):
    for record in chosen[0]:
        assert all(abs(len(option) / len(record.answer) - 1) <= 0.25 for option in record.options)


def test_medquad_choices_are_the_same_every_time_and_the_right_one_moves(chosen, tmp_path):
    records, _ = chosen
    assert records == run(clinic(tmp_path, 100), view="mcqa")
    assert {record.options.index(record.answer) for record in records} == {0, 1, 2, 3}


@pytest.mark.parametrize("policy", ["official", "8:2"])
def test_medquad_no_focus_and_no_choice_stands_in_two_splits(tmp_path, policy):
    source = clinic(tmp_path, 60)
    focus = {record.id: record.id.split("/")[2] for record in run(source)}
    seen = {}
    records = records_of("medquad", source, split_policy=policy)
    for record in records:
        for what in (focus[record.id], *record.options):
            assert seen.setdefault(what, record.split) == record.split
    assert {"train", "test"} <= {record.split for record in records}


def test_medquad_distractors_prefer_the_focus_that_is_asked_about(chosen):
    """Then those of a like name: without preferring, one in twenty would be of the same focus."""
    records, pairs = chosen
    subject = {first_sentence(pair.answer): pair.id.split("/")[2] for pair in pairs.values()}
    own = [subject[option] == record.id.split("/")[2] for record in records for option in record.options
           if option != record.answer]  # fmt: skip
    assert sum(own) > 0.25 * len(own)


def test_medquad_answers_to_the_same_question_or_of_the_same_kind_about_a_focus_are_no_distractors(tmp_path):
    clinic(tmp_path, 20)
    pair = ("1", "information", "What is Twin-0 disease ?", "A twin of it is a rare change of the skin.")
    again = ("2", "information", "Do tell what Twin-0 is", "Twins are a rare change of the eye here.")
    write(tmp_path, "3_GHR_QA/1.xml", document("Twin-0 Disease", pair, again))
    write(tmp_path, "3_GHR_QA/2.xml", document("Other name", (*pair[:3], "Other names are a rare change of it.")))
    twins = {record.id: record for record in run(tmp_path, view="mcqa") if "3_GHR_QA" in record.id}
    for record in twins.values():
        assert not [option for option in record.options if "Twins are" in option and record.answer != option]
        assert sum("rare change of" in option and option.startswith(("A twin", "Other names")) for option in
                   record.options) <= 1  # fmt: skip


def test_medquad_pairs_without_distractors_that_match_are_left_out_and_counted(tmp_path):
    conversion = ConversionReport()
    records = run(diseases(tmp_path, 3), conversion, view="mcqa")
    assert records == []
    assert conversion.left_out == {"no distractors that match": 3}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("Asthma narrows the airways. It is common.", "Asthma narrows the airways."),
        ("T. Solium lives in the gut of people. It is a worm.", "T. Solium lives in the gut of people."),
        ("About 3.5 percent of adults have asthma. Few know.", "About 3.5 percent of adults have asthma."),
        ("No full stop at all", "No full stop at all"),
    ],
)
def test_medquad_first_sentence(answer, sentence):
    assert first_sentence(answer) == sentence


@given(st.text(max_size=600).map(lambda text: " ".join(text.split())).filter(bool))
def test_medquad_first_sentence_is_short_and_ends_between_words(answer):
    sentence = first_sentence(answer)
    assert 0 < len(sentence) <= LONGEST_CHOICE
    assert answer.startswith(sentence.removesuffix("...").rstrip())


def test_medquad_long_sentence_is_cut_at_a_word_boundary():
    sentence = first_sentence("word " * 100)
    assert sentence == " ".join(["word"] * 31) + " ..."


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("<Document>\n<QAPairs>", r"bad\.xml:2 is not well-formed XML"),
        ("<html><body/></html>", r"bad\.xml:1 is not a MedQuAD document"),
        (document("Flu", ("7", "causes", " ", "SECRET")), r"bad\.xml:pair 1 has no question or no pid"),
        (document("Flu", ("", "causes", "Why ?", "SECRET")), r"bad\.xml:pair 1 has no question or no pid"),
    ],
)
def test_medquad_malformed_document_is_named_or_skipped(tmp_path, text, place):
    diseases(tmp_path, 1)
    write(tmp_path, "9_CDC_QA/bad.xml", text)
    with pytest.raises(BadInput, match=place) as caught:
        run(tmp_path)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    assert len(run(tmp_path, conversion)) == 1
    assert [reason.split(":")[0] for reason in conversion.left_out] == ["malformed"]


BOMB = '<!ENTITY a "SECRET">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 9,
        document("Flu", ("1", "x", "Why ?", "caf\xe9")).encode("latin-1"),
        document("Flu", ("1", "x", "Why ?", "a\0b")).encode(),
        document("Flu", ("1", "x", "Why ?", "SECRET")).replace("UTF-8", "shift_jis").encode(),
        document("Flu", ("1", "x", "Why ?", "SECRET")).replace("UTF-8", "none").encode(),
        document("Flu", ("1", "x", "Why ?", "x" * 1_000_000)).encode()[:-99],
        f"<!DOCTYPE Document [{BOMB}]>{document('&i;')}".encode(),
        f"<!--{' ' * 2000}--><!DOCTYPE Document [{BOMB}]><Document>&i;</Document>".encode(),
        f"<!DOCTYPE Document [{BOMB}]><Document>&i;</Document>".encode("utf-16"),
    ],
)
@pytest.mark.parametrize("view", ["qa", "cloze"])
def test_medquad_file_that_is_no_xml_of_text_is_refused_or_skipped(tmp_path, raw, view):
    diseases(tmp_path, 1)
    (tmp_path / "2_GARD_QA" / "bad.xml").write_bytes(raw)
    with pytest.raises(BadInput, match=r"bad\.xml:\d+ (is not well-formed XML|declares a document type)") as caught:
        run(tmp_path, view=view)
    assert "SECRET" not in str(caught.value)
    conversion = ConversionReport(skip_bad=True)
    run(tmp_path, conversion, view=view)
    assert sum(count for reason, count in conversion.left_out.items() if reason.startswith("malformed")) == 1


def test_medquad_byte_order_mark_and_other_line_ends_are_read(tmp_path):
    text = document("Flu", ("1", "x", "Why ?", "Two\nlines."))
    expected = run(write(tmp_path, "1.xml", text))
    for raw in (text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode()):
        (tmp_path / "1.xml").write_bytes(raw)
        assert run(tmp_path / "1.xml") == expected


def test_medquad_pid_that_occurs_twice_in_a_document_is_left_out(tmp_path):
    write(tmp_path, "1.xml", document("Flu", ("1", "x", "Why ?", "Virus."), ("1", "x", "How ?", "Air.")))
    conversion = ConversionReport()
    assert [record.answer for record in run(tmp_path, conversion)] == ["Virus."]
    assert conversion.left_out == {"duplicate id": 1}


def test_medquad_wrong_source_or_view_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no XML documents"):
        run(tmp_path)
    with pytest.raises(BadInput, match="does not exist"):
        run(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="choose one of qa, mcqa, cloze, first"):
        run(diseases(tmp_path, 1), view="choices")


ENDS = [
    "It is over in a few days for most.", "It passes when people sleep enough.", "Nearly all recover within a year.",
    "Rest, tea and patience cure it soon.", "Children grow out of it, by and by.", "One in ten has it again in autumn.",
    "Warm baths shorten it by one half.", "Some carry it all their lives on.", "It is gone before anyone knows why.",
    "A quarter never see a physician.", "It comes back with the east wind now.", "Dry summers bring relief to it.",
]  # fmt: skip


def endings(folder, answers=ENDS):
    """Documents of the training split that say how a disease ends."""
    kept = [name for name in map("Malady {}".format, range(100)) if hashed_split(name.casefold()) == "train"]
    for name, answer in zip(kept, answers, strict=False):
        pair = ("1", "outlook", "Which XYZ ?", answer.replace("{}", name))
        write(folder, f"2_GARD_QA/{name}.xml", document(name, pair))
    return folder


def test_medquad_sentences_that_look_alike_are_of_other_foci_and_of_one_length(tmp_path):
    records = run(endings(tmp_path), view="first")
    assert records
    for record in records:
        assert len(set(record.options)) == 4
        assert set(record.options) <= set(ENDS)
        assert all(abs(len(option) - len(record.answer)) <= len(record.answer) / 4 for option in record.options)
        assert record.split == "train"


def test_medquad_sentences_that_look_alike_have_no_focus_in_them(tmp_path):
    named = [re.sub(r"\b[Ii]t\b", "{}", ending) for ending in ENDS]
    assert {option for record in run(endings(tmp_path, named), view="first") for option in record.options} <= {
        re.sub(r"\b[Ii]t\b", "it", ending) for ending in ENDS
    }
    pair = Pair(id="1", source="", focus="Malady", synonyms=("the gripes",), qtype="", question="", answer="")
    assert without_focus("Malady, or The Gripes, is no maladyship.", pair) == "it, or it, is no maladyship."


def test_medquad_sentence_that_answers_for_two_foci_is_left_out(tmp_path):
    endings(tmp_path)
    write(tmp_path, "2_GARD_QA/twin.xml", document("Twin", ("1", "outlook", "And then ?", ENDS[0])))
    conversion = ConversionReport()
    records = run(tmp_path, conversion, view="first")
    assert conversion.left_out["sentence that answers for two foci"] == 2
    assert ENDS[0] not in {option for record in records for option in record.options}


@pytest.mark.skipif(not OPEN.is_dir(), reason=f"MedQuAD is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder")
def test_medquad_official_sentences_that_look_alike():
    """The share that length and shared letters reach is in the tests of the task `first-sentence`."""
    records = run(OPEN, view="first")
    assert Counter(record.split for record in records) == {"train": 4_678, "test": 650}
    learnt = {record.group for record in run(OPEN, view="mcqa") if record.split == "train"}
    assert not learnt & {record.group for record in records if record.split == "test"}


GOUT = (
    "Gout is a common kind of arthritis of the toe. It hurts. Flares of GOUT, or podagra, last for about a week. Gout? "
    "Goutweed is a plant that no doctor gives for it."
)


def cloze(folder, answer, focus="Gout", synonyms=("podagra", "Gouty arthritis"), pid="1"):
    """The only record of a document with one pair, or what was left out."""
    text = document(focus, (pid, "information", "What is it ?", answer))
    listed = "".join(f"<Synonym>{escape(synonym)}</Synonym>" for synonym in synonyms)
    write(folder, "3_GHR_QA/1.xml", text.replace("<Synonym>y</Synonym>", listed))
    conversion = ConversionReport()
    records = run(folder, conversion, view="cloze")
    return records[0] if records else conversion.left_out


def test_medquad_cloze_takes_the_focus_out_of_one_sentence_and_leaves_the_others(tmp_path):
    record = cloze(tmp_path, GOUT)
    sentence = record.query.removeprefix("Fill in @placeholder: ")
    assert sentence in (
        "@placeholder is a common kind of arthritis of the toe.",
        "Flares of @placeholder, or podagra, last for about a week.",
    )
    assert record.id == "medquad/3_GHR_QA/1/1"
    assert (record.answer, record.options) == ("Gout", ())
    assert {record.context[slice(*span)] for span in record.spans} <= {"Gout", "GOUT"}
    assert len(record.spans) == 2
    assert "Goutweed" in record.context  # a part of a word is neither replaced nor found
    assert record.context != GOUT


def test_medquad_synonyms_are_labels_where_the_context_has_them(tmp_path):
    found = {cloze(tmp_path, GOUT, pid=str(number)).labels for number in range(9)}
    assert found == {("Gout",), ("Gout", "podagra")}  # with the sentence of "podagra" as query, and without


def test_medquad_cloze_is_in_the_split_of_its_question(tmp_path):
    made, asked = cloze(tmp_path, GOUT), run(tmp_path)[0]
    assert (made.id, made.group, made.split, made.source) == (asked.id, asked.group, asked.split, asked.source)


@pytest.mark.parametrize(
    "answer",
    [
        "Gout is a common kind of arthritis of the toe.",
        "Gout is a common kind of arthritis of the toe. It hurts a lot.",
        "Gout? Gout. Treatment of gout.",
        "Goutweed is a plant of the kind. Goutweed is a plant of the kind.",
        "gout " * 61 + "here. Gout.",
    ],
)
def test_medquad_without_a_sentence_for_the_query_and_one_for_the_context_there_is_no_cloze(tmp_path, answer):
    assert cloze(tmp_path, answer) == {"focus not in two sentences": 1}


@pytest.mark.parametrize("focus", ["Factor V (Leiden)", "What?", "5-alpha", "a.b*c", "Ménière"])
def test_medquad_focus_with_signs_is_taken_literally(tmp_path, focus):
    record = cloze(tmp_path, f"Here {focus} is a very rare disease indeed. Few know {focus}, or none.", focus)
    assert record.query.count("@placeholder") == 2
    assert focus not in record.query
    assert [record.context[slice(*span)] for span in record.spans] == [focus]


@given(st.lists(st.sampled_from(["gout", "Gout", "is", "a", "toe.", "Podagra", "The", "weed"]), max_size=60))
def test_medquad_cloze_never_shows_its_answer(tmp_path_factory, words):
    found = cloze(tmp_path_factory.mktemp("cloze"), "It. " + " ".join(words))
    if not isinstance(found, dict):
        assert "gout" not in found.query.casefold().replace("@placeholder", "").split()
        assert found.spans
        assert all(found.context[start:end].casefold() == "gout" for start, end in found.spans)


@pytest.mark.skipif(not OPEN.is_dir(), reason=f"MedQuAD is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder")
def test_medquad_official_counts():
    conversion = ConversionReport()
    records = run(OPEN, conversion)
    assert (len(records), conversion.left_out) == (16_423, {"empty answer": 31_034})
    assert len({record.id for record in records}) == 16_423
    folders = Counter(record.id.split("/")[1].split("_")[0] for record in records)
    answered = [729, 5389, 5430, 981, 1192, 1104, 769, 559, 270]
    assert folders == {str(number): count for number, count in enumerate(answered, 1)}


@pytest.mark.skipif(not OPEN.is_dir(), reason=f"MedQuAD is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder")
def test_medquad_half_of_the_answered_pairs_have_choices_that_no_shortcut_tells():
    conversion = ConversionReport()
    records = run(OPEN, conversion, view="mcqa")
    assert len(records) == 7_958
    assert conversion.left_out == {"empty answer": 31_034, "no distractors that match": 8_465}
    tested = [record for record in records if record.split == "test"]
    for each in (records, tested):
        for shortcut in (max, min):
            assert abs(right(each, lambda record, of=shortcut: of(record.options, key=len)) - 0.25) <= 0.05
            assert abs(right(each, lambda record, of=shortcut: of(record.options, key=near(record))) - 0.25) <= 0.05


def near(record):
    asked = letter_triples(question_of(record))
    return lambda text: len(letter_triples(text) & asked) / len(letter_triples(text) | asked)


@pytest.mark.skipif(not OPEN.is_dir(), reason=f"MedQuAD is not at {OPEN}; set MDKIF_TEST_DATA to its parent folder")
def test_medquad_half_of_the_answered_pairs_make_a_cloze():
    conversion = ConversionReport()
    records = run(OPEN, conversion, view="cloze")
    assert len(records) == 8_641
    assert conversion.left_out == {"empty answer": 31_034, "focus not in two sentences": 7_782}
    assert all(
        record.context[slice(*span)].casefold() == record.answer.casefold()
        for record in records
        for span in record.spans
    )
