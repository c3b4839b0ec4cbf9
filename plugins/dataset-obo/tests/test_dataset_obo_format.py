"""The OBO format: escapes, scopes, modifiers and continued lines on small files, and the terms of the open releases."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport
from mdkif_dataset_obo.obo import terms

OPEN_DATA = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
RELEASE = OPEN_DATA / "HumanDiseaseOntology"
needs_release = pytest.mark.skipif(
    not RELEASE.is_dir(), reason=f"no HumanDiseaseOntology in {OPEN_DATA}; set MDKIF_TEST_DATA"
)

HEADER = "format-version: 1.2\nontology: doid\n"


@pytest.fixture
def ontology(tmp_path):
    def write(stanzas):
        path = tmp_path / "doid.obo"
        path.write_text(HEADER + stanzas, encoding="utf-8")
        return path

    return write


def read(path, **options):
    return list(terms(path, ConversionReport(**options)))


def stanza(*lines, identity="X:1", name="disease"):
    return "\n".join(["", "[Term]", f"id: {identity}", f"name: {name}", *lines, ""])


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (r'"plain" []', "plain"),
        (r'"say \"no\" to it" []', 'say "no" to it'),
        (r'"see http\://x\, or \(y\)" []', "see http://x, or (y)"),
        (r'"back\\slash" []', "back\\slash"),
        (r'"two\nlines\Wand\ttab" []', "two lines and tab"),
        ('"has ! and {braces}" [x:y] {comment="z"} ! end', "has ! and {braces}"),
        ('"trailing space " []', "trailing space"),
    ],
)
def test_obo_format_quoted_texts_are_unescaped_and_end_at_their_quote(ontology, written, read_as):
    [term] = read(ontology(stanza(f"def: {written}")))
    assert term.definition.text == read_as


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1))
def test_obo_format_any_text_survives_being_quoted(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("obo") / "x.obo"
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    path.write_text(stanza(f'synonym: "{quoted}" EXACT []'), encoding="utf-8")
    [term] = read(path)
    assert term.synonyms[0].text == text


@pytest.mark.parametrize(
    ("written", "scope"),
    [
        ("EXACT []", "EXACT"),
        ("EXACT OMO:0003012 []", "EXACT"),
        ("NARROW [ICD9:1.2]", "NARROW"),
        ("[]", "RELATED"),
        ("", "RELATED"),
    ],
)
def test_obo_format_synonym_has_its_scope_and_without_one_it_is_related(ontology, written, scope):
    [term] = read(ontology(stanza(f'synonym: "ill" {written}')))
    assert [synonym.scope for synonym in term.synonyms] == [scope]


@pytest.mark.parametrize("tail", ["", " ! disease", ' {source="x"}', ' {source="x"} ! disease'])
def test_obo_format_parent_is_an_id_without_modifiers_and_comment(ontology, tail):
    child = stanza(f"is_a: X:1{tail}", identity="X:2", name="illness")
    assert [parent.id for parent in read(ontology(stanza() + child))[1].parents] == ["X:1"]


def test_obo_format_line_that_ends_in_a_backslash_goes_on(ontology):
    [term] = read(ontology(stanza('def: "one \\', 'two" []', "is_obsolete: true")))
    assert (term.definition.text, term.definition.line, term.obsolete) == ("one two", 7, True)


def test_obo_format_other_stanzas_comments_and_a_byte_order_mark_are_passed_over(tmp_path):
    path = tmp_path / "x.obo"
    typedef = '\n[Typedef]\nid: part_of\nname: part of\ndef: "Not a term." []\n'
    path.write_text("\ufeff" + HEADER + typedef + stanza("! name: comment"), encoding="utf-8")
    assert [(term.id, term.name, term.definition) for term in read(path)] == [("X:1", "disease", None)]


@pytest.mark.parametrize(
    ("stanzas", "line", "reason"),
    [
        (stanza("def: secret text without quotes"), 7, "has a def without a quoted text"),
        (stanza("synonym: secret EXACT []"), 7, "has a synonym without a quoted text"),
        ("\n[Term]\nname: secret\n", 4, "starts a term without an id or a name"),
        (stanza() + stanza(name="secret"), 8, "starts a term whose id came before"),
    ],
)
def test_obo_format_malformed_line_is_named_by_file_and_line_and_not_quoted(ontology, stanzas, line, reason):
    path = ontology(stanza(identity="X:0") + stanzas)
    with pytest.raises(BadInput, match=rf"doid.obo:{line + 4} {reason}") as error:
        read(path)
    assert "secret" not in str(error.value)
    assert read(path, skip_bad=True)[0].id == "X:0"


def test_obo_format_file_that_is_no_ontology_is_refused(tmp_path):
    (tmp_path / "notes.obo").write_text("nothing\n")
    with pytest.raises(BadInput, match=r"no \[Term\] in .*notes.obo"):
        read(tmp_path / "notes.obo")


OFFICIAL = r"""
[Term]
id: DOID:0050127
name: sinusitis
alt_id: DOID:9999
def: "An upper respiratory tract disease that involves inflammation of the sinuses \"acute\" \
or not. It results_in pain." \
[url:http\://en.wikipedia.org/wiki/Sinusitis, url:http\://x.org/a"b]
comment: Xref MGI. is_a: DOID:1
subset: DO_cancer_slim
synonym: "sinus infection" EXACT [MTH:NOCODE]
synonym: "RHINITIS, chronic" NARROW [SNOMEDCT_2016_03_01:1 "see is_a"]
xref: MSH:D012852
xref: UMLS_CUI:C0037199
is_a: DOID:974 {source="x"} ! upper respiratory tract disease
intersection_of: DOID:974 ! upper respiratory tract disease
disjoint_from: DOID:225 ! syndrome
relationship: located_in UBERON:0001825 ! paranasal sinus
is_obsolete: false
created_by: someone
creation_date: 2010-05-14T02:45:23Z
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_obo_format_stanza_with_every_tag_of_the_release_gives_what_it_says_and_nothing_else(tmp_path, newline):
    path = tmp_path / "doid.obo"
    path.write_text(HEADER + OFFICIAL, encoding="utf-8", newline=newline)
    [term] = read(path)
    assert (term.id, term.name, term.obsolete) == ("DOID:0050127", "sinusitis", False)
    assert term.definition.text == (
        'An upper respiratory tract disease that involves inflammation of the sinuses "acute" or not. '
        "It results_in pain."
    )
    assert [(synonym.text, synonym.scope) for synonym in term.synonyms] == [
        ("sinus infection", "EXACT"),
        ("RHINITIS, chronic", "NARROW"),
    ]
    assert [parent.id for parent in term.parents] == ["DOID:974"]
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines[term.definition.line - 1].startswith("def:")
    assert lines[term.parents[0].line - 1].startswith("is_a:")


@needs_release
def test_obo_format_terms_of_the_2016_release():
    every = read(RELEASE / "doid-2016-03-04.obo")
    live = [term for term in every if not term.obsolete]
    assert (len(every), len(every) - len(live)) == (9243, 2369)
    # 3,229 `def:` lines are in the file: six of them belong to [Typedef] stanzas, 537 to obsolete terms.
    assert sum(term.definition is not None for term in every) == 3229 - 6
    assert sum(term.definition is not None for term in live) == 3229 - 6 - 537
    assert sum(len(term.synonyms) for term in live) == 13053
    assert sum(len(term.parents) for term in live) == 8062


@needs_release
@pytest.mark.parametrize(("slim", "count"), [("DO_rare_slim", 3460), ("DO_cancer_slim", 730), ("NCIthesaurus", 4757)])
def test_obo_format_current_subsets_are_read_whole(slim, count):
    assert len(read(RELEASE / "subsets" / f"{slim}.obo")) == count
