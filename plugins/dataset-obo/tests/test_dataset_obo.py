"""The converter of ontologies: sources, views and their labels, and the counts of the open 2016 release."""

import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, ConversionReport, convert
from mdkif.testing import assert_conforms
from mdkif_dataset_obo import mdkif_datasets

[OBO] = mdkif_datasets()
OPEN_DATA = Path(os.environ.get("MDKIF_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
RELEASE = OPEN_DATA / "HumanDiseaseOntology"
needs_release = pytest.mark.skipif(
    not RELEASE.is_dir(), reason=f"no HumanDiseaseOntology in {OPEN_DATA}; set MDKIF_TEST_DATA"
)

HEADER = "format-version: 1.2\nontology: doid\n"
TREE = """
[Term]
id: X:1
name: disease

[Term]
id: X:2
name: lung disease
def: "A disease of the lung." [url:http\\://example.org]
synonym: "disorder of lung" EXACT []
is_a: X:1 ! disease

[Term]
id: X:3
name: asthma
synonym: "bronchial disease" EXACT []
is_a: X:2 ! lung disease

[Term]
id: X:4
name: pneumonia
is_a: X:2 ! lung disease

[Term]
id: X:5
name: skin disease
synonym: "disease of skin" EXACT []
is_a: X:1 ! disease
"""
ABOVE = {"asthma": {"lung disease", "disease"}, "pneumonia": {"lung disease", "disease"}}
ABOVE |= {"lung disease": {"disease"}, "skin disease": {"disease"}, "disease": set()}


@pytest.fixture
def ontology(tmp_path):
    def write(stanzas, name="doid.obo"):
        path = tmp_path / name
        path.write_text(HEADER + stanzas, encoding="utf-8")
        return path

    return write


def stanza(*lines, identity="X:1", name="disease"):
    return "\n".join(["", "[Term]", f"id: {identity}", f"name: {name}", *lines, ""])


def records(source, view, conversion=None, **options):
    return list(convert(OBO, source, conversion or ConversionReport(), {"view": view, **options}))


def concepts(record):
    first, second = (line.split(": ", 1)[1] for line in record.context.split("\n"))
    return first, second


def test_obo_conforms():
    assert_conforms("mdkif-dataset-obo")


# The source


def test_obo_folder_gives_doid_obo_before_its_other_files(ontology, tmp_path):
    ontology(stanza('def: "Older." []'), "doid-2016.obo")
    assert records(tmp_path, "ea")[0].answer == "Older."
    ontology(stanza('def: "Newer." []'), "doid-2020.obo")
    assert records(tmp_path, "ea")[0].answer == "Newer."
    ontology(stanza('def: "Release." []'))
    assert records(tmp_path, "ea")[0].answer == "Release."


def test_obo_repository_folder_and_a_folder_with_one_ontology_are_sources(ontology, tmp_path):
    path = ontology(stanza('def: "One." []'), "mondo.obo")
    assert records(tmp_path, "ea") == records(path, "ea")
    (tmp_path / "repo" / "src" / "ontology").mkdir(parents=True)
    path.rename(tmp_path / "repo" / "src" / "ontology" / "doid.obo")
    assert records(tmp_path / "repo", "ea")[0].answer == "One."


def test_obo_folder_without_ontology_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(BadInput, match=r"no doid\*.obo in .*: give the ontology's .obo file"):
        records(tmp_path, "ea")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": "xx"}, "'view' is 'xx': choose from ea, es, er, isa"),
        ({"scopes": "EXACT,CLOSE"}, "'scopes' is 'CLOSE': choose from EXACT"),
        ({"limit": "x"}, "'limit' is 'x'"),
    ],
)
def test_obo_wrong_option_names_the_choices(ontology, options, message):
    with pytest.raises(BadInput, match=message):
        list(convert(OBO, ontology(TREE), ConversionReport(), options))


# The views


def test_obo_ea_explains_the_live_terms_that_have_a_definition(ontology):
    gone = stanza('def: "Gone." []', "is_obsolete: true", identity="X:9", name="old")
    conversion = ConversionReport()
    [record] = records(ontology(TREE + gone), "ea", conversion)
    assert (record.context, record.answer, record.group) == ("lung disease", "A disease of the lung.", "X:2")
    assert record.query == "Explain the following medical concept."
    assert record.source == "doid.obo:11"
    assert conversion.left_out == {"term without a definition": 4, "obsolete term": 1}


def test_obo_es_pairs_each_exact_synonym_with_a_term_of_another_concept(ontology):
    found = records(ontology(TREE), "es")
    assert [record.answer for record in found] == ["yes", "no"] * 3
    assert found[0].context == "term 1: lung disease\nterm 2: disorder of lung"
    others = {"disorder of lung", "bronchial disease", "disease of skin"}
    assert concepts(found[1])[1] in others - {"disorder of lung"}
    assert found[0].group == found[1].group == "X:2"


def test_obo_es_takes_other_scopes_when_asked_and_never_as_negatives_of_their_term(ontology):
    extra = stanza('synonym: "bronchial disease" RELATED []', identity="X:6", name="bronchial illness")
    path, conversion = ontology(TREE + extra), ConversionReport()
    assert not [record for record in records(path, "es", conversion) if record.group == "X:6"]
    assert conversion.left_out["synonym of another scope"] == 1
    with_related = [record for record in records(path, "es", scopes="exact, related") if record.group == "X:6"]
    assert [record.answer for record in with_related] == ["yes", "no"]
    assert concepts(with_related[0])[1] == "bronchial disease" != concepts(with_related[1])[1]


def test_obo_es_contrasts_with_live_terms_only(ontology):
    gone = stanza('synonym: "lung disorder of old" EXACT []', "is_obsolete: true", identity="X:9", name="lung disorder")
    for seed in range(12):
        others = {concepts(r)[1] for r in records(ontology(TREE + gone), "es", seed=seed) if r.answer == "no"}
        assert others <= {"disorder of lung", "bronchial disease", "disease of skin"}


@pytest.mark.parametrize("seed", range(6))
def test_obo_er_says_what_the_hierarchy_says(ontology, seed):
    for record in records(ontology(TREE), "er", seed=seed):
        first, second = concepts(record)
        truth = {"is a kind of": second in ABOVE[first], "is a broader term than": first in ABOVE[second]}
        truth["is not related to"] = not any(truth.values()) and first != second
        assert [relation for relation, holds in truth.items() if holds] == [record.answer]
        assert record.options == tuple(truth)


@pytest.mark.parametrize("seed", range(6))
def test_obo_isa_says_what_the_hierarchy_says_twice_per_line(ontology, seed):
    found = records(ontology(TREE), "isa", seed=seed)
    assert [record.answer for record in found] == ["yes", "no"] * 4
    for record in found:
        first, second = concepts(record)
        assert (second in ABOVE[first]) == (record.answer == "yes")
        assert first != second


def test_obo_isa_negatives_are_reversed_pairs_siblings_and_strangers(ontology):
    kinds = set()
    for seed in range(60):
        for record in records(ontology(TREE), "isa", seed=seed):
            if record.answer == "no" and record.group == "X:3":
                kinds.add(concepts(record))
    assert kinds == {("lung disease", "asthma"), ("asthma", "pneumonia"), ("asthma", "skin disease")}


def test_obo_any_negatives_of_isa_are_strangers(ontology):
    """Neither the line reversed nor, on purpose, a sibling."""
    path = ontology(TREE)
    for seed in range(20):
        for record in records(path, "isa", negatives="any", seed=seed):
            narrow, broad = concepts(record)
            if record.labels == ("no",):
                assert broad not in ABOVE[narrow]
                assert narrow not in ABOVE[broad]
    asked = {concepts(r) for seed in range(20) for r in records(path, "isa", seed=seed) if r.labels == ("no",)}
    assert any(narrow in ABOVE[broad] for narrow, broad in asked)


def test_obo_any_negatives_of_es_need_not_share_a_word(ontology):
    """Near ones do wherever there is such a term."""
    path = ontology(TREE)
    shared = {}
    for negatives in ("near", "any"):
        made = [r for seed in range(30) for r in records(path, "es", negatives=negatives, seed=seed)]
        pairs = [concepts(r) for r in made if r.labels == ("no",)]
        shared[negatives] = sum(bool(set(one.split()) & set(two.split())) for one, two in pairs) / len(pairs)
    assert shared["any"] < shared["near"]


def test_obo_one_line_of_the_ontology_is_in_one_split_whatever_the_view(ontology):
    path, splits = ontology(TREE), defaultdict[str, set[str]](set)
    for view in ("er", "isa"):
        for record in records(path, view):
            splits[record.source].add(record.split)
    assert len(splits) == 4
    assert all(len(found) == 1 for found in splits.values())


@pytest.mark.parametrize("view", ["er", "isa"])
def test_obo_lines_that_say_nothing_are_left_out_and_counted(ontology, view):
    """To terms that are not there or obsolete, said before, and in circles, whose terms may still have a parent."""
    strays = [
        stanza("is_a: X:99 ! gone", "is_a: X:9", identity="X:6", name="other"),
        stanza("is_a: X:8", identity="X:7", name="hen"),
        stanza("is_a: X:7", "is_a: X:1", "is_a: X:1 ! disease", identity="X:8", name="egg"),
        stanza("is_a: X:1", "is_obsolete: true", identity="X:9", name="old"),
        stanza("is_a: X:10", identity="X:10", name="itself"),
    ]
    conversion = ConversionReport()
    found = records(ontology(TREE + "".join(strays)), view, conversion)
    assert conversion.left_out == {
        "obsolete term": 1,
        "is_a to a term that is obsolete or not in the file": 2,
        "is_a that the term has twice": 1,
        "is_a within a circle of terms": 3,
    }
    assert {record.group for record in found} == {"X:2", "X:3", "X:4", "X:5", "X:8"}
    assert len({record.source for record in found}) == 5
    assert len({record.id for record in found}) == len(found)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=25),
    st.booleans(),
    st.integers(0, 50),
)
def test_obo_any_hierarchy_gives_only_true_relations(tmp_path_factory, edges, circles, seed):
    edges = [edge for edge in edges if circles or edge[1] < edge[0]]
    parents = {child: sorted({p for c, p in edges if c == child}) for child in range(13)}
    above = {child: set(parents[child]) for child in range(13)}
    for _ in range(13):
        above = {child: found.union(*(above[parent] for parent in found)) for child, found in above.items()}
    path = tmp_path_factory.mktemp("obo") / "doid.obo"
    stanzas = (
        stanza(*(f"is_a: X:{parent}" for parent in parents[child]), identity=f"X:{child}", name=str(child))
        for child in range(13)
    )
    path.write_text(HEADER + "".join(stanzas), encoding="utf-8")
    for record in records(path, "er", seed=seed):
        first, second = map(int, concepts(record))
        broader, narrower = second in above[first], first in above[second]
        assert (record.answer == "is a kind of") == broader
        assert (record.answer == "is a broader term than") == narrower
    kinds = records(path, "isa", seed=seed)
    assert len(kinds) == 2 * len({(child, parent) for child, parent in edges if child not in above[parent] | {parent}})
    for record in kinds:
        first, second = map(int, concepts(record))
        assert (record.answer == "yes") == (second in above[first])


def test_obo_same_file_gives_the_same_records_and_another_seed_others(ontology):
    path = ontology(TREE)
    for view in ("ea", "es", "er", "isa"):
        assert records(path, view) == records(path, view)
    drawn = {tuple(record.context for record in records(path, "isa", seed=seed)) for seed in range(8)}
    assert len(drawn) > 1


def test_obo_every_record_points_to_the_line_it_was_made_from(ontology):
    path = ontology(TREE)
    lines = path.read_text().split("\n")
    tags = {"ea": "def:", "es": "synonym:", "er": "is_a:", "isa": "is_a:"}
    for view, tag in tags.items():
        for record in records(path, view):
            name, _, number = record.source.partition(":")
            assert name == "doid.obo"
            assert lines[int(number) - 1].startswith(tag)


@pytest.mark.parametrize(("view", "count"), [("er", 1), ("isa", 2)])
def test_obo_is_a_that_comes_twice_counts_once(tmp_path, view, count):
    path = tmp_path / "doid.obo"
    lines = ("is_a: X:1", "is_a: X:1 ! disease")
    path.write_text(stanza() + stanza(*lines, identity="X:2", name="flu") + stanza(identity="X:3", name="itch"))
    conversion = ConversionReport()
    assert len(records(path, view, conversion)) == count
    assert conversion.left_out == {"is_a that the term has twice": 1}


def test_obo_er_leaves_out_a_term_that_everything_is_related_to(ontology):
    pair = stanza() + stanza("is_a: X:1", identity="X:2", name="illness")
    outcomes = Counter[tuple[int, int]]()
    for seed in range(12):
        conversion = ConversionReport()
        found = records(ontology(pair), "er", conversion, seed=seed)
        outcomes[len(found), conversion.left_out["term that every other term is related to"]] += 1
    assert set(outcomes) == {(1, 0), (0, 1)}


def test_obo_sample_keeps_both_halves_of_a_pair(ontology):
    conversion = ConversionReport()
    found = records(ontology(TREE), "isa", conversion, limit="4")
    assert [record.answer for record in found] == ["yes", "no"] * 2
    assert conversion.left_out["not in the sample"] == 4


# The open release


@needs_release
def test_obo_records_of_the_2016_release():
    assert len(records(RELEASE, "ea")) == 2686
    conversion = ConversionReport()
    pairs = records(RELEASE, "es", conversion)
    # 468 of the 13,053 synonyms are not EXACT; 1,026 spell the name or another synonym again.
    assert len(pairs) == 2 * (13053 - 468 - 1026)
    assert conversion.left_out["synonym of another scope"] == 468
    assert conversion.left_out["synonym that repeats another term"] == 1026
    assert Counter(record.answer for record in pairs) == {"yes": 11559, "no": 11559}
    assert len({record.id for record in pairs}) == len(pairs)


@needs_release
def test_obo_relations_of_the_2016_release_are_balanced():
    relations = Counter(record.answer for record in records(RELEASE, "er"))
    assert sum(relations.values()) == 8062
    assert all(abs(count - 8062 / 3) < 150 for count in relations.values())
    assert Counter(record.answer for record in records(RELEASE, "isa")) == {"yes": 8062, "no": 8062}
