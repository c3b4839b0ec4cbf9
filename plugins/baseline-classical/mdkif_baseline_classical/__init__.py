"""Baselines that learn a task from its own records, without a generative language model."""

from __future__ import annotations

from mdkif import Baseline, hookimpl


@hookimpl
def mdkif_baselines() -> list[Baseline]:
    """TF-IDF with logistic regression, the nearest example, TextCNN, and an encoder with a head."""
    return [
        Baseline(
            name="tfidf",
            title="TF-IDF and logistic regression",
            target=f"{__name__}.sparse:TfIdf",
            takes="options",
            shortcut=True,
        ),
        Baseline(
            name="nearest",
            title="The answer of the most similar example",
            target=f"{__name__}.sparse:Nearest",
            takes="text",
            shortcut=True,
        ),
        Baseline(name="text-cnn", title="TextCNN (Kim, 2014)", target=f"{__name__}.cnn:TextCNN", takes="options"),
        Baseline(
            name="encoder",
            title="A BERT-class encoder with a head",
            target=f"{__name__}.encoder:EncoderHead",
            takes="options",
        ),
    ]
