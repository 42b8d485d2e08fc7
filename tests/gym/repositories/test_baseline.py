from dataclasses import replace
from pathlib import Path

import pytest

from gym.repositories import baseline as baseline_module
from gym.repositories.archives import fetch, read_archive
from gym.repositories.baseline import Baseline, measure_baseline, reliable
from gym.repositories.errors import RepositoryError
from gym.repositories.libraries import library
from gym.repositories.packages import read_packages, tool
from gym.repositories.project import Project
from gym.repositories.suite import SuiteRun
from gym.sandbox import Box


def run(seconds: float = 0.1, **outcomes: str) -> SuiteRun:
    return SuiteRun(outcomes, dict.fromkeys(outcomes, seconds), True, 1.0)


def test_only_what_passes_each_time_counts() -> None:
    runs = [
        run(
            good="passed",
            bad="failed",
            broken="error",
            left="skipped",
            some="passed",
            sometimes="skipped",
            at1="passed",
        ),
        run(
            good="passed", bad="failed", broken="error", left="skipped", some="failed", sometimes="passed", at2="passed"
        ),
        run(
            good="passed",
            bad="failed",
            broken="failed",
            left="skipped",
            some="passed",
            sometimes="passed",
            at3="passed",
        ),
    ]
    seconds, left_out = reliable(runs)
    assert seconds == {"good": 0.1}
    assert left_out == {"changing id": 1, "failed": 2, "flaky": 2, "skipped": 1}


def test_a_test_is_slow_when_it_is_slow_each_time() -> None:
    runs = [
        SuiteRun({"busy": "passed", "slow": "passed"}, {"busy": busy, "slow": slow}, True, 1.0)
        for busy, slow in [(2.0, 1.0), (0.3, 1.5), (0.2, 1.1)]
    ]
    assert reliable(runs) == ({"busy": 0.2}, {"slow": 1})


def test_tests_that_run_a_line() -> None:
    baseline = Baseline(("a", "b", "c"), {}, ((0, 2), (1,)), {"code.py": {3: 0, 4: 1}}, {}, 1.0)
    assert baseline.covering("code.py", 3) == ("a", "c")
    assert baseline.covering("code.py", 4) == ("b",)
    assert baseline.covering("code.py", 5) == baseline.covering("other.py", 3) == ()


def test_a_suite_that_ends_the_interpreter(library_store: Path) -> None:
    files = {"app.py": b"", "test_app.py": b"import os\n\ndef test_end():\n    os._exit(0)\n"}
    project = Project("app", "", files, ("",), ("app.py",), ("test_app.py",))
    with pytest.raises(RepositoryError, match="^app: its suite does not reach its end: "):
        measure_baseline(project, library_store)


def test_a_suite_without_a_good_test(library_store: Path) -> None:
    files = {"app.py": b"", "test_app.py": b"import requests\n\ndef test_yes():\n    assert 1\n"}
    project = Project("app", "", files, ("",), ("app.py",), ("test_app.py",))
    with pytest.raises(RepositoryError) as raised:
        measure_baseline(project, library_store)
    told = "ModuleNotFoundError: No module named 'requests'"
    assert str(raised.value) == f"app: no test can be relied on: 1 failed; test_app.py: {told}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Libraries with coverage, which is not installed here: a registry is needed."""
    store = tmp_path_factory.mktemp("libraries")
    try:
        library([*tool("pytest"), *tool("coverage")], store)
    except RepositoryError as error:
        pytest.skip(str(error))
    return store


def test_a_suite_without_an_end_is_run_once(library_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def endless(box: Box, project: Project, *_: object, **__: object) -> SuiteRun:
        runs.append(project.name)
        return SuiteRun({}, {}, ended=False, cpu_s=300.0, detail="cpu_limit")

    monkeypatch.setattr(baseline_module, "run_suite", endless)
    project = Project("app", "", {"app.py": b"", "test_app.py": b""}, ("",), ("app.py",), ("test_app.py",))
    with pytest.raises(RepositoryError, match="^app: its suite does not reach its end: cpu_limit"):
        measure_baseline(project, library_store)
    assert runs == ["app"]


def line_of(project: Project, path: str, text: str) -> int:
    return next(n for n, line in enumerate(project.files[path].decode().split("\n"), 1) if text in line)


@pytest.mark.slow
def test_baseline_of_a_small_package(toy_project: Project, store: Path) -> None:
    baseline = measure_baseline(toy_project, store)
    names = [test.partition("::")[2] for test in baseline.tests if "unfit" not in test]
    assert len(names) == 28
    assert "FitTest::test_fit" in names
    # The flaky test may be told as flaky, as failed or, one time in eight, not at all.
    unfit = {test for test in baseline.tests if "unfit" in test}
    assert unfit <= {"tests/test_unfit.py::test_flaky"}
    assert baseline.left_out["slow"] == baseline.left_out["skipped"] == baseline.left_out["changing id"] == 1
    assert baseline.left_out["failed"] >= 2  # one opens a socket
    assert sum(baseline.left_out.values()) + len(baseline.tests) == 34
    assert set(baseline.seconds) == set(baseline.tests)
    assert 0 < baseline.cpu_s < 60

    plane = "shapes/plane.py"
    turned = baseline.covering(plane, line_of(toy_project, plane, "return half"))
    assert turned == ("tests/test_plane.py::test_area_signed",)
    helper = baseline.covering(plane, line_of(toy_project, plane, "pairs = []"))
    assert {"tests/test_plane.py::test_perimeter", "tests/test_plane.py::test_area"} <= set(helper)
    assert baseline.covering(plane, line_of(toy_project, plane, "def area")) == ()  # runs at import


@pytest.mark.slow
def test_a_test_with_a_tracer_of_its_own(store: Path) -> None:
    test = "import sys\nfrom app import one, two\n\ndef test_a():\n    sys.settrace(None)\n    one()\n\n"
    test += "def test_b():\n    two()\n"
    app = b"def one():\n    return 1\n\n\ndef two():\n    return 2\n"
    files = {"app.py": app, "test_app.py": test.encode()}
    baseline = measure_baseline(Project("app", "", files, ("",), ("app.py",), ("test_app.py",)), store)
    assert baseline.covering("app.py", 6) == ("test_app.py::test_b",)


@pytest.mark.slow
def test_baseline_of_a_real_package(store: Path, tmp_path: Path) -> None:
    package = read_packages()["toolz"]
    try:
        project = read_archive(package, fetch(package, tmp_path))
    except RepositoryError as error:
        pytest.skip(str(error))
    assert "toolz/itertoolz.py" in project.code and not any("/tests/" in path for path in project.code)
    assert project.packages == ("toolz",)
    baseline = measure_baseline(replace(project, tests=("toolz/tests/test_itertoolz.py",)), store)
    assert len(baseline.tests) > 40
    assert sum(baseline.left_out.values()) < 3
    line = line_of(project, "toolz/itertoolz.py", "return itertools.islice(seq, n)")
    assert "toolz/tests/test_itertoolz.py::test_take" in baseline.covering("toolz/itertoolz.py", line)
