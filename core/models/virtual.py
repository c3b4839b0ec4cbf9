"""Virtual tokens that PEFT learnt, before every row that a model is asked about, wherever its logits are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class VirtualTokens:
    """The prompt (prompt tuning, P-tuning) or the keys and values (prefix tuning) of a PEFT model.

    PEFT puts them before rows whose mask says which tokens are padding. Here they also come before rows whose mask says
    what sees what, they have the first positions, and a row's own tokens the next ones, however it is padded.
    """

    model: Any

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.model.active_peft_config.num_virtual_tokens)

    def read(self, decoder: Any, inputs: Mapping[str, torch.Tensor]) -> Any:
        """What the decoder gives for `inputs`; the last hidden states are those of the rows' own tokens."""
        ids, positions = inputs["input_ids"], inputs["position_ids"] + self.count
        prompt = self.model.get_prompt(len(ids))
        if not isinstance(prompt, torch.Tensor):
            mask = _widened(inputs["attention_mask"], self.count, rows=False)
            return decoder(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=prompt,
                           use_cache=True)  # fmt: skip
        own = self.model.get_input_embeddings()(ids)
        first = torch.arange(self.count, device=ids.device).expand(len(ids), -1)
        output = decoder(
            inputs_embeds=torch.cat([prompt.to(own), own], 1),
            attention_mask=_widened(inputs["attention_mask"], self.count, rows=True),
            position_ids=torch.cat([first, positions], 1),
            use_cache=False,
        )
        output.last_hidden_state = output.last_hidden_state[:, self.count :]
        return output


def virtual_tokens(model: Any) -> VirtualTokens | None:
    """Those of a PEFT model that learnt a prompt; None for any other model."""
    config = getattr(model, "active_peft_config", None)
    return VirtualTokens(model) if getattr(config, "is_prompt_learning", False) else None


def _widened(mask: torch.Tensor, count: int, rows: bool) -> torch.Tensor:
    """A mask, (rows, length) of ones or (rows, 1, length, length) to be added, with virtual tokens that all see.

    With `rows` they are themselves among what looks, each at those before it.
    """
    if mask.dim() == 2:
        return torch.cat([mask.new_ones(len(mask), count), mask], 1)
    wide = torch.cat([mask.new_zeros(*mask.shape[:3], count), mask], 3)
    if not rows:
        return wide
    unseen = torch.finfo(mask.dtype).min
    first = torch.full((count, wide.shape[3]), unseen, dtype=mask.dtype, device=mask.device).triu(1)
    return torch.cat([first.expand(len(mask), 1, -1, -1), wide], 2)
