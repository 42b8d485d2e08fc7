import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.process import StageFailed, StageTimeout, run, stop_all


def _sleeper(seconds: float) -> list[str]:
    child = f"import time; time.sleep({seconds})"
    start = f"p = subprocess.Popen([sys.executable, '-c', {child!r}])"
    parent = f"import subprocess, sys; {start}; print(p.pid, flush=True); p.wait()"
    return [sys.executable, "-c", parent]


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_timeout_ends_the_whole_process_tree() -> None:
    seen: list[str] = []
    with pytest.raises(StageTimeout, match="stopped after"):
        run(_sleeper(60), timeout_s=2.0, on_line=seen.append)
    assert _gone(int(seen[0]))


def test_an_exception_while_reading_ends_the_tree() -> None:
    pids: list[int] = []

    def cancel(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(_sleeper(60), timeout_s=30.0, on_line=cancel)
    assert _gone(pids[0])


def test_a_failure_says_the_stages_own_last_line() -> None:
    code = "print('corpus: corpus.paths: x.txt: not found'); print('ERROR: failed to reproduce'); raise SystemExit(255)"
    with pytest.raises(StageFailed, match=r"corpus\.paths: x\.txt: not found"):
        run([sys.executable, "-c", code], timeout_s=30, on_line=lambda line: None)


def test_lines_come_back_and_nothing_is_left() -> None:
    assert run([sys.executable, "-c", "print('a'); print('b')"], timeout_s=30, on_line=lambda line: None) == ["a", "b"]
    stop_all()


def test_a_killed_caller_leaves_no_process() -> None:
    code = f"from flows.process import run; run({_sleeper(60)!r}, timeout_s=60, on_line=lambda l: print(l, flush=True))"
    root = Path(__file__).parents[2]
    caller = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    pid = int(caller.stdout.readline())
    assert psutil.pid_exists(pid)
    caller.kill()
    caller.wait()
    caller.stdout.close()
    assert _gone(pid)
