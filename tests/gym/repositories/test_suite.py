from dataclasses import replace

import pytest

from gym.repositories.project import Project
from gym.repositories.suite import LIMITS, run_suite
from gym.sandbox import Box, Limits, SandboxError

_TESTS = b"""
import os
import sys
import unittest
import pytest

def test_passes():
    assert os.environ["COLOUR"] == "red"

def test_fails():
    first = [1, 2]
    assert first == [1, 3], object()

@pytest.mark.skip(reason="later")
def test_skipped():
    pass

@pytest.mark.xfail
def test_known():
    assert False

@pytest.fixture
def broken():
    raise OSError("no fixture")

@pytest.fixture
def leaves():
    yield
    raise OSError("left")

def test_set_up(broken):
    pass

def test_torn_down(leaves):
    pass

@pytest.mark.parametrize("text", ["a b", "caf\\u00e9", "x::y", "a/b"])
def test_each(text):
    assert text

class TestKind:
    def test_in_class(self):
        assert hash("a") == hash("a")

class Old(unittest.TestCase):
    def test_parts(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertLess(number, 2)

def test_place(tmp_path):
    (tmp_path / "a").write_text("x")
    assert not tmp_path.is_relative_to(os.getcwd())
    places = [path for path in sys.path if path.startswith(os.getcwd()) and not path.endswith("tests")]
    assert [os.path.relpath(path) for path in places] == ["src", "."]
    assert not os.path.exists("src/__pycache__")

def test_hash():
    assert repr({"a", "b", "c", "d", "e"}) == os.environ.get("SEEN", repr({"a", "b", "c", "d", "e"}))
"""


WRITES = """import os
for fd in range(3, 64):
    try:
        os.write(fd, b'''{}\\n''')
    except OSError:
        pass"""


def _project(files: dict[str, bytes], **changes: object) -> Project:
    base = Project(
        "made",
        "1",
        {"src/made.py": b"X = 1\n", **files},
        ("src", ""),
        ("src/made.py",),
        ("tests",),
        environment={"COLOUR": "red"},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_outcomes(box: Box) -> None:
    project = _project({"tests/test_a.py": _TESTS, "tests/test_no.py": b"import nothing\n"})
    run = run_suite(box, project, project.files, texts=True)
    assert run.ended, run.detail
    told = {node.removeprefix("tests/test_a.py::"): outcome for node, outcome in run.outcomes.items()}
    assert told == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skipped": "skipped",
        "test_known": "skipped",
        "test_set_up": "error",
        "test_torn_down": "error",
        "test_each[a b]": "passed",
        "test_each[caf\\xe9]": "passed",
        "test_each[x::y]": "passed",
        "test_each[a/b]": "passed",
        "TestKind::test_in_class": "passed",
        "Old::test_parts": "failed",
        "test_place": "passed",
        "test_hash": "passed",
        "tests/test_no.py": "error",
    }
    assert set(run.seconds) == set(run.outcomes)
    assert "assert [1, 2] == [1, 3]" in run.texts["tests/test_a.py::test_fails"]
    assert "No module named 'nothing'" in run.texts["tests/test_no.py"]
    assert "tests/test_a.py::test_passes" not in run.texts
    again = run_suite(box, project, project.files, texts=True)
    assert (again.outcomes, again.texts) == (run.outcomes, run.texts)
    assert not run_suite(box, project, project.files).texts


def test_chosen_tests(box: Box) -> None:
    project = _project(
        {"tests/test_a.py": _TESTS, "tests/test_b.py": b"def test_b(): pass\n", "tests/test_no.py": b"(\n"}
    )

    def names(*tests: str) -> list[str]:
        return sorted(run_suite(box, project, project.files, tests).outcomes)

    file = "tests/test_a.py"
    assert names(f"{file}::test_each[x::y]", f"{file}::test_passes") == [
        f"{file}::test_each[x::y]",
        f"{file}::test_passes",
    ]
    assert names(f"{file}::test_each[a/b]", "tests/none.py::test_gone") == [f"{file}::test_each[a/b]"]
    assert len(names(f"{file}::test_each")) == 4
    assert names(f"{file}::TestKind", "tests/test_b.py") == [
        f"{file}::TestKind::test_in_class",
        "tests/test_b.py::test_b",
    ]
    assert names("tests/test_no.py::test_x", "tests/test_b.py::test_b") == [
        "tests/test_b.py::test_b",
        "tests/test_no.py",
    ]
    run = run_suite(box, project, project.files, ["tests/none.py::test_gone"])
    assert (run.outcomes, run.ended, run.detail) == ({}, False, "no tests at tests/none.py")


def test_settings_of_the_project(box: Box) -> None:
    project = _project(
        {
            "tests/test_a.py": b"import pytest\n@pytest.mark.odd\ndef test_a(): pass\ndef test_b(): pass\n",
            "tests/test_slow.py": b"def test_c(): pass\n",
            "pytest.ini": b"[pytest]\naddopts = --no-such-option\nmarkers = odd\n",
        },
        options=("-m", "not odd", "--ignore=tests/test_slow.py"),
    )
    assert list(run_suite(box, project, project.files).outcomes) == ["tests/test_a.py::test_b"]


def test_files_stand_in_for_the_project(box: Box) -> None:
    project = _project({"tests/test_a.py": b"import made\ndef test_a(): assert made.X == 1\n"})
    changed = {**project.files, "src/made.py": b"X = 2\n"}
    assert list(run_suite(box, project, project.files).outcomes.values()) == ["passed"]
    assert list(run_suite(box, project, changed).outcomes.values()) == ["failed"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("import os\n    os._exit(0)", "ended with status 0 before its end"),
        ("import os\n    os._exit(3)", "ended with status 3 before its end"),
        ("import os, signal\n    os.kill(os.getpid(), 9)", "ended with status -9"),
        (WRITES.replace("\n", "\n    ").format("x"), "lines that the runner did not"),
        ("import os\n    os.closerange(3, 64)", "before its end"),
        ("import pytest\n    pytest.exit('enough', 0)", "pytest ended before 1 of the tests"),
        ("raise KeyboardInterrupt", "pytest ended before 1 of the tests"),
    ],
)  # fmt: skip
def test_a_run_that_comes_to_no_end_says_so(box: Box, body: str, detail: str) -> None:
    project = _project({"tests/test_a.py": f"def test_first(): pass\ndef test_a():\n    {body}\n".encode()})
    run = run_suite(box, project, project.files)
    assert not run.ended
    assert any(part in run.detail for part in detail.split("|")), run.detail
    assert run.outcomes.get("tests/test_a.py::test_a") != "passed" or "lines" in detail


def test_records_without_the_word_count_for_nothing(box: Box) -> None:
    forged = '{"id": "tests/test_a.py::test_b", "outcome": "passed", "seconds": 0.0, "text": ""}'
    body = WRITES.format(f"{'0' * 32} {forged}\\n{forged}\\n")
    project = _project({"tests/test_a.py": f"{body}\ndef test_b(): assert False\n".encode()})
    run = run_suite(box, project, project.files)
    assert dict(run.outcomes) == {"tests/test_a.py::test_b": "failed"}
    assert not run.ended


def test_limits(box: Box) -> None:
    project = _project({"tests/test_a.py": b"def test_first(): pass\ndef test_a():\n    while True: pass\n"})
    run = run_suite(box, project, project.files, limits=Limits(cpu_s=1.0, wall_s=30.0, memory_mb=512))
    assert (dict(run.outcomes), run.ended, run.timed_out) == ({"tests/test_a.py::test_first": "passed"}, False, False)
    assert run.cpu_s > 0.5
    run = run_suite(box, project, project.files, limits=replace(LIMITS, wall_s=1.0))
    assert (run.ended, run.timed_out) == (False, True)
    with pytest.raises(SandboxError):
        run_suite(box, project, project.files, limits=replace(LIMITS, file_mb=-1))


def test_many_tests(box: Box) -> None:
    """More records than a job's usual output holds."""
    source = b"""
import pytest
@pytest.mark.parametrize("n", range(1500))
def test_of_a_rather_long_name(n):
    assert n != 7, "x" * 3000
"""
    project = _project({"tests/test_a.py": source})
    run = run_suite(box, project, project.files)
    assert run.ended, run.detail
    assert len(run.outcomes) == 1500
    assert [node for node, outcome in run.outcomes.items() if outcome == "failed"] == [
        "tests/test_a.py::test_of_a_rather_long_name[7]"
    ]
