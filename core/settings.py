"""Settings: dataclasses whose fields are checked by their types, given as values or as text (`--set name=value`)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import BadInput, unknown

Positive = Annotated[int, "positive"]
PositiveFloat = Annotated[float, "positive"]
"""The types of settings that may not be 0; no setting may be negative."""

MOST = 10**12
"""No setting counts more: what does is a slip of the hand, and would run for ever."""

KINDS = {int: "a whole number", float: "a number"}
S = TypeVar("S")


def explained(default: S, meaning: str, *, above: float | None = None, below: float | None = None) -> S:
    """A field of a settings class: its default, and one line for people, which `mdkif show` and the pages have.

    A number must be above `above` and below `below`, beside what its type says.
    """
    bounds = {word: bound for word, bound in (("above", above), ("below", below)) if bound is not None}
    return dataclasses.field(default=default, metadata={"meaning": meaning, **bounds})


@dataclass(kw_only=True)
class Settings:
    """The base of every settings object: making one with a value of another type or range raises BadInput."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for field in fields(self):
            if field.init:
                value = getattr(self, field.name)
                _check(field.name, value, hints[field.name])
                _check_bounds(field.name, value, field.metadata)


def described(cls: type[Any]) -> list[dict[str, Any]]:
    """A row for each setting of a class: name, what it may be, default and, if it was explained, what it means."""
    hints = get_type_hints(cls, include_extras=True)
    return [
        {"name": each.name, "may_be": _may_be(hints[each.name]), "default": each.default,
         "meaning": each.metadata.get("meaning", "")}
        for each in fields(cls) if each.init
    ]  # fmt: skip


def settings_from(values: Mapping[str, str], *classes: type[Any], **given: Any) -> tuple[Any, ...]:
    """One instance of each dataclass, its fields set from texts, and from `given` values which texts go before.

    A field two classes share is set in both. Raises BadInput for a name no class has, with the nearest, and for a
    text that is not of the field's type or a number outside its range.
    """
    known = {field.name for cls in classes for field in fields(cls) if field.init}
    for name in values:
        if name not in known:
            raise unknown("setting", name, known)
    made = []
    for cls in classes:
        hints = get_type_hints(cls, include_extras=True)
        own = {field.name for field in fields(cls) if field.init}
        parsed = {name: _parse(name, text, hints[name]) for name, text in values.items() if name in own}
        made.append(cls(**{name: value for name, value in given.items() if name in own} | parsed))
    return tuple(made)


def made_with(cls: type[S], **values: Any) -> S:
    """An instance of a settings class. Raises BadInput, with the nearest name, for a setting it does not have."""
    known = {field.name for field in fields(cls) if field.init}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise unknown("setting", name, known)
    return cls(**values)


def _may_be(hint: Any) -> str:
    kind, positive = _kind(hint)
    if get_origin(kind) is Literal:
        return " | ".join(map(str, get_args(kind)))
    return f"{getattr(kind, '__name__', kind)}{' > 0' * positive}"


def _parse(name: str, text: str, hint: Any) -> Any:
    kind, _ = _kind(hint)
    if get_origin(kind) is Literal:
        value: Any = text
    elif kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        value = words.get(text.lower(), text)
    else:
        try:
            value = kind(text)
        except (TypeError, ValueError):
            raise BadInput(f"The setting {name} cannot be '{text}': give {KINDS.get(kind, kind.__name__)}.") from None
    _check(name, value, hint, text)
    return value


def _check(name: str, value: Any, hint: Any, shown: str | None = None) -> None:
    """Raises BadInput if a value is not of the type and range that a field's annotation states."""
    kind, positive = _kind(hint)
    cannot = f"The setting {name} cannot be '{value if shown is None else shown}': "
    if value is None and NoneType in get_args(hint):
        return
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise BadInput(f"{cannot}use one of {', '.join(map(str, get_args(kind)))}.")
    elif kind is bool:
        if not isinstance(value, bool):
            raise BadInput(f"{cannot}use yes or no.")
    elif kind in KINDS:
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            raise BadInput(f"{cannot}give {KINDS[kind]}.")
        if not (0 < value < math.inf or (value == 0 and not positive)):
            raise BadInput(f"{cannot}give a number {'above' if positive else 'from'} 0.")
        if kind is int and value > MOST:
            raise BadInput(f"{cannot}give a whole number up to {MOST:,}.")
    elif isinstance(kind, type) and not isinstance(value, kind):
        raise BadInput(f"{cannot}give {kind.__name__}.")


def _check_bounds(name: str, value: Any, bounds: Mapping[str, Any]) -> None:
    if isinstance(value, (int, float)) and not bounds.get("above", -math.inf) < value < bounds.get("below", math.inf):
        said = [f"{word} {bounds[word]:g}" for word in ("above", "below") if word in bounds]
        raise BadInput(f"The setting {name} cannot be '{value}': give a number {' and '.join(said)}.")


def _kind(hint: Any) -> tuple[Any, bool]:
    """The type an annotation is about, without None, and whether its numbers must be above 0."""
    if get_origin(hint) in (Union, UnionType):
        [hint] = [each for each in get_args(hint) if each is not NoneType]
    if get_origin(hint) is Annotated:
        return get_args(hint)[0], True
    return hint, False
