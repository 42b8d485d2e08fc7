import importlib
import subprocess
import sys

import pytest

from flows.cli import COMMANDS, usage
from flows.doctor import examine
from tests.conftest import ROOT


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_main_and_help(name: str) -> None:
    module, text = COMMANDS[name]
    assert callable(importlib.import_module(module).main)
    assert f"k2 {name}" in usage()
    assert text


def test_an_unknown_command_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "trane"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("k2: no command 'trane'")


def test_the_doctor_says_what_a_missing_thing_disables(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {finding.what: finding for finding in examine()}
    assert found["python"].good
    assert found["sandbox fork"].good
    monkeypatch.setenv("PATH", "/nowhere")
    bare = {finding.what: finding for finding in examine()}
    assert not bare["compiler"].good
    assert "plain torch" in bare["compiler"].said
