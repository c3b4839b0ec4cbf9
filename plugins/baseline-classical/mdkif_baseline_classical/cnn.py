"""TextCNN: Kim, Convolutional Neural Networks for Sentence Classification, EMNLP 2014, with random embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdkif import Given, explained

from .problem import Problem, words
from .training import TextClassifier

if TYPE_CHECKING:
    import torch

    from .training import Forward

WIDTHS = (3, 4, 5)
PADDING, UNKNOWN = 0, 1


@dataclass(kw_only=True)
class TextCNN(TextClassifier):
    """Filters of three, four and five words over embeddings, their maxima over the text, dropout and a linear head.

    The embeddings are random ("CNN-rand" of the paper): no other text is read.
    """

    dimensions: int = explained(100, "of an embedding")
    filters: int = explained(100, "of each width")
    dropout: float = explained(0.5, "share of the maxima that is left out in training")
    vocabulary: int = explained(20_000, "the most frequent words of the examples are told apart")
    longest: int = explained(400, "words of a text, of which the first are read")

    def built(self, problem: Problem, given: Given) -> tuple[Any, Forward]:
        """The network, and what it gives for texts."""
        import torch

        counts = Counter(word for each in given.examples for text in problem.texts(each) for word in words(text))
        common = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: self.vocabulary]]
        places = {word: place for place, word in enumerate(common, UNKNOWN + 1)}
        network = _network(len(places) + 2, self.dimensions, self.filters, self.dropout, problem.outputs)

        def forward(texts: Sequence[str]) -> torch.Tensor:
            rows = [[places.get(word, UNKNOWN) for word in words(text)[: self.longest]] for text in texts]
            size = max(WIDTHS[-1], *map(len, rows))
            found: torch.Tensor = network(torch.tensor([row + [PADDING] * (size - len(row)) for row in rows]))
            return found

        return network, forward


def _network(vocabulary: int, dimensions: int, filters: int, dropout: float, outputs: int) -> Any:
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeddings = nn.Embedding(vocabulary, dimensions, padding_idx=PADDING)
            self.filters = nn.ModuleList(nn.Conv1d(dimensions, filters, width) for width in WIDTHS)
            self.dropout = nn.Dropout(dropout)
            self.head = nn.Linear(filters * len(WIDTHS), outputs)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            embedded = self.embeddings(ids).transpose(1, 2)
            maxima = [each(embedded).relu().amax(-1) for each in self.filters]
            logits: torch.Tensor = self.head(self.dropout(torch.cat(maxima, -1)))
            return logits

    return Network()
