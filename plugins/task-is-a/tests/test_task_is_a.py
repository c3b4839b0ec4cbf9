"""The is-a task: what it declares, and the instructions a router is learnt and tested on."""

import mdkif_dataset_obo
import mdkif_task_is_a as plugin
import pytest
from mdkif import BadInput, ConversionReport, convert
from mdkif.core.prompts.templates import Template

[TASK] = plugin.mdkif_tasks()
[OBO] = mdkif_dataset_obo.mdkif_datasets()
ONTOLOGY = """
[Term]
id: X:1
name: hepatitis

[Term]
id: X:2
name: viral hepatitis
is_a: X:1 ! hepatitis
"""


def test_it_is_an_unseen_task_scored_by_auroc():
    declared = (TASK.track, TASK.evaluator, TASK.metric, TASK.normaliser)
    assert declared == ("unseen task", "classification", "auroc", "sum")


def test_it_reads_the_relation_that_no_skill_reads():
    assert TASK.source("disease-ontology").options == {"view": "isa"}
    with pytest.raises(BadInput, match="it reads disease-ontology"):
        TASK.source("umls")


def test_the_model_reads_two_concepts_and_says_yes_or_no(tmp_path):
    (tmp_path / "doid.obo").write_text(ONTOLOGY)
    records = convert(OBO, tmp_path, ConversionReport(), TASK.source("disease-ontology").options)
    yes, no = (Template.of(TASK).render(record) for record in records)
    assert yes.prompt == (
        "Is the first concept a kind of the second? Choose from: yes; no.\n\n"
        "concept 1: viral hepatitis\nconcept 2: hepatitis"
    )
    assert no.context == "concept 1: hepatitis\nconcept 2: viral hepatitis"
    assert (yes.answer, no.answer) == ("yes", "no")
