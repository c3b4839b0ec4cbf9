"""Settings given as text (`--set name=value`) turned into the typed fields of dataclasses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from .errors import BadInput, unknown

Positive = Annotated[int, "positive"]
PositiveFloat = Annotated[float, "positive"]
"""The types of settings that may not be 0; no setting may be negative."""


KINDS = {int: "a whole number", float: "a number"}


def settings_from(values: Mapping[str, str], *classes: type[Any]) -> tuple[Any, ...]:
    """One instance of each dataclass, its fields set from `values`; a field two classes share is set in both.

    Raises BadInput for a name no class has, with the nearest, and for text that is not of the field's type or
    a number outside its range.
    """
    known = {field.name for cls in classes for field in fields(cls) if field.init}
    for name in values:
        if name not in known:
            raise unknown("setting", name, known)
    made = []
    for cls in classes:
        hints = get_type_hints(cls, include_extras=True)
        names = [field.name for field in fields(cls) if field.init and field.name in values]
        made.append(cls(**{name: _parse(name, values[name], hints[name]) for name in names}))
    return tuple(made)


def _parse(name: str, text: str, hint: Any) -> Any:
    if get_origin(hint) is Literal:
        if text in get_args(hint):
            return text
        raise BadInput(f"The setting {name} cannot be '{text}': use one of {', '.join(map(str, get_args(hint)))}.")
    if hint is bool:
        if text.lower() in ("true", "yes", "1", "false", "no", "0"):
            return text.lower() in ("true", "yes", "1")
        raise BadInput(f"The setting {name} cannot be '{text}': use yes or no.")
    positive = get_origin(hint) is Annotated
    kind = get_args(hint)[0] if positive else hint
    try:
        value = kind(text)
    except (TypeError, ValueError):
        raise BadInput(f"The setting {name} cannot be '{text}': give {KINDS.get(kind, kind.__name__)}.") from None
    if kind in KINDS and not (0 < value < math.inf or (value == 0 and not positive)):
        raise BadInput(f"The setting {name} cannot be '{text}': give a number {'above' if positive else 'from'} 0.")
    return value
