"""The program that runs a command inside a sandbox: nothing that the command wrote is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

BUSY = """
import runpy, select, sys, time
real = select.select
def slow(*arguments):
    found = real(*arguments)
    if not found[0] and arguments[3]:
        time.sleep(0.3)  # the command writes and ends before it is asked whether it has
    return found
select.select = slow
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@pytest.mark.parametrize(
    ("command", "status", "output"),
    [
        ("sleep 0.1; echo late; exit 3", 3, "late\n"),
        ("sleep 0.1; seq 9000", 0, "".join(f"{number}\n" for number in range(1, 9001))),
        ("sleep 0.1; (sleep 60; echo never) & echo now", 0, "now\n"),
    ],
)
def test_what_is_written_between_the_last_look_and_the_end_is_read(
    tmp_path: Path, command: str, status: int, output: str
) -> None:
    program = ROOT / "gym" / "sandbox" / "inside.py"
    asked = [sys.executable, "-c", BUSY, str(program), command, "20", "100000", "1"]
    subprocess.run(asked, cwd=tmp_path, check=True, timeout=30)
    saved = json.loads((tmp_path / ".workspace.json").read_text(encoding="utf-8"))
    assert (saved["status"], saved["output"]) == (status, output)
