"""Runs inside a sandbox: one command in a working copy, then a record of its output and of what it changed.

`python main.py COMMAND SECONDS CHARACTERS SHELL`; uses only the standard library. A plain `python …` command runs in
a fork of this interpreter; anything else goes to `sh`, where the sandbox lets programs start (SHELL is 1). Folders in
PYTHONPATH are relative to the working copy; there its Python files are imported from.
"""

import base64
import contextlib
import importlib.util
import json
import os
import re
import runpy
import select
import shlex
import shutil
import signal
import sys
import time
import traceback
from types import ModuleType, TracebackType

SAVED = ".workspace.json"
LINKS = ".workspace-bin"
SKIPPED = {"__pycache__", ".git", ".pytest_cache", LINKS}
PLAIN = set("|&;<>()$`*?[]#~\n")
QUOTED = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
EXPANDED = re.compile(r"""^(?:[^'"]|'[^']*')*"[^"]*[$`]""", re.DOTALL)  # by a shell, in its first double quotes
SECONDS = re.compile(r"^(=* ?(?:\d+ \w+(?:, )?)+|=* ?no tests ran|Ran \d+ tests?) in \d+\.\d+s", re.MULTILINE)
ADDRESS = re.compile(r"(?<= at )0x[0-9a-f]{6,}")


def stamps() -> dict[str, tuple[int, int]]:
    """Change time and size of every regular file; a program can't set the change time."""
    by_path = {}
    for folder, below, names in os.walk("."):
        below[:] = [name for name in below if name not in SKIPPED]
        for name in names:
            path = os.path.join(folder, name)[2:]
            if os.path.isfile(path) and not os.path.islink(path) and path != SAVED:
                status = os.lstat(path)
                by_path[path] = (status.st_ctime_ns, status.st_size)
    return by_path


def library() -> str | None:
    """The folder that the tests' own packages are in, where this interpreter has one."""
    found = importlib.util.find_spec("pytest")
    return None if found is None or found.origin is None else os.path.dirname(os.path.dirname(found.origin))


def steady(text: str, libraries: str | None) -> str:
    """Without what differs between equal runs: places of files and objects, and how long tests took."""
    for path, name in ((libraries, "site-packages"), (os.path.dirname(os.__file__), "python")):
        text = text.replace(path, f"/usr/lib/{name}") if path else text
    text = text.replace(os.getcwd(), "/workspace")
    return ADDRESS.sub("0x7f0000000000", SECONDS.sub(r"\1 in 0.01s", text))


def python_words(command: str) -> list[str] | None:
    """The arguments of a plain `python …` command, or None for anything that needs a shell."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if not words or words[0] not in ("python", "python3"):
        return None
    return None if PLAIN & set(QUOTED.sub("", command)) or EXPANDED.search(command) else words[1:]


def run_python(words: list[str]) -> int:
    """Runs what `python WORDS` would, and gives its exit status."""
    sys.path[0] = os.getcwd()
    sys.path[1:1] = [path for path in os.environ["PYTHONPATH"].split(":") if path]
    error: BaseException
    trace: TracebackType | None
    try:
        if not words:
            raise SystemExit("python: name a file, or -c CODE, or -m MODULE; there is no terminal")
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
            return 0
        if words[0] == "-c":
            name, code, sys.argv = "<string>", words[1], ["-c", *words[2:]]
        else:
            name, sys.argv = words[0], words
            with open(name, encoding="utf-8") as handle:
                code = handle.read()
            sys.path[0] = os.path.dirname(os.path.abspath(name))
        main = ModuleType("__main__")
        main.__dict__["__file__"] = name
        sys.modules["__main__"] = main
        exec(compile(code, name, "exec", dont_inherit=True), main.__dict__)
        return 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 255
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as caught:
        error, trace = caught, caught.__traceback__
        traceback.print_exception(type(error), error, trace.tb_next if trace else None)
        return 1


def child(command: str, words: list[str] | None, out: int) -> None:
    """Becomes the command; never returns."""
    status = 1
    try:
        os.setsid()
        nothing = os.open("/dev/null", os.O_RDONLY)
        for target, source in ((0, nothing), (1, out), (2, out)):
            os.dup2(source, target)
        if words is None:
            os.execvp("sh", ["sh", "-c", command])
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=1)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)
        sys.dont_write_bytecode = True
        status = run_python(words)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        os._exit(status)


def run(command: str, seconds: float, characters: int, shell: bool) -> tuple[int, str]:
    """(exit status, output) of the command; output beyond `characters` is dropped as it comes."""
    words = python_words(command)
    if words is None and not shell:
        return 126, "this sandbox starts no programs: only plain `python FILE`, `python -c CODE`, `python -m MODULE`\n"
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(command, words, write)
    os.close(write)
    kept, size = bytearray(), 0
    deadline = time.monotonic() + seconds
    status: int | None = None
    open_end = True

    def take(wait: float) -> bool:
        """Reads once what there is, or comes in time."""
        nonlocal open_end, size
        if not open_end or not select.select([read], [], [], wait)[0]:
            return False
        data = os.read(read, 65536)
        open_end = bool(data)
        size += len(data)
        kept.extend(data[: max(0, 4 * characters - len(kept))])
        return True

    while status is None:
        if not take(0.02):
            done, wait_status = os.waitpid(pid, os.WNOHANG)
            if done:
                status = os.waitstatus_to_exitcode(wait_status)
            elif not open_end:
                time.sleep(0.002)
        if status is None and time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            status = 124
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what it left running must not write while the changes are read
    take(0.0)  # what it wrote between the last look and its end: a pipe holds no more than one read takes
    text = steady(kept.decode("utf-8", "replace"), library())
    cut = size - len(kept) + max(0, len(text) - characters)
    text = text[:characters] + (f"[{cut} characters cut]\n" if cut else "")
    if status == 124 and time.monotonic() > deadline:
        text += f"timed out after {seconds:.0f} s\n"
    return status if status >= 0 else 128 - status, text


def main() -> None:
    command, seconds, characters, shell = sys.argv[1:]
    before = stamps()
    for path in before:
        with open(path, "rb") as handle:
            if handle.read(2) == b"#!":
                os.chmod(path, 0o755)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ["GIT_CONFIG_NOSYSTEM"] = "1"  # not readable here, which git takes for an error
    os.environ["PYTHONHASHSEED"] = "0"
    roots = [os.path.abspath(root) for root in os.environ.get("PYTHONPATH", "").split(":") if root]
    os.environ["PYTHONPATH"] = ":".join([*roots, *filter(None, [library()])])
    system = shutil.which("python3")
    if shell == "1" and system:
        os.mkdir(LINKS)
        for name in ("python", "python3"):  # the machine's own packages are not the repository's
            with open(f"{LINKS}/{name}", "w") as wrapper:
                wrapper.write(f'#!/bin/sh\nexec {system} -S -s "$@"\n')
            os.chmod(f"{LINKS}/{name}", 0o755)
        os.environ["PATH"] = f"{os.getcwd()}/{LINKS}:{os.environ['PATH']}"
    before = stamps()
    status, output = run(command, float(seconds), int(characters), shell == "1")
    after = stamps()
    changed = {}
    for path, stamp in after.items():
        if before.get(path) != stamp:
            with open(path, "rb") as handle:
                changed[path] = base64.b64encode(handle.read()).decode()
    gone = sorted(set(before) - set(after))
    with open(SAVED, "w", encoding="utf-8") as handle:
        json.dump({"status": status, "output": output, "changed": changed, "gone": gone}, handle)


main()
