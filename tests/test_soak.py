"""A short soak: verbs killed with SIGKILL at changes of the store lose nothing, and end as if nothing had been."""

import os
import subprocess
import sys

import pytest
from soak import soak


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    folder = tmp_path_factory.mktemp("soak") / "data"
    subprocess.run([sys.executable, "-m", "mdkif", "synth", str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(("verb", "every"), [("convert", 3), ("compose", 8)])
def test_verb_killed_at_changes_of_the_store_loses_nothing(hospital, tmp_path, verb, every):
    figures = soak([verb], hospital, tmp_path, every=every)[verb]
    assert figures["killed at a change"] >= figures["changes"] // every
