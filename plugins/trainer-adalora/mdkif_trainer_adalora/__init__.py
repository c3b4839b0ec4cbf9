"""AdaLoRA (Zhang et al., 2023), the papers' trainer, started so that it learns as fast as LoRA in short runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mdkif import BadInput, Loss, Trainer, TuningMethod, explained, hookimpl

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

    from .triplets import Triplets

Start = Literal["lora", "gradient", "peft"]


@hookimpl
def mdkif_trainers() -> list[Trainer]:
    """One trainer, `adalora`."""
    return [
        Trainer(
            name="adalora",
            title="AdaLoRA: SVD-shaped adapters whose rank goes where it matters",
            target="mdkif_trainer_adalora:AdaLoRA",
        )
    ]


@dataclass(kw_only=True)
class AdaLoRA(TuningMethod):
    """Settings of AdaLoRA, by default those of SA-MDKIF and STAF-LLM with a schedule that fits any run.

    The papers' absolute steps (warm-up 200, final 1000) are impossible for small data sets, so they
    are shares of the run: no triplet is cut in the first `warmup_share` of the steps and none
    in the last `final_share`. `start` is how the factors begin, always with an update of zero: "lora" is
    U = 0, Lambda = 1 and V orthonormal, so U learns as LoRA's does; "gradient" is Lambda = 0 and U, V
    the leading singular vectors of the first batch's gradient; "peft" is Lambda = 0 and U, V ~ N(0, 0.02).

    Raises BadInput if the ranks or shares leave nothing to allocate, or alpha is not positive.
    """

    learning_rate: float = explained(2e-3, "the highest rate of U and V")
    init_rank: int = explained(12, "rank of every module at the start")
    target_rank: int = explained(4, "mean rank per module at the end; must be smaller")
    alpha: float = explained(32.0, "the update is scaled by alpha / `init_rank`")
    dropout: float = explained(0.1, "dropout on the adapter's input", below=1.0)
    orthogonality: float = explained(0.5, "weight of the penalty on U and V, in the training loss only")
    warmup_share: float = explained(0.3, "share of the steps before the first cut")
    final_share: float = explained(0.3, "share of the steps after the last cut")
    start: Start = explained("lora", "how the factors begin")
    lambda_rate: float = explained(1.0, "Λ learns at this multiple of `learning_rate`")

    def attach(self, model: PreTrainedModel, steps: int, loss: Loss) -> PeftModel:
        """Put U = B, Lambda = E and V = A of PEFT's AdaLoRA on every linear layer but the output head."""
        from peft import AdaLoraConfig, get_peft_model

        directions: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._check(steps)
        if self.start == "gradient":
            directions = gradient_directions(model, loss, self.init_rank)
        config = AdaLoraConfig(
            init_r=self.init_rank,
            target_r=self.target_rank,
            lora_alpha=self.alpha,  # type: ignore[arg-type]  # PEFT computes with any number
            lora_dropout=self.dropout,
            orth_reg_weight=self.orthogonality,
            tinit=round(self.warmup_share * steps),
            tfinal=round(self.final_share * steps),
            deltaT=1,
            total_step=steps,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        adapted = get_peft_model(model, config)
        self._initialise(adapted, directions)
        return adapted

    def _triplets(self, model: PeftModel) -> Triplets:
        """The triplets of the model it works on, stacked once."""
        from .triplets import Triplets

        known: tuple[PeftModel, Triplets] | None = self.__dict__.get("_stacked")
        if known is None or known[0] is not model:
            known = self._stacked = (model, Triplets.of(model))
        return known[1]

    def groups(self, model: PeftModel) -> list[dict[str, Any]]:
        """Lambda has a learning rate of its own, `lambda_rate` times that of the singular vectors."""
        values = [p for n, p in model.named_parameters() if p.requires_grad and "lora_E" in n]
        vectors = [p for n, p in model.named_parameters() if p.requires_grad and "lora_E" not in n]
        return [{"params": vectors}, {"params": values, "lr": self.learning_rate * self.lambda_rate}]

    def penalty(self, model: PeftModel) -> torch.Tensor | None:
        """The weighted mean of ||P P^T - I||_F over the trained factors (SA-MDKIF eq. 10, PEFT's form)."""
        return self.orthogonality * self._triplets(model).distance() if self.orthogonality else None

    def stepped(self, model: PeftModel, step: int) -> None:
        """Update importance and cut Lambda to the step's budget (eqs. 12-14); every step, to the end."""
        self._triplets(model).allocate(_allocator(model), _config(model), step)

    def mean_rank(self, model: PeftModel) -> float:
        """The mean number of singular values per module that are not zero."""
        return self._triplets(model).kept()

    def state(self, model: PeftModel) -> dict[str, torch.Tensor]:
        """The importance averages, which PEFT puts into no checkpoint, and the final choice of triplets."""
        import torch

        allocator = _allocator(model)
        tensors = {f"{field}/{name}": value for field in AVERAGES for name, value in getattr(allocator, field).items()}
        for name, kept in (_config(model).rank_pattern or {}).items():
            tensors[f"kept/{name}"] = torch.tensor(kept, dtype=torch.bool)
        return tensors

    def restore(self, model: PeftModel, state: Mapping[str, torch.Tensor]) -> None:
        """Take back the averages and the final choice of triplets."""
        allocator, kept = _allocator(model), {}
        for key, value in state.items():
            field, _, name = key.partition("/")
            if field == "kept":
                kept[name] = value.tolist()
            else:
                getattr(allocator, field)[name] = value
        if kept:
            _config(model).rank_pattern = kept

    def _check(self, steps: int) -> None:
        if not 0 < self.target_rank < self.init_rank:
            raise BadInput(
                f"target_rank is {self.target_rank} and init_rank {self.init_rank}: AdaLoRA cuts from the "
                "initial to the target rank, so 0 < target_rank < init_rank is needed."
            )
        if self.alpha <= 0:
            raise BadInput(f"alpha is {self.alpha}: it must be positive, or a reloaded adapter has another scale.")
        first, last = round(self.warmup_share * steps), steps - round(self.final_share * steps)
        if min(self.warmup_share, self.final_share) < 0 or last <= max(first, 1):
            raise BadInput(
                f"warmup_share {self.warmup_share} and final_share {self.final_share} leave none of the {steps} "
                "steps for cutting ranks: lower them, to no less than 0, or train longer."
            )

    def _initialise(self, model: PeftModel, directions: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
        import torch

        with torch.no_grad():
            for name, module in model.base_model.model.named_modules():  # type: ignore[union-attr]
                if not hasattr(module, "lora_E"):
                    continue
                if name in directions:
                    left, right = directions[name]
                    module.lora_B["default"].copy_(left)
                    module.lora_A["default"].copy_(right)
                elif self.start == "lora":
                    module.lora_B["default"].zero_()
                    module.lora_E["default"].fill_(1.0)
                    torch.nn.init.orthogonal_(module.lora_A["default"])


AVERAGES = ("ipt", "exp_avg_ipt", "exp_avg_unc")  # of PEFT's allocator


def gradient_directions(model: PreTrainedModel, loss: Loss, rank: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The leading singular vectors of the loss's gradient for every linear layer but the output head.

    Returns U (out, rank) and V (rank, in), orthonormal, by module name. Each gradient is factored and
    freed as soon as it is known, so one is held at a time.
    """
    import torch

    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    head = model.get_output_embeddings()
    layers = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and m is not head}

    for name, layer in layers.items():
        if rank > min(layer.weight.shape):
            raise BadInput(f"init_rank is {rank}, above the width of {name}: lower it, or use start=lora.")

    def factor(name: str, weight: torch.nn.Parameter) -> None:
        assert weight.grad is not None
        left, _, right = torch.svd_lowrank(weight.grad.float(), q=min(rank + 4, *weight.shape), niter=2)
        found[name] = (left[:, :rank], right[:, :rank].T)
        weight.grad = None

    handles = []
    for name, layer in layers.items():
        layer.weight.requires_grad_(True)
        handles.append(layer.weight.register_post_accumulate_grad_hook(lambda w, name=name: factor(name, w)))
    try:
        loss().backward()
    finally:
        for handle in handles:
            handle.remove()
        for layer in layers.values():
            layer.weight.requires_grad_(False)
    return found


def _allocator(model: PeftModel) -> Any:
    return model.base_model.rankallocator


def _config(model: PeftModel) -> Any:
    return model.peft_config["default"]
