"""Jobs and what every back end must say of them."""

from dataclasses import dataclass, field

from gym.sandbox import Job, Limits, Verdict

SMALL = Limits(cpu_s=5.0, wall_s=30.0, memory_mb=128, output_bytes=1000, file_mb=4, processes=8)


def limits(**changed: float) -> Limits:
    return Limits(**{**SMALL.__dict__, **changed})


@dataclass(frozen=True)
class Case:
    """stdout: all of it; None isn't looked at. said: in standard error. shell: only where programs start."""

    name: str
    job: Job
    verdict: Verdict = Verdict.OK
    status: int | None = None
    stdout: str | None = None
    said: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    shell: bool = False


FILES = """
import os, sys
print(sorted(os.listdir('.')), open('a/b.bin', 'rb').read(), open('t').read())
open('new', 'wb').write(b'\\xff\\x00'); os.mkdir('d'); open('d/e', 'w').write('e'); os.symlink('/etc/passwd', 'link')
"""
FORKS = """
import os, time
n = 0
try:
    while n < 50:
        if os.fork() == 0:
            time.sleep(60)
        n += 1
except BlockingIOError:
    print('refused', n < 8)
"""
FAMILY = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        held = bytearray(80 << 20)
        for k in range(0, len(held), 4096):
            held[k] = 1
        time.sleep(60)
time.sleep(60)
"""
DISK = """
for k in range(20):
    with open(f'f{k}', 'wb') as out:
        out.write(bytes(1 << 20))
"""
LEFT = """
import os, time
if os.fork() == 0:
    os.setsid()
    for fd in range(3):
        os.close(fd)
    time.sleep(600)
print('left')
"""
NETWORK = """
import socket
for what in (lambda: socket.create_connection(('1.1.1.1', 53), 3), lambda: socket.gethostbyname('example.org')):
    try:
        what()
        print('reached')
    except OSError:
        print('refused')
"""
WRITES = """
import os
for path in ('/x', '/usr/x', '/etc/passwd', '/bin/sh'):
    try:
        open(path, 'a')
        print('written', path)
    except OSError:
        pass
print('done')
"""
CASES = [
    Case("prints", Job(source="print(sum(range(10)))"), stdout="45\n", status=0),
    Case(
        "input and arguments",
        Job(source="import sys; print(input(), *sys.argv, __name__)", stdin="ä\n", args=["x y", "\ud800"]),
        stdout="ä main.py x y \ufffd __main__\n",
    ),
    Case(
        "files",
        Job(source=FILES, files={"a/b.bin": b"\x00\xfe", "t": "text"}, keep=["new", "d/e", "link", "none"]),
        stdout="['a', 't'] b'\\x00\\xfe' text\n",
        files={"new": b"\xff\x00", "d/e": b"e"},
    ),
    Case("environment", Job(source="import os; print(os.environ['A'], os.getcwd() == os.environ['HOME'])",
         env={"A": "1"}), stdout="1 True\n"),
    Case("exit status", Job(source="raise SystemExit(3)"), Verdict.WRONG_EXIT, 3, ""),
    Case("exit text", Job(source="raise SystemExit('why')"), Verdict.WRONG_EXIT, 1, "", "why"),
    Case("exception", Job(source="1 / 0"), Verdict.WRONG_EXIT, 1, "", 'File "main.py", line 1'),
    Case("syntax", Job(source="def"), Verdict.WRONG_EXIT, 1, "", "SyntaxError"),
    Case("endless", Job(source="while True: pass", limits=limits(cpu_s=1.0)), Verdict.CPU_LIMIT),
    Case("sleeper", Job(source="import time; time.sleep(60)", limits=limits(wall_s=1.0)), Verdict.WALL_LIMIT),
    Case("memory", Job(source="bytearray(1 << 30)", limits=SMALL), Verdict.MEMORY_LIMIT),
    Case("memory of all processes", Job(source=FAMILY, limits=SMALL), Verdict.MEMORY_LIMIT),
    Case("output", Job(source="while True: print('x' * 99)", limits=SMALL), Verdict.OUTPUT_LIMIT),
    Case("a large file", Job(source="open('f', 'wb').write(bytes(5 << 20))", limits=SMALL), Verdict.OUTPUT_LIMIT),
    Case("many files", Job(source=DISK, limits=SMALL), Verdict.OUTPUT_LIMIT),
    Case("processes", Job(source=FORKS, limits=SMALL), stdout="refused True\n"),
    Case("a process left behind", Job(source=LEFT, limits=SMALL), stdout="left\n"),
    Case("writing outside", Job(source=WRITES), stdout="done\n"),
    Case("unread input", Job(source="print(1)", stdin="y" * 10**6), stdout="1\n"),
    Case("deep recursion", Job(source="def f(n): return n and f(n - 1)\nf(10**6)"), Verdict.WRONG_EXIT, 1, "",
         "RecursionError"),
    Case("network", Job(source=NETWORK), stdout="refused\nrefused\n", shell=True),
    Case("a command", Job(argv=["sh", "-c", "cat; ls; exit 7"], files={"f": "x"}, stdin="in\n"), Verdict.WRONG_EXIT, 7,
         "in\nf\n", shell=True),
    Case("a pipe", Job(argv=["sh", "-c", "yes | head -n 2 | sort | wc -l | tr -d ' '"]), stdout="2\n", shell=True),
    Case("python in a shell", Job(argv=["sh", "-c", "python3 -c 'print(6 * 7)'"]), stdout="42\n", shell=True),
    Case("a command without end", Job(argv=["sh", "-c", "while :; do :; done"], limits=limits(cpu_s=1.0)),
         Verdict.CPU_LIMIT, shell=True),
    Case("no such program", Job(argv=["no-such-program"]), Verdict.WRONG_EXIT, 120, "", shell=True),
    Case("a built program", Job(argv=["sh", "-c", "printf '#!/bin/sh\\necho ran\\n' > p; chmod +x p; ./p"]),
         stdout="ran\n", shell=True),
]  # fmt: skip
