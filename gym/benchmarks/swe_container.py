"""The repository of an official SWE-bench instance in its own container, with the tools of `gym.sandbox.workspace`."""

import re
import shlex
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gym.sandbox import SandboxError
from gym.sandbox.workspace import BASH, EDIT, FOUND, OUTPUT, SEARCH, SHOWN, VIEW, WIDTH, mistaken

FOLDER = "/testbed"
COMMAND_S, SEARCH_S, START_S = 120, 20, 1800
# Lines `first` to `end` (0 is the last one), at most `most`, with numbers; status 3: the file has fewer lines.
_LINES = r"""{ sub(/\r$/, "") } NR >= first && NR < first + most && (!end || NR <= end) { printf "%d\t%s\n", NR, $0 }
END { if (first > 1 && first > NR) { print NR; exit 3 }
      wanted = end && end < NR ? end : NR; left = wanted - first - most + 1
      if (left > 0) printf "[%d more lines]\n", left }"""
_SOME = r"""NR <= most; END { if (NR > most) printf "[%d more]\n", NR - most }"""
# Perl's expressions are nearer to Python's, where grep knows them. Status 3: no pattern; 124: it took too long.
_SEARCH = r"""kind=E; echo x | grep -qP x 2> /dev/null && kind=P
grep -q$kind -e {pattern} < /dev/null; [ $? -lt 2 ] || exit 3
timeout {seconds} grep -rnHI$kind --exclude-dir=.git -e {pattern} -- {path} 2> /dev/null |
LC_ALL=C sort -s -t: -k1,1 -k2,2n | awk -v most={most} {some}; exit ${{PIPESTATUS[0]}}"""


def docker(*arguments: str, stdin: str = "", timeout: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
    """Raises SandboxError where the program docker isn't there."""
    try:
        return subprocess.run(
            ["docker", *arguments], input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout
        )
    except OSError as error:
        raise SandboxError(f"docker: {error}") from None


class ContainerCopy:
    """What `Workspace` is to a sandbox: files are looked at and changed by programs of the container."""

    def __init__(self, container: str) -> None:
        self.container = container

    def _run(self, command: str, stdin: str = "", timeout: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        return docker("exec", "-i", "-w", FOLDER, self.container, "bash", "-c", command, stdin=stdin, timeout=timeout)

    def tools(self) -> list[dict[str, Any]]:
        return [BASH, VIEW, SEARCH, EDIT]

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """Text, and whether the caller made a mistake.

        Raises:
            SandboxError: Docker failed.
        """
        if mistake := mistaken(name, arguments):
            return mistake, True
        if name == "bash":
            return self.bash(arguments["command"]), False
        path = str(arguments.get("path", "")).removeprefix("/workspace").removeprefix(FOLDER).strip("/") or "."
        if name == "view":
            return self._view(path, arguments.get("start", 1), arguments.get("end", 0))
        if name == "search_dir":
            return self._search(arguments["pattern"], path)
        return self._edit(path, arguments["old_str"], arguments["new_str"])

    def bash(self, command: str) -> str:
        """Output, cut at the same length as the sandbox's, and exit status."""
        limited = f"timeout -k 5 {COMMAND_S} bash -c {shlex.quote(command)} 2>&1"
        done = self._run(limited, timeout=COMMAND_S + 30)
        text = done.stdout[:OUTPUT] + (
            f"[{len(done.stdout) - OUTPUT} characters cut]" if len(done.stdout) > OUTPUT else ""
        )
        return f"{text.rstrip()}\n[exit status {done.returncode}]".lstrip("\n")

    def _view(self, path: str, first: int, end: int) -> tuple[str, bool]:
        quoted = shlex.quote(path)
        listed = f"git ls-files -co --exclude-standard {quoted} | awk -v most={SHOWN} {shlex.quote(_SOME)}"
        lines = f"awk -v first={first} -v end={end} -v most={SHOWN} {shlex.quote(_LINES)} < {quoted}"
        done = self._run(f"if [ -d {quoted} ]; then {listed}; else {lines}; fi")
        if done.returncode == 3:
            return f"error: {path} has {done.stdout.strip()} lines", True
        if done.returncode:
            return f"error: no file or folder {path}", True
        return done.stdout.removesuffix("\n"), False

    def _search(self, pattern: str, path: str) -> tuple[str, bool]:
        words = {"pattern": pattern, "path": path, "some": _SOME}
        quoted = {key: shlex.quote(word) for key, word in words.items()}
        done = self._run(f"[ -e {quoted['path']} ] || exit 4\n{_SEARCH.format(seconds=SEARCH_S, most=FOUND, **quoted)}")
        if done.returncode == 4:
            return f"error: no file or folder {path}", True
        if done.returncode == 3:
            return f"error: invalid pattern: {done.stderr.strip()}", True
        if done.returncode == 124:
            return "error: the search was stopped: wall limit", True
        shown = []
        for line in done.stdout.splitlines():
            if found := re.fullmatch(r"(?:\./)?(.*?):(\d+):(.*)", line):
                place, number, text = found.groups()
                line = f"{place}:{number}: {(text if len(text) <= WIDTH else f'{text[:WIDTH]}…').strip()}"
            shown.append(line)
        return "\n".join(shown) or "no line matches", False

    def _edit(self, path: str, old: str, new: str) -> tuple[str, bool]:
        quoted = shlex.quote(path)
        if ".." in path.split("/") or ".git" in path.split("/"):
            return f"error: can't write {path}", True
        read = self._run(f"cat {quoted}")
        if not old:
            if read.returncode == 0:
                return f"error: {path} is there already; name the text to replace", True
            text = new
        elif read.returncode:
            return f"error: no file {path}", True
        elif read.stdout.count(old) != 1:
            return f"error: old_str occurs {read.stdout.count(old)} times in {path}; it must occur once", True
        else:
            text = read.stdout.replace(old, new)
        wrote = self._run(f"mkdir -p $(dirname {quoted}) && cat > {quoted}", stdin=text)
        return (f"changed {path}", False) if wrote.returncode == 0 else (f"error: {wrote.stderr.strip()}", True)

    def patch(self) -> str:
        return self._run("git add -A && git diff --cached --binary HEAD").stdout


@contextmanager
def container_copy(image: str) -> Iterator[ContainerCopy]:
    """A container of the image without network, its repository's history replaced by one commit.

    Raises:
        SandboxError: it doesn't start.
    """
    name = f"swe-{uuid.uuid4().hex[:12]}"
    limits = ("--rm", "--network=none", "--pids-limit=512")
    started = docker("run", "-d", *limits, f"--name={name}", image, "sleep", "86400", timeout=START_S)
    if started.returncode:
        raise SandboxError(f"docker run {image}: {started.stderr.strip().splitlines()[-1:]}")
    try:
        copy = ContainerCopy(name)
        identity = "git -c user.name=base -c user.email=base@localhost"
        fresh = copy._run(f"rm -rf .git && git init -q && git add -A && {identity} commit -qm base", timeout=START_S)
        if fresh.returncode:
            raise SandboxError(f"{image}: no single-commit history: {fresh.stderr.strip()[-200:]}")
        yield copy
    finally:
        docker("rm", "-f", name)
