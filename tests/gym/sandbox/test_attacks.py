"""Attacks, one test each. A program prints ESCAPED when it got what it must not get."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from gym.sandbox import Job, Limits, Outcome, Sandbox, Verdict, open_sandbox

SHORT = Limits(cpu_s=1.0, wall_s=3.0, memory_mb=256, file_mb=4)


def _attack(box: Sandbox, source: str, limits: Limits = SHORT, **job: object) -> Outcome:
    outcome = box.run(Job(source=source, limits=limits, **job))  # type: ignore[arg-type]
    assert "ESCAPED" not in outcome.stdout
    assert outcome.verdict is not Verdict.INFRASTRUCTURE_ERROR, outcome.detail
    return outcome


def _alive_afterwards(box: Sandbox) -> None:
    assert box.run(Job(source="print('alive')")).stdout == "alive\n"


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/etc/shadow", "/root/.bashrc", "/proc/1/environ", "/proc/self/environ", "/sys/kernel", "/home"],
)
def test_reading_outside(box: Sandbox, path: str) -> None:
    source = f"import os\nprint('ESCAPED', os.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r}).read())"
    assert _attack(box, source).verdict is Verdict.WRONG_EXIT


def test_reading_the_checkout_and_the_grader(box: Sandbox) -> None:
    for path in (Path(__file__), Path(sys.executable), Path(__file__).parents[3] / "gym"):
        source = (
            f"import os\nprint('ESCAPED', os.listdir({str(path)!r}) if {path.is_dir()} else open({str(path)!r},'rb'))"
        )
        assert _attack(box, source).verdict is Verdict.WRONG_EXIT


@pytest.mark.parametrize("path", ["/tmp/attack", "/dev/shm/attack", "/var/tmp/attack", "../attack", "../../attack"])
def test_writing_outside(box: Sandbox, path: str) -> None:
    assert _attack(box, f"open({path!r}, 'w').write('x'); print('ESCAPED')").verdict is Verdict.WRONG_EXIT


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
def test_network(box: Sandbox, family: str) -> None:
    assert _attack(box, f"import socket; socket.socket(socket.{family}); print('ESCAPED')").verdict is Verdict.DENIED


def _alive_with(uid: int) -> list[psutil.Process]:
    """Processes of a slot's user; other sandboxes of this machine have users of their own."""
    assert uid != os.getuid()
    return [p for p in psutil.process_iter(["uids"]) if p.info["uids"] and p.info["uids"].real == uid]


def test_fork_bomb(box: Sandbox) -> None:
    source = "import os, time\nprint(os.getuid(), flush=True)\nwhile True:\n  try:\n    os.fork()\n  except OSError:\n    time.sleep(0.01)"
    outcome = _attack(box, source)
    assert outcome.verdict in (Verdict.WALL_LIMIT, Verdict.CPU_LIMIT)
    assert _alive_with(int(outcome.stdout.split()[0])) == []
    _alive_afterwards(box)


def test_memory_bomb(box: Sandbox) -> None:
    outcome = _attack(box, "x = []\nwhile True:\n  x.append(bytearray(10**7))")
    assert outcome.verdict is Verdict.MEMORY_LIMIT
    assert outcome.max_rss_mb < 400


def test_disk_filling_with_one_file(box: Sandbox) -> None:
    source = "f = open('big', 'wb')\nwhile True:\n  f.write(b'0' * 2**20)"
    assert _attack(box, source).verdict is Verdict.OUTPUT_LIMIT


def test_disk_filling_with_many_files(box: Sandbox) -> None:
    source = "n = 0\nwhile True:\n  open(str(n), 'wb').write(b'0' * 2**20)\n  n += 1"
    assert _attack(box, source).verdict is Verdict.OUTPUT_LIMIT


def test_disk_filling_with_deleted_files(box: Sandbox) -> None:
    source = (
        "import os\nkeep = []\nfor n in range(60):\n  f = open(str(n), 'wb', 0)\n  os.unlink(str(n))\n  keep.append(f)\n"
        "  f.write(b'0' * 2**20)\nprint('ESCAPED')"
    )
    assert _attack(box, source).verdict in (Verdict.OUTPUT_LIMIT, Verdict.OK)
    source = source.replace("f.write(b'0' * 2**20)", "assert f.write(b'0' * 2**20) == 2**20")
    assert _attack(box, source).verdict is not Verdict.OK


def test_disk_filling_through_standard_input(box: Sandbox) -> None:
    source = "import os\nos.write(0, b'0' * 2**20)\nprint('ESCAPED')"
    assert _attack(box, source, stdin="x").verdict is Verdict.WRONG_EXIT


def test_disk_filling_with_empty_files(box: Sandbox) -> None:
    source = "for n in range(10**5): open(str(n), 'w').close()\nprint('ESCAPED')"
    assert _attack(box, source).verdict is Verdict.OUTPUT_LIMIT
    _alive_afterwards(box)


def test_a_folder_that_locks_itself_is_removed(box: Sandbox) -> None:
    source = "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\nos.chmod('a/b', 0)\nos.chmod('a', 0)\nos.chmod('.', 0)"
    _attack(box, source)
    _alive_afterwards(box)


def test_memory_of_many_processes_counts_together(box: Sandbox) -> None:
    source = (
        "import os, time\nfor _ in range(3): os.fork()\nx = bytearray(100 * 2**20)\ntime.sleep(3)\nprint('ESCAPED')"
    )
    assert _attack(box, source, Limits(cpu_s=5.0, wall_s=3.0, memory_mb=256)).verdict is Verdict.MEMORY_LIMIT


def test_processor_time_of_many_processes_counts_together(box: Sandbox) -> None:
    source = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"
    outcome = _attack(box, source, Limits(cpu_s=1.0, wall_s=60.0))
    assert outcome.verdict is Verdict.CPU_LIMIT
    assert outcome.cpu_s < 4


@pytest.mark.parametrize("call", [(29, 0, 4096, 0o1666), (68, 5, 0o1666, 0), (64, 5, 1, 0o1666), (319, 0, 0, 0)])
def test_memory_that_outlives_its_program(box: Sandbox, call: tuple[int, ...]) -> None:
    source = f"import ctypes\nctypes.CDLL(None).syscall(*{call})\nprint('ESCAPED')"
    assert _attack(box, source).verdict is Verdict.DENIED


def test_a_killed_caller_leaves_no_program() -> None:
    source = (
        "import sys, os\nfrom gym.sandbox import Job, open_sandbox\nwith open_sandbox('fork', 1) as box:\n"
        "  print(box._all[0].process.pid, flush=True)\n  box.run(Job(source='import time; time.sleep(15)'))"
    )
    root = Path(__file__).parents[3]
    caller = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, cwd=root)
    assert caller.stdout is not None
    zygote = psutil.Process(int(caller.stdout.readline()))
    time.sleep(0.3)
    caller.kill()
    caller.wait()
    caller.stdout.close()
    _, alive = psutil.wait_procs([zygote], timeout=5)
    assert not alive


def test_huge_output(box: Sandbox) -> None:
    outcome = _attack(box, "while True: print('x' * 10**6)")
    assert outcome.verdict is Verdict.OUTPUT_LIMIT
    assert len(outcome.stdout) == SHORT.output_bytes


def test_endless_loop_is_judged_by_processor_time(box: Sandbox) -> None:
    outcome = _attack(box, "while True: pass", Limits(cpu_s=1.0, wall_s=60.0))
    assert outcome.verdict is Verdict.CPU_LIMIT
    assert outcome.cpu_s < 2.5


def test_a_sleeper_is_judged_by_the_wall(box: Sandbox) -> None:
    outcome = _attack(box, "import time; time.sleep(60)", Limits(cpu_s=1.0, wall_s=0.5))
    assert outcome.verdict is Verdict.WALL_LIMIT
    assert outcome.cpu_s < 0.5


def test_signal_handlers_that_ignore_termination(box: Sandbox) -> None:
    source = (
        "import signal\nfor n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n  except (OSError, ValueError): pass\n"
        "while True: pass"
    )
    assert _attack(box, source).verdict in (Verdict.CPU_LIMIT, Verdict.WALL_LIMIT)


def test_ptrace(box: Sandbox) -> None:
    source = "import ctypes, os\nctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)\nprint('ESCAPED')"
    assert _attack(box, source).verdict is Verdict.DENIED


def test_killing_others(box: Sandbox) -> None:
    source = (
        "import os, signal\nfor pid in [os.getppid(), 1, -1]:\n"
        "  try:\n    os.kill(pid, signal.SIGTERM if pid != -1 else 0)\n    if pid != -1: print('ESCAPED', pid)\n"
        "  except OSError: pass\nprint('done')"
    )
    assert _attack(box, source).stdout == "done\n"
    _alive_afterwards(box)


def test_killing_everything_of_the_own_user(box: Sandbox) -> None:
    witness = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    _attack(box, "import os\nos.kill(-1, 9)")
    assert witness.poll() is None
    witness.kill()
    witness.wait()
    _alive_afterwards(box)


def test_symlinks_lead_nowhere(box: Sandbox) -> None:
    source = "import os\nos.symlink('/etc/passwd', 'link')\nprint('ESCAPED', open('link').read())"
    assert _attack(box, source).verdict is Verdict.WRONG_EXIT


def test_a_kept_file_that_is_a_link_is_not_read_back(box: Sandbox) -> None:
    source = "import os\nos.symlink('/etc/passwd', 'answer')"
    assert box.run(Job(source=source, keep=["answer"])).files == {}


def test_a_kept_file_below_a_link_is_not_read_back(box: Sandbox) -> None:
    source = "import os\nos.symlink('/etc', 'd')\nos.mkdir('e')\nopen('e/x', 'w').write('x')\nos.symlink('e', 'f')"
    assert box.run(Job(source=source, keep=["d/passwd", "f/x", "./e//x"])).files == {"./e//x": b"x"}


@pytest.mark.parametrize("path", ["/proc/self/root/etc/passwd", "/proc/self/cwd/../../../etc/passwd", "/proc/self/fd"])
def test_proc_tricks(box: Sandbox, path: str) -> None:
    source = f"import os\nprint('ESCAPED', os.listdir({path!r}) if {path.endswith('fd')} else open({path!r}).read())"
    assert _attack(box, source).verdict is Verdict.WRONG_EXIT


@pytest.mark.parametrize(
    "call", ["os.setuid(0)", "os.setgid(0)", "os.setreuid(0, 0)", "os.setresuid(0, 0, 0)", "os.setgroups([0])"]
)
def test_becoming_another_user(box: Sandbox, call: str) -> None:
    assert _attack(box, f"import os\n{call}\nprint('ESCAPED')").verdict is Verdict.DENIED


@pytest.mark.parametrize("call", ["setresuid(0, 0, 0)", "setresuid(-1, 0, -1)", "setresgid(0, 0, 0)", "seteuid(1)"])
def test_calls_that_make_needs_change_no_user(spaces: Sandbox, call: str) -> None:
    source = (
        "import os\nbefore = os.getresuid(), os.getresgid()\n"
        f"try:\n    os.{call}\nexcept PermissionError:\n    print('refused')\n"
        "assert (os.getresuid(), os.getresgid()) == before"
    )
    outcome = _attack(spaces, source)
    assert outcome.verdict is Verdict.OK and outcome.stdout == "refused\n", outcome


def test_make_runs_its_commands(spaces: Sandbox) -> None:
    makefile = "all: made.txt\n\t@cat made.txt\nmade.txt:\n\t@echo by make > made.txt\n"
    outcome = spaces.run(Job(argv=["make", "-s"], files={"Makefile": makefile}))
    if outcome.exit_status == 127:
        pytest.skip("no make on this machine")
    assert (outcome.verdict, outcome.stdout) == (Verdict.OK, "by make\n"), outcome


def test_setuid_programs_give_nothing(spaces: Sandbox) -> None:
    outcome = spaces.run(
        Job(argv=["sh", "-c", "cp /bin/cat mine && chmod u+s mine && ./mine /etc/shadow && echo ESCAPED"])
    )
    assert "ESCAPED" not in outcome.stdout
    assert outcome.verdict in (Verdict.WRONG_EXIT, Verdict.DENIED)


def test_no_descriptor_leaks(box: Sandbox) -> None:
    with tempfile.TemporaryFile() as secret:
        os.set_inheritable(secret.fileno(), True)
        source = "import os\nfor fd in range(3, 256):\n  try:\n    os.fstat(fd)\n    print('ESCAPED', fd)\n  except OSError: pass"
        with open_sandbox("fork", workers=1) as fresh:
            assert _attack(fresh, source).verdict is Verdict.OK


def test_no_environment_leaks(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "secret-value")
    with open_sandbox("fork", workers=1) as fresh:
        outcome = fresh.run(Job(source="import os; print(sorted(os.environ))", env={"GIVEN": "1"}))
        assert outcome.stdout == "['GIVEN', 'HOME', 'LANG', 'PATH', 'TMPDIR']\n"
        memory = _attack(
            fresh,
            "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.getenv.restype = ctypes.c_char_p\nprint(libc.getenv(b'API_KEY'))",
        )
        assert memory.stdout == "None\n"


@pytest.mark.parametrize(
    "call", ["os.execv('/bin/sh', ['sh', '-c', 'echo ESCAPED'])", "os.system('echo ESCAPED > out') == 0 or 1/0"]
)
def test_shells_where_they_are_not_allowed(box: Sandbox, call: str) -> None:
    outcome = box.run(Job(source=f"import os\n{call}", keep=["out"], limits=SHORT))
    assert "ESCAPED" not in outcome.stdout
    assert outcome.files.get("out", b"") == b""
    assert outcome.verdict is not Verdict.OK


def test_new_namespaces(box: Sandbox) -> None:
    source = "import ctypes\nprint('ESCAPED', ctypes.CDLL(None).unshare(0x10000000))"
    assert _attack(box, source).verdict is Verdict.DENIED
    clone = "import ctypes\nr = ctypes.CDLL(None).syscall(56, 0x10000000 | 17, 0, 0, 0, 0)\nprint('ESCAPED', r)"
    assert _attack(box, clone).verdict is Verdict.DENIED
    clone3 = "import ctypes\nr = ctypes.CDLL(None).syscall(435, 0, 0)\nprint('ESCAPED' if r >= 0 else 'refused')"
    assert _attack(box, clone3).stdout == "refused\n"


@pytest.mark.parametrize("number", [425, 321, 298, 304, 165, 175])
def test_dangerous_system_calls(box: Sandbox, number: int) -> None:
    assert (
        _attack(box, f"import ctypes\nctypes.CDLL(None).syscall({number}, 0, 0, 0)\nprint('ESCAPED')").verdict
        is Verdict.DENIED
    )


def test_a_daemon_does_not_survive(box: Sandbox) -> None:
    source = "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(100)\n  os._exit(0)\nwhile not os.path.exists('pid'): time.sleep(0.01)\nprint(os.getuid())"
    outcome = _attack(box, source)
    assert outcome.verdict is Verdict.OK
    time.sleep(0.1)
    assert _alive_with(int(outcome.stdout)) == []


def test_an_unpickling_bomb_stays_inside(box: Sandbox) -> None:
    source = (
        "import pickle\nclass Bomb:\n  def __reduce__(self):\n    import os\n    return (os.system, ('cat /etc/passwd',))\n"
        "print(pickle.loads(pickle.dumps(Bomb())))"
    )
    outcome = _attack(box, source)
    assert "root:" not in outcome.stdout


def test_deep_recursion_and_a_crash_are_wrong_exits(box: Sandbox) -> None:
    assert _attack(box, "def f(): f()\nf()").verdict is Verdict.WRONG_EXIT
    assert _attack(box, "import ctypes; ctypes.string_at(0)").exit_status == -11


# What a program could say or leave so that its caller takes its failure for the sandbox's, and gives it no score.
EXCUSES = {
    "the words of a missing layer": "import os\nos.write(2, b'OSError: lockdown')\nos._exit(120)",
    "a word to every descriptor": "import os\nfor fd in range(3, 99):\n  try: os.write(fd, b'0')\n  except OSError: pass\nos._exit(120)",
    "folders deeper than any path": "import os\nfor n in range(1100):\n  os.mkdir('d' * 9)\n  os.chdir('d' * 9)\nos._exit(120)",
    "no folder": "import os, shutil\nshutil.rmtree(os.getcwd(), ignore_errors=True)\nos._exit(120)",
}


@pytest.mark.parametrize("name", EXCUSES)
def test_no_program_can_pass_for_a_failure_of_the_sandbox(box: Sandbox, spaces: Sandbox, name: str) -> None:
    for one in (box, spaces):
        outcome = _attack(one, EXCUSES[name], keep=["out"])
        assert (outcome.verdict, outcome.exit_status) == (Verdict.WRONG_EXIT, 120)
        assert one.run(Job(source="import os; print(os.listdir('.'))")).stdout == "[]\n"


def test_a_program_that_cannot_be_confined_is_no_wrong_exit(box: Sandbox, spaces: Sandbox) -> None:
    for one in (box, spaces):
        outcome = one.run(Job(source="print(1)", env={"A=": "1"}))
        assert outcome.verdict is Verdict.INFRASTRUCTURE_ERROR
        assert outcome.detail == "ValueError: illegal environment variable name"
        _alive_afterwards(one)


def test_programs_do_not_see_each_other(box: Sandbox) -> None:
    assert box.run(Job(source="open('secret', 'w').write('x')")).verdict is Verdict.OK
    for _ in range(4):
        assert box.run(Job(source="import os; print(os.listdir('.'))")).stdout == "[]\n"


def test_random_numbers_differ_between_runs(box: Sandbox) -> None:
    said = {box.run(Job(source="import random; print(random.random())")).stdout for _ in range(4)}
    assert len(said) == 4


def test_preloaded_random_numbers_differ_between_runs() -> None:
    with open_sandbox("fork", workers=1, preload=["numpy.random"]) as fresh:
        said = {fresh.run(Job(source="import numpy\nprint(numpy.random.rand())")).stdout for _ in range(4)}
    assert len(said) == 4


def test_the_pid_namespace_hides_other_processes(spaces: Sandbox) -> None:
    outcome = spaces.run(Job(argv=["sh", "-c", "ls /proc | grep -c '^[0-9]'; cat /etc/passwd; echo end"]))
    count, *rest = outcome.stdout.split()
    assert int(count) <= 5
    assert rest == ["end"]


def test_shell_c_and_node_run_where_they_may(spaces: Sandbox) -> None:
    shell = spaces.run(Job(argv=["sh", "-c", "cat in.txt | tr a-z A-Z"], files={"in.txt": "abc"}))
    assert (shell.verdict, shell.stdout) == (Verdict.OK, "ABC")
    build = 'cc -x c -o main - <<< "" 2>/dev/null; cc main.c -o main && ./main'
    code = {"main.c": '#include <stdio.h>\nint main() { int n; scanf("%d", &n); printf("%d\\n", n * n); }'}
    big = Limits(memory_mb=4096, processes=64)
    built = spaces.run(Job(argv=["bash", "-c", build], files=code, stdin="12", limits=big))
    assert built.stdout == "144\n", built


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")
def test_javascript_runs_where_it_may(spaces: Sandbox) -> None:
    source = "const n = +require('fs').readFileSync(0, 'utf8'); console.log(n * n)"
    big = Limits(memory_mb=65536, processes=64)
    outcome = spaces.run(Job(argv=["node", "main.js"], files={"main.js": source}, stdin="12", limits=big))
    assert outcome.stdout == "144\n", outcome


def test_another_user_than_root_is_kept_in_as_well() -> None:
    python = "/usr/bin/python3"
    if os.geteuid() != 0 or not os.access(python, os.X_OK) or shutil.which("setpriv") is None:
        pytest.skip("needs root, setpriv and a Python that everyone may read")
    source = (
        "import os\nfrom gym.sandbox import Job, open_sandbox\nfor level in ('fork', 'namespaces'):\n"
        "  with open_sandbox(level, 1) as box:\n    for attack in ('open(\"/etc/passwd\")', 'os.kill(os.getppid() or 1, 9)',\n"
        '      \'open("../x", "w").write("0" * 2**26)\', \'os.setuid(0)\', \'os.rename("../job", "../x")\'):\n'
        "      print(box.run(Job(source='import os\\n' + attack)).verdict)\n"
        "    print(box.run(Job(source='import os; print(os.getuid(), os.listdir(\"..\"))')).stdout)"
    )
    with tempfile.TemporaryDirectory() as copy:
        os.chmod(copy, 0o755)
        shutil.copytree(Path(__file__).parents[3] / "gym" / "sandbox", Path(copy) / "gym" / "sandbox")
        subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, "-c", source],
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": copy}, cwd=copy, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    print(done.stderr)
    one = ["wrong_exit", "wrong_exit", "output_limit", "denied", "ok", "65534 ['job']", ""]
    # In its own namespace a program sees no parent, only itself, which no signal ends.
    assert done.stdout.split("\n") == [*one, "wrong_exit", "ok", *one[2:], ""]


def test_a_command_is_refused_at_the_level_that_forbids_it(box: Sandbox) -> None:
    from gym.sandbox import SandboxError

    with pytest.raises(SandboxError, match="level fork runs Python source only"):
        box.run(Job(argv=["ls"]))


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", ""])
def test_file_names_that_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be relative"):
        Job(source="", files={name: ""})


def test_nothing_is_left_behind() -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    with open_sandbox("fork", workers=2) as fresh:
        fresh.map([Job(source="open('x','w').write('y')")] * 20)
        folders = [Path(worker.base) for worker in fresh._all]
        assert all(folder.exists() for folder in folders)
    assert not any(folder.exists() for folder in folders)
    assert len(os.listdir("/proc/self/fd")) <= descriptors
