"""A BERT-class encoder with a classification head, all of it trained (Devlin et al., 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdkif import BadInput, Given, explained

from .problem import Problem
from .training import TextClassifier

if TYPE_CHECKING:
    import torch

    from .training import Forward


@dataclass(kw_only=True)
class EncoderHead(TextClassifier):
    """A pretrained encoder in a local folder (BERT, RoBERTa, BioBERT, …), with a new head on its first token.

    Only safetensors are read, and no code of the folder is run. The longest texts are cut at their ends.
    """

    path: str = explained("", "the folder of the encoder, as transformers saves it")
    epochs: int = explained(5, "passes over the examples, the best of which is kept")
    learning_rate: float = explained(5e-5, "of AdamW")
    longest: int = explained(512, "tokens of a text")

    def built(self, problem: Problem, given: Given) -> tuple[Any, Forward]:
        """The encoder, and what it gives for texts. Raises BadInput where there is none."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        from transformers.utils import logging

        if not (Path(self.path).expanduser() / "config.json").is_file():
            raise BadInput(
                f"The baseline 'encoder' finds no encoder in '{self.path}': name its folder, as in --set "
                "encoder.path=models/biomed-bert."
            )
        logging.disable_progress_bar()
        folder = str(Path(self.path).expanduser())
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            model: Any = AutoModelForSequenceClassification.from_pretrained(
                folder,
                num_labels=problem.outputs,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
            )
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(
                f"The baseline 'encoder' cannot load {folder} ({type(error).__name__}): give a folder with "
                "configuration, tokenizer and safetensors of an encoder."
            ) from error
        longest = min(self.longest, getattr(model.config, "max_position_embeddings", self.longest))

        def forward(texts: Sequence[str]) -> torch.Tensor:
            batch = tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
            logits: torch.Tensor = model(**batch).logits
            return logits

        return model, forward
