"""The same jobs on every back end that this machine has: equal verdicts, statuses, outputs and files."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gym.sandbox import Box, Job, SandboxError, Verdict, open_sandbox
from gym.sandbox.backend import Backend
from tests.gym.sandbox.conformance import CASES, Case

BACKENDS = ("fork", "namespaces", pytest.param("container", marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def box_of(rootfs_work: Path) -> Iterator[Callable[[str], Box]]:
    opened: dict[str, Box | str] = {}
    with ExitStack() as stack:

        def of(name: str) -> Box:
            if name not in opened:
                try:
                    opened[name] = stack.enter_context(
                        Backend("container", work=rootfs_work).open()
                        if name == "container"
                        else open_sandbox(name, workers=2)  # type: ignore[arg-type]
                    )
                except SandboxError as error:
                    opened[name] = str(error)
            found = opened[name]
            if isinstance(found, str):
                pytest.skip(found)
            return found

        yield of


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_job_ends_alike_everywhere(box_of: Callable[[str], Box], backend: str, case: Case) -> None:
    box = box_of(backend)
    if case.job.argv and box.level == "fork":
        with pytest.raises(SandboxError, match="Python source only"):
            box.run(case.job)
        return
    outcome = box.run(case.job)
    if case.shell and box.level == "fork":
        assert outcome.verdict is Verdict.DENIED
        return
    assert outcome.verdict is case.verdict, outcome
    assert case.status is None or outcome.exit_status == case.status, outcome
    assert case.stdout is None or outcome.stdout == case.stdout
    assert case.said in outcome.stderr
    assert outcome.files == case.files
    assert len(outcome.stdout) <= case.job.limits.output_bytes
    assert outcome.wall_s < case.job.limits.wall_s + 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_jobs_at_once_keep_their_order_and_see_nothing_of_each_other(
    box_of: Callable[[str], Box], backend: str
) -> None:
    box = box_of(backend)
    jobs = [Job(source=f"import os; print(os.listdir('.')); open('seen', 'w'); print({k})") for k in range(6)]
    assert [outcome.stdout for outcome in box.map(jobs)] == [f"[]\n{k}\n" for k in range(6)]
    later = [box.submit(job) for job in jobs]
    assert [one.result().stdout for one in later] == [f"[]\n{k}\n" for k in range(6)]
    started = time.monotonic()
    assert {one.verdict for one in box.map([Job(source="import time; time.sleep(3)")] * 2)} == {Verdict.OK}
    assert time.monotonic() - started < 5.9


def test_a_local_box_starts_programs_unless_they_are_not_wanted(tmp_path: Path) -> None:
    with Backend(work=tmp_path, workers=1).open(shell=False) as box:
        assert box.level == "fork"
        assert box.run(Job(source="print(1)")).stdout == "1\n"
    with Backend(work=tmp_path, workers=1).open() as box:
        assert box.level in ("namespaces", "fork")
    assert list(tmp_path.iterdir()) == []


def test_where_programs_cannot_be_confined_a_local_box_runs_python_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_one(level: str, workers: int, *rest: object) -> object:
        if level == "namespaces":
            raise SandboxError("no namespaces")
        return open_sandbox("fork", workers)

    monkeypatch.setattr("gym.sandbox.backend.open_sandbox", open_one)
    with Backend(work=tmp_path, workers=1).open() as box:
        assert box.level == "fork"


def test_a_back_end_that_is_not_here_is_no_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for backend, needs in ((Backend("container"), "podman or docker"), (Backend("kubernetes"), "kubectl")):
        with pytest.raises(SandboxError, match=f"needs {needs} on PATH"), backend.open():
            pass
