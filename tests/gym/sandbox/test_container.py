"""The OCI adapter against a runtime of our own on PATH, which runs the inner command in the mounted folder."""

import sys
from pathlib import Path

import pytest

from gym.sandbox import Job, Limits, SandboxError, Verdict
from gym.sandbox.container import ContainerSandbox

RUNTIME = f"""#!{sys.executable}
import os, subprocess, sys
arguments = sys.argv[1:]
open(os.environ["RUNTIME_LOG"], "a").write(" ".join(arguments) + chr(10))
if arguments[0] != "run":
    sys.exit(0)
place = arguments.index("tiny")
folder = next(a.split("=")[1].split(":")[0] for a in arguments if a.startswith("--volume="))
inner = [sys.executable if one == "python3" else one for one in arguments[place + 1 :]]
sys.exit(subprocess.run(inner, cwd=folder).returncode & 255)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "docker"
    runtime.write_text(RUNTIME)
    runtime.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("RUNTIME_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def test_jobs_run_with_every_limit_on_the_command_line(log: Path) -> None:
    box = ContainerSandbox("tiny")
    outcome = box.run(
        Job(
            source="print(open('in.txt').read() + input()); open('out', 'w').write('kept')",
            files={"in.txt": "a"},
            stdin="b",
            keep=["out"],
            limits=Limits(memory_mb=64, processes=5, cpu_s=2),
        )
    )
    assert (outcome.verdict, outcome.stdout, outcome.files) == (Verdict.OK, "ab\n", {"out": b"kept"})
    line = log.read_text().splitlines()[-1]
    for part in ("--network=none", "--cap-drop=ALL", "--memory=64m", "--pids-limit=5", "--ulimit=cpu=2", "--read-only"):
        assert part in line


def test_verdicts(log: Path) -> None:
    box = ContainerSandbox("tiny")
    assert box.run(Job(source="raise SystemExit(3)")).exit_status == 3
    slow = box.run(Job(source="import time; time.sleep(20)", limits=Limits(wall_s=0.5)))
    assert slow.verdict is Verdict.WALL_LIMIT
    assert any(line.startswith("kill sandbox-") for line in log.read_text().splitlines())
    loud = box.run(Job(source="print('x' * 10**6)", limits=Limits(output_bytes=100)))
    assert (loud.verdict, len(loud.stdout)) == (Verdict.OUTPUT_LIMIT, 100)
    endless = box.run(Job(source="while True: print('x' * 10**6)", stdin="y" * 10**6, limits=Limits(output_bytes=100)))
    assert (endless.verdict, len(endless.stdout)) == (Verdict.OUTPUT_LIMIT, 100)
    assert box.run(Job(source="raise SystemExit(125)")).verdict is Verdict.INFRASTRUCTURE_ERROR


def test_a_missing_runtime_or_image_fails_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="needs one of docker, podman, nerdctl"):
        ContainerSandbox("tiny")
    broken = tmp_path / "podman"
    broken.write_text("#!/bin/sh\necho 'no such image' >&2\nexit 125\n")
    broken.chmod(0o755)
    with pytest.raises(SandboxError, match="podman can't run tiny: no such image"):
        ContainerSandbox("tiny", "podman")
