"""Working copies in a sandbox: tools that really run."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gym.sandbox import LOCAL, Box, open_sandbox
from gym.sandbox.workspace import LIMITS, Workspace

FILES = {
    "app.py": b"print(1)\n",
    "lib/two.py": b"x = 2",
    "run.sh": b"#!/bin/sh\necho hi > out.txt\n",
    ".git/HEAD": b"x",
}
PACKAGE = {
    "src/shelf.py": b"def take(n):\n    return object() if n else None\n",
    "tests/test_shelf.py": b"import shelf\n\n\ndef test_take():\n    assert shelf.take(1) == 2\n",
    "pytest.ini": b"[pytest]\naddopts = --unknown\n",
}


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with LOCAL.open(workers=1) as one:
        yield one


def test_commands_really_run_and_their_changes_stay_in_the_copy(box: Box, tmp_path: Path) -> None:
    copy = Workspace(FILES, box)
    assert ".git/HEAD" not in copy.files
    assert copy.call("bash", {"command": "python app.py"}) == ("1\n[exit status 0]", False)
    wrote = "import os; open('lib/new.txt', 'w').write('a\\nb'); os.remove('run.sh'); raise ValueError(7)"
    text, error = copy.call("bash", {"command": f'python -c "{wrote}"'})
    assert not error and text.endswith("ValueError: 7\n[exit status 1]") and 'File "<string>", line 1' in text
    assert copy.files["lib/new.txt"] == b"a\nb" and "run.sh" not in copy.files
    assert copy.call("edit", {"path": "lib/two.py", "old_str": "2", "new_str": "3\ny = 4"}) == (
        "changed lib/two.py",
        False,
    )
    assert copy.call("bash", {"command": "python -c 'from lib.two import *; print(x + y)'"})[0].startswith("7\n")
    assert copy.changed == ["lib/new.txt", "lib/two.py", "run.sh"]
    for name, content in copy.start.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    subprocess.run(["git", "apply", "-"], input=copy.patch().encode(), cwd=tmp_path, check=True)
    there = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert there == copy.files
    assert copy.state_hash() == Workspace(there, box).state_hash() != Workspace(copy.start, box).state_hash()


def test_a_shell_where_the_sandbox_has_one_and_python_alone_where_not(box: Box) -> None:
    if box.level != "fork":
        copy = Workspace(FILES, box)
        text, _ = copy.call("bash", {"command": "./run.sh && cat out.txt | tr a-z A-Z; exit 4"})
        assert text == "HI\n[exit status 4]" and copy.files["out.txt"] == b"hi\n"
        assert copy.call("bash", {"command": "python -c 'print(\"a;b\")' | tr a-z A-Z"})[0].startswith("A;B\n")
        assert copy.call("bash", {"command": "cd /workspace && cat out.txt"})[0].startswith("hi\n")
    with open_sandbox("fork", workers=1) as small:
        copy = Workspace(FILES, small)
        assert "starts no programs" in copy.call("bash", {"command": "./run.sh"})[0]
        assert copy.call("bash", {"command": "python lib/../app.py"})[0].startswith("1\n")
        assert copy.call("bash", {"command": "python -c \"print('a;b')\""})[0].startswith("a;b\n")
        assert "no other program" in copy.tools()[0]["function"]["description"]
        assert copy.call("search_dir", {"pattern": "print"})[0] == "app.py:1: print(1)"


def test_tests_run_from_the_roots_and_equal_runs_give_equal_texts(box: Box) -> None:
    alone = {"PYTEST_ADDOPTS": "-p no:cacheprovider -o addopts=", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    runs = []
    for command in ("python -m pytest -q tests", "python -m pytest -q tests | tail -n 2", "python -m pytest tests"):
        if box.level != "fork" or "|" not in command:
            copies = [Workspace(PACKAGE, box, roots=("src",), environment=alone) for _ in range(2)]
            runs.append([copy.bash(command) for copy in copies])
            assert runs[-1][0] == runs[-1][1], command
            assert "object at 0x7f0000000000" in runs[-1][0] and "1 failed in 0.01s" in runs[-1][0], runs[-1][0]
            assert not copies[0].changed


def test_search_finds_lines_by_pattern_within_bounds(box: Box) -> None:
    copy = Workspace(PACKAGE | {"long.py": b"x = 1\n" * 50, "wide.py": b"y = '" + b"q" * 900 + b"'\n"}, box)
    assert copy.call("search_dir", {"pattern": r"def \w+take"}) == ("tests/test_shelf.py:4: def test_take():", False)
    found, _ = copy.call("search_dir", {"pattern": "take", "path": "/workspace/src/"})
    assert found == "src/shelf.py:1: def take(n):"
    assert copy.call("search_dir", {"pattern": "x = ", "path": "long.py"})[0].splitlines()[-1] == "[10 more]"
    assert len(copy.call("search_dir", {"pattern": "q", "path": "wide.py"})[0]) < 200
    assert copy.call("search_dir", {"pattern": "nowhere"}) == ("no line matches", False)
    copy.files["slow.txt"] = b"a" * 60
    for arguments, wanted in (
        ({"pattern": "("}, "error: invalid pattern: missing )"),
        ({"pattern": "x", "path": "src/none"}, "error: no file or folder src/none"),
        ({"pattern": "(a+)+b", "path": "slow.txt"}, "error: the search was stopped: cpu limit"),
    ):
        text, error = copy.call("search_dir", arguments)
        assert error and text.startswith(wanted), text


def test_what_a_caller_does_wrong_is_told_and_a_command_that_hangs_is_ended(box: Box) -> None:
    copy = Workspace(FILES, box, limits=replace(LIMITS, wall_s=6.0))
    for name, arguments, wanted in (
        ("sed", {}, "unknown tool"),
        ("edit", {"path": "app.py"}, "invalid arguments"),
        ("edit", {"path": "app.py", "old_str": "zzz", "new_str": ""}, "occurs 0 times"),
        ("edit", {"path": "app.py", "old_str": "", "new_str": ""}, "there already"),
        ("edit", {"path": "../x", "old_str": "", "new_str": ""}, "can't write"),
        ("view", {"path": "nothing"}, "no file"),
        ("view", {"path": "app.py", "start": 9}, "has 1 lines"),
    ):
        text, error = copy.call(name, arguments)
        assert error and wanted in text, (name, arguments, text)
    assert copy.call("view", {"path": "/workspace/app.py"}) == ("1\tprint(1)", False)
    assert copy.call("view", {"path": "."})[0].splitlines() == ["app.py", "lib/two.py", "run.sh"]
    text, _ = copy.call("bash", {"command": "python -c 'import time; print(5, flush=True); time.sleep(60)'"})
    assert text.startswith("5\n") and "timed out" in text
    assert copy.files == copy.start
