"""The repository of an official SWE-bench instance in its own container, with the tools of `gym.sandbox.workspace`.

An agent's commands run in a login shell with the conda environment `testbed`, as the images' own /root/.bashrc and the
official evaluation scripts have it. The images of other languages have no conda: their programs are on the PATH that
the image sets, which a login shell forgets and gets back here.
"""

import re
import shlex
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gym.benchmarks.swe_engine import Engine, last_line
from gym.sandbox import SandboxError
from gym.sandbox.workspace import BASH, EDIT, FOUND, OUTPUT, SEARCH, SHOWN, VIEW, WIDTH, mistaken

FOLDER = "/testbed"
COMMAND_S, SEARCH_S, START_S = 120, 20, 1800
# $1 the image's PATH, $2 the command. Startup files of a login shell may have activated the environment already.
# `activate` hands its caller's arguments to conda, so there are none when it is read.
_LOGIN = r"""path=$1 command=$2; set --
if [ ! -e /opt/miniconda3/bin/activate ]; then PATH=$path:$PATH
elif [ "${CONDA_DEFAULT_ENV-}" != testbed ]; then
  PATH=$path; source /opt/miniconda3/bin/activate && conda activate testbed
fi
cd /testbed && unset path && eval "unset command; $command" 2>&1"""
# $0 the text above, $1 the command. The output goes to a file: a program that is left running in the background would
# hold a pipe open, and an endless one would fill this machine's memory; so a file has its limit.
_COMMAND = rf"""output=$(mktemp) && ulimit -f 1048576
timeout -k 5 {COMMAND_S} bash -lc "$0" bash "$PATH" "$1" > "$output" 2> /dev/null < /dev/null; status=$?
wc -c < "$output"; head -c {4 * OUTPUT} "$output"; rm -f "$output"; exit $status"""
_DIFF = "--cached --binary --no-color --no-ext-diff --src-prefix=a/ --dst-prefix=b/"  # whatever the agent configured
# Files that git tracks though they are ignored stay tracked; submodules keep the repositories that they point to, and
# are left out where they have none.
_ONE_COMMIT = r"""set -e; git config --global --add safe.directory /testbed
tracked=$(mktemp); git ls-files -sz | sed -z '/^160000/d; s/^[^\t]*\t//' > "$tracked"
find .git -mindepth 1 -maxdepth 1 ! -name modules -exec rm -rf {} +
git init -q; git add -A; git update-index -z --add --remove --stdin < "$tracked"; rm -f "$tracked"
git -c user.name=base -c user.email=base@localhost commit -q --allow-empty --no-verify -m base; git rev-parse HEAD"""
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


class ContainerCopy:
    """What `Workspace` is to a sandbox: files are looked at and changed by programs of the container.

    Args:
        base: the commit that a patch is the difference to.
    """

    def __init__(self, engine: Engine, container: str, base: str = "HEAD") -> None:
        self.engine, self.container, self.base = engine, container, base

    def _run(self, *words: str, stdin: str = "", timeout: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        """A command of plain bash, and its arguments."""
        place = ("exec", "-i", f"--workdir={FOLDER}", self.container)
        return self.engine.run(*place, "bash", "-c", *words, stdin=stdin, timeout=timeout)

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
        done = self._run(_COMMAND, _LOGIN, command, timeout=COMMAND_S + 30)
        size, _, text = done.stdout.partition("\n")
        if not size.isdigit():
            self._check_alive()
            return f"stopped: {done.stderr.strip()}"
        shown = text[:OUTPUT]
        left = int(size) - len(shown.encode())
        cut = f"[{left} characters cut]" if len(text) > OUTPUT else ""
        return f"{(shown + cut).rstrip()}\n[exit status {done.returncode}]".lstrip("\n")

    def _check_alive(self) -> None:
        """Raises SandboxError: the container is gone, so that what failed says nothing about who used it."""
        done = self._run("true")
        if done.returncode:
            raise SandboxError(f"the container is gone: {last_line(done)}")

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
        """The difference to the base, whatever was committed since; empty where the agent broke its repository.

        Raises:
            SandboxError: the container is gone.
        """
        done = self._run(f"git add -A && git diff {_DIFF} {self.base}")
        if done.returncode:
            self._check_alive()
        return done.stdout


@contextmanager
def container_copy(engine: Engine, image: str) -> Iterator[ContainerCopy]:
    """A container of the image without network, its repository's history replaced by one commit.

    Raises:
        SandboxError: it doesn't start.
    """
    name = f"swe-{uuid.uuid4().hex[:12]}"
    limits = ("--rm", "--network=none", "--pids-limit=512", "--stop-timeout=0")
    started = engine.run("run", "-d", *limits, f"--name={name}", engine.name(image), "sleep", "86400", timeout=START_S)
    if started.returncode:
        raise SandboxError(f"{engine} run {image}: {last_line(started)}")
    try:
        fresh = ContainerCopy(engine, name)._run(_ONE_COMMIT, timeout=START_S)
        if fresh.returncode:
            raise SandboxError(f"{image}: no single-commit history: {last_line(fresh)}")
        yield ContainerCopy(engine, name, fresh.stdout.strip())
    finally:
        engine.run("rm", "-f", name)
