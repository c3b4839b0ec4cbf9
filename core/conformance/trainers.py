"""Rules for trainers: a short training on a tiny random model, interrupted, resumed, saved and loaded by PEFT."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..adapters.peft_files import read_adapter
from ..contract.declarations import Trainer
from ..inspection.finding import Finding, finding
from ..inspection.surroundings import one_thread
from ..progress import Bar, Progress
from ..training.method import TuningMethod

if TYPE_CHECKING:
    import torch

    from ..models.base import Base
    from ..prompts.encoding import Encoded

STEPS, STOP = 12, 7


def trainer(declared: Trainer, subject: str) -> Iterator[Finding]:
    """The rules for a trainer."""
    for rule, problems in RULES.items():
        with one_thread():
            found = finding(subject, rule, lambda p=problems: p(declared))  # type: ignore[misc]
        yield found


def _defaults(declared: Trainer) -> Iterator[str]:
    if not isinstance(declared.load()(), TuningMethod):
        yield f"Its target {declared.target} makes no TuningMethod: name a class that inherits from mdkif.TuningMethod."


def _loads(declared: Trainer) -> Iterator[str]:
    import torch
    from peft import PeftModel

    base = tiny_base()
    with tempfile.TemporaryDirectory() as folder:
        trained = _train(declared, base, Path(folder) / "run")
        trained.save_pretrained(folder)
        loaded: Any = PeftModel.from_pretrained(tiny_base().model, folder).eval()
        ids = torch.arange(1, 20)[None]
        with torch.no_grad():
            difference = (loaded(input_ids=ids).logits - trained.eval()(input_ids=ids).logits).abs().max().item()
        if difference > 1e-4:
            yield f"Loaded again, the adapter's logits differ by {difference:.1e}: save all that it computes with."
        if not any(update.squared_norm for update in read_adapter(Path(folder)).values()):
            yield "After training the adapter changes nothing: see that its parameters are trained and saved."


def _frozen(declared: Trainer) -> Iterator[str]:
    base = tiny_base()
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        _train(declared, base, Path(folder)).unload()
    after = base.model.state_dict()
    if set(after) != set(before) or not all((after[name] == value).all() for name, value in before.items()):
        yield "The base model's own weights have changed: train nothing but the adapter."


def _resumes(declared: Trainer) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        whole = _parameters(_train(declared, tiny_base(), Path(folder) / "whole"))
        with suppress(KeyboardInterrupt):
            _train(declared, tiny_base(), Path(folder) / "parts", _Interrupting())
        parts = _parameters(_train(declared, tiny_base(), Path(folder) / "parts"))
    if set(whole) != set(parts) or not all(value.equal(parts[name]) for name, value in whole.items()):
        yield "Interrupted and resumed, it ends elsewhere: return from state() all that a step depends on."


def tiny_base() -> Base:
    """A random Llama of two layers in float32; the same each time."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from ..models.base import Base

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = LlamaForCausalLM(LlamaConfig(vocab_size=64, num_key_value_heads=1, **sizes))  # type: ignore[arg-type]
    tokenizer: Any = SimpleNamespace(pad_token_id=0, eos_token_id=0)
    return Base("tiny", "", "", model.eval().requires_grad_(False), tokenizer)


def _train(declared: Trainer, base: Base, run: Path, progress: Progress | None = None) -> Any:
    from ..training.loop import train
    from ..training.settings import TrainSettings

    settings = TrainSettings(steps=STEPS, batch_size=4, checkpoint_every=3)
    examples = [_example(i) for i in range(16)]
    return train(base, examples, [], declared.load()(), settings, run, progress or Progress()).model


def _example(seed: int) -> Encoded:
    from ..data.records import Record
    from ..prompts.encoding import Encoded

    ids = [1 + (seed * 7 + i * i) % 60 for i in range(12)]
    return Encoded(Record(id=str(seed), query="q", answer="a"), tuple(ids[: 8 - seed % 3]), tuple(ids[9:]))


def _parameters(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if "lora" in name}


class _Interrupting(Progress):
    """Progress that is interrupted as by a person, after some steps."""

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        yield _InterruptingBar()


class _InterruptingBar(Bar):
    def __init__(self) -> None:
        self._steps = 0

    def advance(self, by: int = 1, /, **figures: str) -> None:
        self._steps += by
        if self._steps == STOP:
            raise KeyboardInterrupt


RULES: dict[str, Callable[[Trainer], Iterable[str]]] = {
    "its settings have defaults": _defaults,
    "makes an adapter that PEFT loads to the same logits": _loads,
    "leaves the base model as it was": _frozen,
    "resumes to the same adapter": _resumes,
}
