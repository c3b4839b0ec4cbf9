"""The numbers a base model is loaded in: the option, then the environment, then what the processor multiplies."""

import json

import pytest
import torch
from mdkif import BadInput, Toolkit
from mdkif.cli import main
from mdkif.core.console.app import run
from mdkif.core.console.doctor import examine
from mdkif.core.models.devices import DTYPES, choose_dtype

CPU = torch.device("cpu")


@pytest.fixture(params=[True, False], ids=["with bfloat16", "without bfloat16"])
def native(request, monkeypatch):
    """Whether this processor is to have bfloat16 instructions."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: request.param)
    return request.param


@pytest.mark.parametrize("given", [None, "", "auto"])
def test_auto_is_what_the_processor_multiplies(native, given, monkeypatch):
    monkeypatch.setenv("MDKIF_DTYPE", given) if given is not None else monkeypatch.delenv("MDKIF_DTYPE", raising=False)
    expected = torch.bfloat16 if native else torch.float32
    assert choose_dtype(None, CPU) == choose_dtype("auto", CPU) == expected


@pytest.mark.parametrize("named", DTYPES)
def test_option_goes_before_environment_and_environment_before_processor(native, named, monkeypatch):
    monkeypatch.setenv("MDKIF_DTYPE", named)
    assert choose_dtype(None, CPU) == getattr(torch, named)
    assert choose_dtype("float32", CPU) == torch.float32
    assert choose_dtype("auto", CPU) == (torch.bfloat16 if native else torch.float32)


def test_toolkit_loads_the_base_in_the_dtype_of_the_environment(tiny, plugins, monkeypatch):
    monkeypatch.setenv("MDKIF_DTYPE", "float16")
    assert Toolkit(tiny.parent, str(tiny), plugins=plugins).workspace.base.model.dtype == torch.float16
    named = Toolkit(tiny.parent, str(tiny), plugins=plugins, dtype="bfloat16")
    assert named.workspace.base.model.dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["int8", "nn", "spam"])
def test_dtype_that_is_none_is_refused_with_the_place_it_came_from(name, monkeypatch, tmp_path, capsys):
    with pytest.raises(BadInput, match=f"^There is no dtype '{name}' for --dtype: use auto, float32, .* or float16"):
        choose_dtype(name, CPU)
    monkeypatch.setenv("MDKIF_DTYPE", name)
    with pytest.raises(BadInput, match=rf"'{name}' for \$MDKIF_DTYPE"):
        choose_dtype(None, CPU)
    assert run(main, ["--store", str(tmp_path), "doctor", "--json"]) == 1
    line = next(line for line in json.loads(capsys.readouterr().out) if line["what"] == "device")
    assert "$MDKIF_DTYPE" in line["remedy"]


def test_doctor_shows_the_dtype_and_who_chose_it(native, monkeypatch, tmp_path):
    def shown():
        return next(line.found for line in examine(Toolkit(tmp_path, device="cpu").workspace) if line.what == "device")

    monkeypatch.delenv("MDKIF_DTYPE", raising=False)
    assert shown() == ("cpu, bfloat16" if native else "cpu, float32")
    monkeypatch.setenv("MDKIF_DTYPE", "float16")
    assert shown() == "cpu, float16 by MDKIF_DTYPE"
