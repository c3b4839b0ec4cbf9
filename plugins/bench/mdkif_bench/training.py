"""Stage I: our loop beside transformers' Trainer with PEFT's layers, and beside what any training must compute."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from mdkif import Progress, TrainSettings, TuningMethod, train
from mdkif import Trainer as Declared

from .material import ANSWER, Bench, forward_and_backward, random_rows
from .timing import Row, agree, alternately, at_least, at_most, row, seconds

STEPS, BATCH, LENGTH = 4, 16, 60
COURSE = 0.05
GOALS = {"adalora": (2.5, 1.6), "lora": (2.5, 1.5)}  # in half precision, and else
FEW = 3  # times a training is measured at most


def adalora(bench: Bench) -> Row:
    """Tokens per second of both loops with AdaLoRA."""
    return _beside_trainer(bench, "adalora", "AdaLoRA")


def lora(bench: Bench) -> Row:
    """Tokens per second of both loops with LoRA."""
    return _beside_trainer(bench, "lora", "LoRA")


def _beside_trainer(bench: Bench, trainer: str, title: str) -> Row:
    """Tokens per second from step to step, with each trainer's own settings; the curves of the losses must agree.

    Both learn from the same records at every step, from the same factors and by the same schedules. The curves are
    compared without dropout, whose masks are not the same. From the first cut of ranks on, rounding decides which
    of nearly equal singular values goes, and the curves agree in their course only.
    """
    if bench.repeats:
        still = Work(bench, trainer, dropout=0.0)
        _, ours = still.ours()
        _, peer = still.peer(curve=True)
        uncut = round(getattr(still.method(), "warmup_share", 1) * STEPS) + 1
        agree("transformers' Trainer", torch.tensor(ours[:uncut]), torch.tensor(peer[:uncut]), 10 * bench.tolerance)
        agree("the course of transformers' Trainer", torch.tensor(ours), torch.tensor(peer), COURSE)
    work = Work(bench, trainer)
    costs = alternately(lambda: work.ours()[0], lambda: work.peer()[0], min(bench.repeats, FEW))
    name = f"stage I with {title} / transformers' Trainer with PEFT's"
    return row(name, costs, at_least(GOALS[trainer][not bench.half]), "tokens/s", BATCH * LENGTH)


def step(bench: Bench) -> Row:
    """A step of stage I with AdaLoRA beside the base's forward and its backward to the activations, on its tokens."""
    work = Work(bench, "adalora")
    plain = forward_and_backward(bench.base, work.examples)

    def peer() -> float:
        return min(seconds(plain) for _ in range(STEPS - 1))

    plain()
    costs = alternately(lambda: work.ours(min)[0], peer, min(bench.repeats, FEW))
    return row("a step of stage I / forward and backward of the base", costs, at_most(1.35))


class Work:
    """The same training for both; each run returns the seconds of a step, the first left out, and every step's loss."""

    def __init__(self, bench: Bench, trainer: str, **chosen: Any) -> None:
        self.base, self.examples = bench.base, random_rows(bench.base, BATCH, LENGTH)
        self._chosen = chosen
        self._trainer = bench.kit.plugins.get(Declared, trainer).load()

    def ours(self, average: Callable[[Sequence[float]], float] = median) -> tuple[float, list[float]]:
        """By `mdkif.train`."""
        loop = _Loop()
        settings = TrainSettings(steps=STEPS, batch_size=BATCH, warmup=0.0)
        with TemporaryDirectory() as folder:
            trained = train(self.base, self.examples, [], self.method(), settings, Path(folder), loop)
        trained.model.unload()
        return average(loop.steps()), trained.losses

    def peer(self, curve: bool = False) -> tuple[float, list[float]]:
        """By transformers' Trainer. With `curve` every loss is logged, and the penalty that PEFT adds taken away."""
        method: Any = self.method()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(TrainSettings().seed)  # as our loop draws the factors
            model: Any = method.attach(self._copy, STEPS, lambda: torch.zeros(()))
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
                train_dataset=[{"ids": e.prompt + e.answer} for e in self.examples],
                callbacks=[watch],
                optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)),
            )
            trainer.remove_callback(transformers.PrinterCallback)
            trainer.train()
        model.unload()
        return median(watch.steps()), watch.losses

    def method(self) -> TuningMethod:
        """The trainer as it comes, but for what was chosen."""
        made: TuningMethod = self._trainer(**self._chosen)
        return made

    def share(self) -> None:
        """Let Trainer have the base itself; nothing else may need it any more."""
        self._copy = self.base.model

    @cached_property
    def _copy(self) -> Any:
        """A base of its own for Trainer, which leaves traces on it."""
        return deepcopy(self.base.model)


class _Times:
    """When each step was done."""

    def __init__(self) -> None:
        self._moments: list[float] = []

    def tick(self) -> None:
        self._moments.append(time.perf_counter())

    def steps(self) -> list[float]:
        """The seconds of every step but the first."""
        return [after - before for before, after in zip(self._moments, self._moments[1:], strict=False)]


class _Loop(Progress, _Times):
    """Our loop's steps, from the progress it shows."""

    def __init__(self) -> None:
        _Times.__init__(self)

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Any]:
        with super().task(title, total, done) as bar:
            advance = bar.advance

            def noted(*steps: int, **figures: str) -> None:
                advance(*steps, **figures)
                self.tick()

            bar.advance = noted  # type: ignore[method-assign]
            yield bar


class _Watch(transformers.TrainerCallback, _Times):
    """What PEFT's documentation asks of its users, and Trainer's steps."""

    def __init__(self, method: TuningMethod, curve: bool) -> None:
        _Times.__init__(self)
        self._method, self._curve = method, curve
        self._penalty = 0.0
        self.losses: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.tick()

    def on_step_begin(self, *_: Any, model: Any = None, **__: Any) -> None:
        if self._curve:
            penalty = self._method.penalty(model)
            self._penalty = 0.0 if penalty is None else penalty.item()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if hasattr(model.base_model, "update_and_allocate"):
            model.base_model.update_and_allocate(state.global_step + 1)

    def on_log(self, *_: Any, logs: Mapping[str, float] | None = None, **__: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(logs["loss"] - self._penalty)


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
