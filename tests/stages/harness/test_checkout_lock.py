"""Who owns a checkout, with real processes: killed, renamed, beside each other."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from stages.harness import checkout_lock
from stages.harness.errors import InputError

HOLDER = """
import sys
from pathlib import Path
from stages.harness import checkout_lock
work = Path(sys.argv[2])
with checkout_lock.hold(work) if sys.argv[1] == "flow" else checkout_lock.claim(work):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def _holder(kind: str, work: Path) -> Iterator["subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", HOLDER, kind, str(work)], stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["stage", "flow"])
def test_a_second_run_is_refused_until_the_first_was_killed(tmp_path: Path, kind: str) -> None:
    work = tmp_path / "work"
    with _holder(kind, work) as process:
        for attempt in (
            lambda: checkout_lock.claim(work, wait_s=0),
            lambda: checkout_lock.refuse_if_busy(work),
            lambda: checkout_lock.hold(work).__enter__(),
        ):
            with pytest.raises(InputError, match=f"{tmp_path}: another run is active in this checkout"):
                attempt()
        process.send_signal(signal.SIGKILL)
        process.wait()
        checkout_lock.refuse_if_busy(work)
        checkout_lock.claim(work, wait_s=0).close()


def test_no_clock_and_no_pid_lets_a_second_run_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _holder("stage", tmp_path):
        for file in tmp_path.iterdir():
            os.utime(file, (0, 0))
        monkeypatch.setattr(psutil.Process, "create_time", lambda self: 0.0)
        with pytest.raises(InputError, match="another run is active"):
            checkout_lock.claim(tmp_path, wait_s=0)


def test_a_flows_own_stages_are_let_in_one_at_a_time(tmp_path: Path) -> None:
    with checkout_lock.hold(tmp_path):
        name = os.environ[checkout_lock.RUN_VARIABLE]
        with checkout_lock.claim(tmp_path, wait_s=0):
            assert checkout_lock.pipeline_run() == name
            with pytest.raises(InputError, match="another run is active"):
                checkout_lock.claim(tmp_path, wait_s=0)
        other = {**os.environ, checkout_lock.RUN_VARIABLE: "another flow"}
        refused = subprocess.run(
            [sys.executable, "-c", HOLDER, "stage", str(tmp_path)],
            env=other,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "another run is active" in refused.stderr
    assert checkout_lock.RUN_VARIABLE not in os.environ
    checkout_lock.refuse_if_busy(tmp_path)


def test_a_stage_that_is_ending_is_waited_for(tmp_path: Path) -> None:
    with _holder("stage", tmp_path) as process:
        subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {process.pid}"])
        checkout_lock.claim(tmp_path, wait_s=20).close()


def test_stages_under_one_dvc_belong_to_one_run_and_those_under_another_do_not(tmp_path: Path) -> None:
    dvc = tmp_path / "dvc"  # a process of this name, with two stages below it
    dvc.write_text(
        "import subprocess, sys\n"
        "code = 'from stages.harness.checkout_lock import pipeline_run; print(pipeline_run())'\n"
        "for _ in range(2): subprocess.run([sys.executable, '-c', code], check=True)\n"
    )
    env = {key: value for key, value in os.environ.items() if key != checkout_lock.RUN_VARIABLE}
    runs = [
        subprocess.run([sys.executable, str(dvc)], capture_output=True, text=True, check=True, env=env).stdout.split()
        for _ in range(2)
    ]
    assert runs[0][0] == runs[0][1] and runs[1][0] == runs[1][1]
    assert runs[0][0] != runs[1][0]


def test_a_stage_ends_when_its_dvc_is_killed(tmp_path: Path) -> None:
    stage = tmp_path / "stage.py"
    stage.write_text(
        "import time\nfrom stages.harness.checkout_lock import end_with_dvc\nend_with_dvc()\nprint('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    dvc = tmp_path / "dvc"
    dvc.write_text(f"import subprocess\nsubprocess.run({sys.executable + ' ' + str(stage)!r}, shell=True)\n")
    env = {**os.environ, "PYTHONPATH": str(Path(checkout_lock.__file__).parents[2])}
    process = subprocess.Popen([sys.executable, str(dvc)], stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, left = psutil.wait_procs(below, timeout=10)
    for orphan in left:
        orphan.kill()
    assert not left
