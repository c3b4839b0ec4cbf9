"""Stage I: our loop with the trainer `adalora` beside transformers' Trainer with PEFT's AdaLoRA."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from mdkif import Base, Encoded, Progress, TrainSettings, TuningMethod, train
from mdkif import Trainer as Declared
from peft import AdaLoraConfig, get_peft_model

from .material import ANSWER, Bench, encoded, random_ids
from .timing import Row, agree, alternately, at_least, row

STEPS, BATCH, SHORTEST, LONGEST = 6, 8, 24, 56
COURSE = 0.05


def training(bench: Bench) -> Row:
    """Tokens per second of both loops, from the first step to the last; the curves of their losses must agree.

    Both learn from the same eight records at every step, from the same factors and by the same schedules.
    From the first cut of ranks on, rounding decides which of nearly equal singular values goes, and the curves
    agree in their course only.
    """
    work = _Work(bench)
    _, ours = work.ours()
    _, peer = work.peer(curve=True)
    uncut = round(work.method().warmup_share * STEPS) + 1
    agree("transformers' Trainer", torch.tensor(ours[:uncut]), torch.tensor(peer[:uncut]), 10 * bench.tolerance)
    agree("the course of transformers' Trainer", torch.tensor(ours), torch.tensor(peer), COURSE)
    costs = alternately(lambda: work.ours()[0], lambda: work.peer()[0], bench.repeats)
    name = "stage I with AdaLoRA / transformers' Trainer with PEFT's"
    return row(name, costs, at_least(1.3), "tokens/s", STEPS * sum(map(len, work.examples)))


class _Work:
    """The same training for both; each run returns the seconds of its loop and the loss of each step."""

    def __init__(self, bench: Bench) -> None:
        self.base, self.examples = bench.base, examples(bench.base)
        self._trainer = bench.kit.plugins.get(Declared, "adalora").load()
        self._copy = deepcopy(self.base.model)
        self._factors = {n: p.detach().clone() for n, p in self._adapted().named_parameters() if "lora_" in n}
        self._copy = deepcopy(self.base.model)

    def ours(self) -> tuple[float, list[float]]:
        loop = _Loop()
        settings = TrainSettings(steps=STEPS, batch_size=BATCH, warmup=0.0)
        with TemporaryDirectory() as folder:
            trained = train(self.base, self.examples, [], self.method(), settings, Path(folder), loop)
        trained.model.unload()
        return loop.seconds, trained.losses

    def peer(self, curve: bool = False) -> tuple[float, list[float]]:
        """With `curve` the loss is logged at every step, and the penalty that PEFT adds to it taken away."""
        method: Any = self.method()
        config = AdaLoraConfig(
            init_r=method.init_rank,
            target_r=method.target_rank,
            lora_alpha=method.alpha,
            lora_dropout=method.dropout,
            orth_reg_weight=method.orthogonality,
            tinit=round(method.warmup_share * STEPS),
            tfinal=round(method.final_share * STEPS),
            deltaT=1,
            total_step=STEPS,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        model: Any = get_peft_model(self._copy, config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in self._factors:
                    parameter.copy_(self._factors[name])
        watch = _Watch(method, curve)
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad], lr=method.learning_rate, weight_decay=0.0, fused=True
        )
        with TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                output_dir=folder,
                max_steps=STEPS,
                per_device_train_batch_size=BATCH,
                max_grad_norm=1.0,
                logging_strategy="steps" if curve else "no",
                logging_steps=1,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                remove_unused_columns=False,
                use_cpu=self.base.model.device.type == "cpu",
            )
            trainer = transformers.Trainer(
                model,
                arguments,
                data_collator=lambda rows: padded(rows, self.base.pad),
                train_dataset=[{"ids": e.prompt + e.answer} for e in self.examples],  # type: ignore[arg-type]
                callbacks=[watch],
                optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)),
            )
            trainer.remove_callback(transformers.PrinterCallback)
            trainer.train()
        model.unload()
        return watch.seconds, watch.losses

    def method(self) -> TuningMethod:
        """The trainer as it comes, but for dropout, whose masks depend on the padding."""
        made: TuningMethod = self._trainer(dropout=0.0)
        return made

    def _adapted(self) -> Any:
        """The factors that our loop starts from, drawn as it draws them."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(TrainSettings().seed)
            return self.method().attach(self._copy, STEPS, lambda: torch.zeros(()))


class _Loop(Progress):
    """The seconds of the loop that shows its progress here."""

    seconds = 0.0

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Any]:
        started = time.perf_counter()
        with super().task(title, total, done) as bar:
            yield bar
        self.seconds = time.perf_counter() - started


class _Watch(transformers.TrainerCallback):
    """What PEFT's documentation asks of its users, and the seconds of the loop."""

    def __init__(self, method: TuningMethod, curve: bool) -> None:
        self._method, self._curve = method, curve
        self._penalty = self._started = self.seconds = 0.0
        self.losses: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._started = time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.seconds = time.perf_counter() - self._started

    def on_step_begin(self, *_: Any, model: Any = None, **__: Any) -> None:
        if self._curve:
            penalty = self._method.penalty(model)
            self._penalty = 0.0 if penalty is None else penalty.item()

    def on_optimizer_step(self, arguments: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        model.base_model.update_and_allocate(state.global_step + 1)

    def on_log(self, *_: Any, logs: Mapping[str, float] | None = None, **__: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(logs["loss"] - self._penalty)


def examples(base: Base) -> list[Encoded]:
    """As many records as a step takes, of different lengths."""
    step = (LONGEST - SHORTEST) // (BATCH - 1)
    ids = random_ids(base, BATCH, LONGEST).tolist()
    return [encoded(base, each[: SHORTEST + step * i]) for i, each in enumerate(ids)]


def padded(records: Sequence[Mapping[str, Sequence[int]]], pad: int) -> dict[str, torch.Tensor]:
    """A batch as Trainer's users make it: padded on the right, labels only where the answer is."""
    shape = (len(records), max(len(record["ids"]) for record in records))
    ids, labels, mask = torch.full(shape, pad), torch.full(shape, -100), torch.zeros(shape, dtype=torch.long)
    for i, record in enumerate(records):
        size = len(record["ids"])
        ids[i, :size], mask[i, :size] = torch.tensor(record["ids"]), 1
        labels[i, size - ANSWER : size] = ids[i, size - ANSWER : size]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def rate(step: int) -> float:
    """Our loop's learning rate without a rise: a cosine that falls to a tenth."""
    return 0.1 + 0.9 * (1 + math.cos(math.pi * max(0, step - 1) / (STEPS - 1))) / 2
