"""Settings given as text: their types, their ranges, and the nearest name for one nobody has."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdkif import BadInput
from mdkif.core.settings import Positive, PositiveFloat, settings_from


@dataclass(kw_only=True)
class Loop:
    steps: int = 0
    batch_size: Positive = 16
    rate: float = 0.1
    temperature: PositiveFloat = 1.0
    seed: int = 0


@dataclass(kw_only=True)
class Way:
    start: Literal["lora", "peft"] = "lora"
    bias: bool = False
    name: str = ""
    seed: int = 0
    made: int = field(default=7, init=False)


def test_settings_without_values_are_the_defaults():
    assert settings_from({}, Loop, Way) == (Loop(), Way())


def test_settings_text_becomes_the_type_of_the_field():
    values = {"steps": "12", "rate": "3e-4", "start": "peft", "bias": "yes", "name": "x", "temperature": "0.5"}
    loop, way = settings_from(values, Loop, Way)
    assert loop == Loop(steps=12, rate=3e-4, temperature=0.5)
    assert way == Way(start="peft", bias=True, name="x")


def test_settings_field_two_classes_share_is_set_in_both():
    loop, way = settings_from({"seed": "5"}, Loop, Way)
    assert (loop.seed, way.seed) == (5, 5)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("No", False), ("1", True), ("0", False), ("YES", True)])
def test_settings_yes_and_no_are_read_in_any_usual_way(text, value):
    assert settings_from({"bias": text}, Way)[0].bias is value


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("batch_sise", "3", "There is no setting named 'batch_sise': did you mean 'batch_size'?"),
        ("made", "3", "There is no setting named 'made': did you mean 'rate'?"),
        ("steps", "3.5", "The setting steps cannot be '3.5': give a whole number."),
        ("rate", "fast", "The setting rate cannot be 'fast': give a number."),
        ("rate", "inf", "The setting rate cannot be 'inf': give a number from 0."),
        ("rate", "nan", "The setting rate cannot be 'nan': give a number from 0."),
        ("steps", "-1", "The setting steps cannot be '-1': give a number from 0."),
        ("batch_size", "0", "The setting batch_size cannot be '0': give a number above 0."),
        ("temperature", "0", "The setting temperature cannot be '0': give a number above 0."),
        ("temperature", "warm", "The setting temperature cannot be 'warm': give a number."),
        ("start", "loraa", "The setting start cannot be 'loraa': use one of lora, peft."),
        ("bias", "perhaps", "The setting bias cannot be 'perhaps': use yes or no."),
    ],
)
def test_settings_that_are_wrong_are_a_sentence(name, text, sentence):
    with pytest.raises(BadInput) as error:
        settings_from({name: text}, Loop, Way)
    assert str(error.value) == sentence


@given(st.integers(0, 10**9), st.floats(0, 1e9))
def test_settings_numbers_survive_as_text(steps, rate):
    [loop] = settings_from({"steps": str(steps), "rate": repr(rate)}, Loop)
    assert (loop.steps, loop.rate) == (steps, rate)


@given(st.text(max_size=20))
def test_settings_take_a_number_in_range_from_any_text_or_refuse_it(text):
    try:
        [loop] = settings_from({"batch_size": text, "rate": text}, Loop)
    except BadInput:
        return
    assert loop.batch_size >= 1
    assert 0 <= loop.rate < float("inf")
