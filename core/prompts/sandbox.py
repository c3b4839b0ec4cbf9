"""Where templates run: Jinja's sandbox, with bounds on time and size, and with files of its own folders alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS, LONGEST, LARGEST = 5.0, 1 << 24, 1 << 20
"""Bounds of one rendering, in seconds and characters, and of a template's file, in bytes."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Strict templates that reach nothing outside, and end.

    Time is looked at in every turn of a loop, at every call and for every piece of text; what a single filter does
    between two of these is bounded by `range` and by how large its arguments can be.
    """

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(
            loader=_Folders(folders), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self.filters["_in_time"] = self._in_time
        self._deadline = math.inf

    def text(self, template: jinja2.Template, values: Mapping[str, Any]) -> str:
        """What a template writes. Raises TimeoutError or OverflowError beyond the bounds, and what it raises."""
        self._deadline, parts, length = time.monotonic() + SECONDS, [], 0
        for part in template.generate(values):
            self._check()
            length += len(part)
            if length > LONGEST:
                raise OverflowError(f"it writes more than {LONGEST} characters")
            parts.append(part)
        return "".join(parts)

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call something from a template."""
        self._check()
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """A product or power, unless it is too large to be meant."""
        sizes = [len(each) if hasattr(each, "__len__") else abs(each) for each in (left, right)]
        if (operator == "**" and max(sizes) > 1000) or (operator == "*" and sizes[0] * sizes[1] > LONGEST):
            raise OverflowError("it computes something too large")
        return super().call_binop(context, operator, left, right)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        for loop in list(source.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "_in_time", [], [], None, None)
        return super()._generate(source, *args, **kwargs)

    def _in_time(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._check()
            yield value

    def _check(self) -> None:
        if time.monotonic() > self._deadline:
            raise TimeoutError(f"it takes longer than {SECONDS:g} s")


class _Folders(jinja2.FileSystemLoader):
    """Files of some folders; one that a link leads to from outside of them, or that is no text, is no template."""

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        try:
            text, name, current = super().get_source(environment, template)
        except UnicodeDecodeError:
            raise jinja2.TemplateSyntaxError("it is no text in UTF-8", 1, template, template) from None
        file = Path(name).resolve()
        if not any(file.is_relative_to(Path(folder).resolve()) for folder in self.searchpath):
            raise jinja2.TemplateNotFound(template, f"'{template}' is a link to what is no template of ours")
        if len(text) > LARGEST:
            raise jinja2.TemplateSyntaxError(f"it has more than {LARGEST} characters", 1, template, name)
        return text, name, current
