"""Whether a program in a sandbox can read a project before its tree is there: then its sessions may not start."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from gym.repositories.project import Project
from gym.sandbox import Box, Job, Limits, SandboxError, Verdict

LIMITS = Limits(cpu_s=120.0, wall_s=300.0, memory_mb=1024)
SHORTEST = 30  # characters of a line that tells a file; shorter ones stand in many
LINES, WORDS = 8, 20  # that a file must have to be known by them
PYTHON = (".py", ".pyc", ".pyi", ".so")
_INSIDE = Path(__file__).with_name("reach_inside.py").read_text(encoding="utf-8")


def distinctive_lines(content: bytes) -> list[str]:
    """Lines of code or text, without their indentation, by which a copy of a file is known; none of imports."""
    lines = {line.strip() for line in content.decode("utf-8", "replace").splitlines()}
    return sorted(line for line in lines if len(line) >= SHORTEST and not line.startswith(("import ", "from ", "# ")))


def _words(content: bytes) -> list[str]:
    """Long names and words of a file; those of comments are not in its bytecode."""
    code = "\n".join(line.partition("#")[0] for line in content.decode("utf-8", "replace").splitlines())
    return sorted(set(re.findall(r"[A-Za-z_]\w{5,}", code, re.ASCII)))


def _released(project: Project) -> bool:
    """Whether its names are its own on every machine; those of a user's folder or clone, such as `utils`, may be in use
    for something else."""
    return bool(project.version) and re.fullmatch(r"[0-9a-f]{40,64}", project.version) is None


def copies(box: Box, project: Project) -> list[str]:
    """What is found of the project, each with its place; seconds of one processor.

    By content: any text, bytecode or archive with half of the distinctive lines of a file of the project's code,
    whatever its name. Of a released project also by import and by name: a package or distribution of its names, as a
    folder, file, bytecode, wheel, egg or other archive. The text of the standard library's own modules is not looked
    at.

    Raises:
        SandboxError: the search failed.
    """
    named = _released(project)
    code = {path: project.files[path] for path in project.code}
    words = {path: words for path, content in code.items() if len(words := _words(content)) >= WORDS}
    packages, distribution = (project.packages, project.name) if named else ((), "")
    return search(box, project.name, code, PYTHON, packages, distribution, words)


def search(
    box: Box,
    name: str,
    code: Mapping[str, bytes],
    endings: Sequence[str],
    packages: Sequence[str],
    distribution: str,
    words: Mapping[str, Sequence[str]],
) -> list[str]:
    """What is found of some code, each with its place.

    Args:
        name: of the project, for an error.
        code: content by path, looked for by distinctive lines.
        endings: of files of its language.
        packages: names of folders or files that hold it; distribution: name that stands before a version.
        words: of each file, by which bytecode is known.

    Raises:
        SandboxError: the search failed.
    """
    known = {path: distinctive_lines(content) for path, content in code.items()}
    ask = {
        "endings": endings,
        "packages": packages,
        "distribution": distribution,
        "words": words,
        "lines": {path: lines for path, lines in known.items() if len(lines) >= LINES},
    }
    outcome = box.run(Job(source=_INSIDE, files={"ask.json": json.dumps(ask)}, limits=LIMITS))
    if outcome.verdict is not Verdict.OK:
        raise SandboxError(f"{name}: the search for copies failed: {outcome.detail or outcome.stderr[-200:]}")
    found: list[str] = json.loads(outcome.stdout)
    return found


def refuse_if_found(box: Box, project: Project) -> None:
    """Lets a sandbox pass in which no program can read the project before its tree is there.

    Raises:
        SandboxError: the project was found, with what was found where; or the search failed.
    """
    if found := copies(box, project):
        raise SandboxError(told(project.name, found))


def told(name: str, found: Sequence[str]) -> str:
    """One line on the copies of a project."""
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{name} can be read before a session starts: {found[0]}{more}"
