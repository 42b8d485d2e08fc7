"""Containers by a runtime of our own on PATH, and, where podman or docker work, what a program can't do in theirs."""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym.sandbox import Job, Limits, SandboxError, Verdict, container, remote
from gym.sandbox.container import ContainerSandbox
from tests.gym.sandbox.stand_in import script

RUNTIME = """
open(os.environ["RUNTIME_LOG"], "a").write(json.dumps(sys.argv[1:]) + chr(10))
if sys.argv[1] == "run":
    sys.exit(stand_in.serve(sys.argv[sys.argv.index("python3") + 1 :], os.environ["FOUND"]))
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "docker"
    runtime.write_text(script(RUNTIME))
    runtime.chmod(0o755)
    monkeypatch.setattr(container, "runtimes", lambda: iter([[str(runtime)]]))
    monkeypatch.setenv("RUNTIME_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PACKAGES", "/usr/lib/site")
    monkeypatch.setenv("FOUND", "[]")
    return tmp_path / "log"


def last_call(log: Path, verb: str = "run") -> list[str]:
    calls: list[list[str]] = [json.loads(line) for line in log.read_text().splitlines()]
    return next(call for call in reversed(calls) if call[0] == verb)


def test_a_job_runs_with_every_limit_on_the_command_line(log: Path, tmp_path: Path) -> None:
    box = ContainerSandbox("tiny", tmp_path)
    outcome = box.run(
        Job(
            source="print(open('in.txt').read() + input()); open('out', 'w').write('kept')",
            files={"in.txt": "a"},
            stdin="b",
            keep=["out"],
            limits=Limits(memory_mb=64, processes=5, file_mb=7),
        )
    )
    assert (outcome.verdict, outcome.stdout, outcome.files) == (Verdict.OK, "ab\n", {"out": b"kept"})
    words = last_call(log)
    for word in (
        "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only", "--memory=167m",
        "--memory-swap=167m", "--pids-limit=9", "--pull=never", "--log-driver=none",
        "--tmpfs=/sandbox/box:rw,exec,nosuid,nodev,mode=1777,size=7m", "tiny",
    ):  # fmt: skip
        assert word in words
    users = [word for word in words if word.startswith("--user=")]
    assert len(users) == 1
    assert not users[0].startswith("--user=0")
    assert not [word for word in words if word.startswith("--volume")]
    box.close()


def test_verdicts(log: Path, tmp_path: Path) -> None:
    box = ContainerSandbox("tiny", tmp_path)
    assert box.run(Job(source="raise SystemExit(3)")).exit_status == 3
    slow = box.run(Job(source="import time; time.sleep(20)", limits=Limits(wall_s=0.5)))
    assert slow.verdict is Verdict.WALL_LIMIT
    loud = box.run(Job(source="while True: print('x' * 10**6)", limits=Limits(output_bytes=100)))
    assert (loud.verdict, len(loud.stdout)) == (Verdict.OUTPUT_LIMIT, 100)
    busy = box.run(Job(source="while True: pass", limits=Limits(cpu_s=1)))
    assert busy.verdict is Verdict.CPU_LIMIT


def test_a_program_that_ends_its_container_gets_no_second_chance(log: Path, tmp_path: Path) -> None:
    box = ContainerSandbox("tiny", tmp_path)
    assert box.run(Job(source="dies")).verdict is Verdict.DENIED
    assert box.run(Job(source="killed")).verdict is Verdict.MEMORY_LIMIT
    refused = box.run(Job(source="refused"))
    assert refused.verdict is Verdict.INFRASTRUCTURE_ERROR
    assert refused.detail == "no such image"
    assert last_call(log, "rm")[-1] == last_call(log)[3].removeprefix("--name=")


def test_no_program_can_pass_for_a_failure_of_the_sandbox(log: Path, tmp_path: Path) -> None:
    box = ContainerSandbox("tiny", tmp_path)
    forged = "import os, sys\nos.write(2, b'OSError: lockdown')\nfor fd in range(3, 99):\n    try: os.write(fd, b'0')\n"
    forged += "    except OSError: pass\nos._exit(120)"
    assert box.run(Job(source=forged)).verdict is Verdict.WRONG_EXIT
    failed = box.run(Job(source="print(1)", env={"A=": "1"}))
    assert failed.verdict is Verdict.INFRASTRUCTURE_ERROR
    assert failed.detail == "ValueError: illegal environment variable name"


def test_libraries_stand_read_only_in_the_place_of_the_images_packages(log: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    box = ContainerSandbox("tiny", tmp_path, libraries=own)
    box.run(Job(source="print(1)"))
    assert f"--volume={own}:/usr/lib/site:ro" in last_call(log)
    assert "--env=PYTHONHASHSEED=0" in last_call(log)
    with pytest.raises(SandboxError, match="nowhere: no such folder"):
        ContainerSandbox("tiny", tmp_path, libraries=tmp_path / "nowhere")
    own.chmod(0o700)
    with pytest.raises(SandboxError, match="own: other users can't read this folder"):
        ContainerSandbox("tiny", tmp_path, libraries=own)


def test_a_program_that_is_not_confined_fails_closed(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUND", '["it reaches 1.1.1.1:443", "it runs as root"]')
    with pytest.raises(SandboxError, match=r"docker: a program is not confined: it reaches 1\.1\.1\.1:443; it runs as"):
        ContainerSandbox("tiny", tmp_path)


def test_every_runtime_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="container: needs podman or docker on PATH"):
        ContainerSandbox("tiny", tmp_path)
    for name in ("podman", "docker"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{name} has no such image' >&2\nexit 125\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(SandboxError, match="podman has no such image; .*docker has no such image"):
        ContainerSandbox("tiny", tmp_path)


@pytest.fixture(scope="module", params=["podman", "docker"])
def real(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, rootfs_work: Path
) -> Iterator[ContainerSandbox]:
    with pytest.MonkeyPatch.context() as patch:
        chosen = [words for words in container.runtimes() if words[0].endswith(request.param)]
        patch.setattr(container, "runtimes", lambda: iter(chosen))
        libraries = tmp_path_factory.mktemp("libraries") / "own"
        libraries.mkdir()
        (libraries / "only_here.py").write_text("VALUE = 6\n")
        try:
            box = ContainerSandbox("", rootfs_work, libraries=libraries)
        except SandboxError as error:
            pytest.skip(str(error))
        yield box
        box.close()


NETWORK = """
import os, socket
print(sorted(line.split(':')[0].strip() for line in open('/proc/net/dev') if ':' in line))
for what in (lambda: socket.create_connection(('1.1.1.1', 443), 3), lambda: socket.getaddrinfo('example.org', 80),
             lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1), lambda: socket.socket(socket.AF_PACKET)):
    try:
        what()
        print('done')
    except OSError as error:
        print('refused')
"""
CALLS = ("mount(b'none', b'/tmp', b'tmpfs', 0, None)", "unshare(0x10000000)", "setuid(0)", "ptrace(16, 1, 0, 0)")
READS = """
for path in ('/proc/1/environ', '/proc/1/mem', '/proc/1/fd/1', '/etc/shadow', '/dev/mem', '/dev/vda', '/dev/kmsg'):
    try:
        open(path, 'rb').read(1)
        print('read', path)
    except OSError:
        pass
"""
WRITABLE = """
import os
for root, folders, names in os.walk('/'):
    if root in ('/proc', '/sys', '/dev'):
        folders.clear()
        continue
    for path in [root, *(f'{root}/{name}' for name in names)]:
        if os.access(path, os.W_OK) and not os.path.islink(path):
            print(path)
"""
FIRST = """
import os
for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass
print('alive')
"""


@pytest.mark.slow
def test_a_real_container_is_closed(real: ContainerSandbox) -> None:
    def said(source: str) -> list[str]:
        outcome = real.run(Job(source=source))
        assert outcome.verdict is Verdict.OK, outcome
        return outcome.stdout.splitlines()

    assert said(NETWORK) == ["['lo']", "refused", "refused", "refused", "refused"]
    for call in CALLS:
        assert real.run(Job(source=f"import ctypes; ctypes.CDLL(None).{call}")).verdict is Verdict.DENIED
    assert said(READS) == []
    assert set(said(WRITABLE)) <= {"/sandbox/box", "/sandbox/box/job"}
    assert said(FIRST) == ["alive"]
    assert said("import os; print(sorted(os.environ), os.listdir('/home') if os.path.isdir('/home') else [])") == [
        "['HOME', 'LANG', 'PATH', 'TMPDIR'] []"
    ]
    assert said("import only_here, sys; print(only_here.VALUE)") == ["6"]
    for package in ("pytest", "numpy", "pip"):
        assert said(f"import importlib.util as u; print(u.find_spec({package!r}))") == ["None"]
    stopped = real.run(Job(source="import resource, time\nresource.prlimit(1, 0, (0, 0))\ntime.sleep(9)"))
    assert stopped.verdict in (Verdict.MEMORY_LIMIT, Verdict.DENIED)


@pytest.mark.slow
def test_nothing_of_a_real_container_is_left(real: ContainerSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(made := [f"sandbox-{secrets.token_hex(6)}-left" for _ in range(2)])
    monkeypatch.setattr(remote, "new_name", lambda: next(names))
    real.map([Job(source="import time; time.sleep(60)", limits=Limits(wall_s=0.5))] * 2)
    left = os.popen(f"{real.runtime} ps --all --format '{{{{.Names}}}}'").read()
    assert list(names) == [] and not [name for name in made if name in left]
