"""Repairs in SWE-bench's form that need no Docker, and those in C: small repositories in `repos/`, one mutation each.

In C a test is a call; what it must give is known from the unbroken source and never enters the sandbox. FAIL_TO_PASS
and PASS_TO_PASS are proven by running: a mutant counts when every test ends, some give another result and some don't.
"""

import json
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from gym.mutants import mutants
from gym.sandbox import Box, Job, Limits, SandboxError
from gym.sandbox.workspace import file_diff

REPOS = Path(__file__).with_name("repos")
VISIBLE = 3  # two of three passing tests, and one failing, are in the repository; the others are hidden
LIMITS = Limits(cpu_s=20.0, wall_s=60.0, memory_mb=65536, processes=64)
TRAPS = "-fsanitize=undefined -fsanitize-undefined-trap-on-error"  # what C leaves undefined ends the program


@dataclass(frozen=True)
class Instance:
    """A task as SWE-bench has it, with its repository's files.

    Attributes:
        id: `instance_id`.
        files: of the base commit, without history.
        source: the path of the file that is broken.
        code: files that a repair may change; all others are as they were when it is graded.
        command: runs the tests that are in the repository; exit status 0 when they pass.
        patch: the gold patch, the inverse of the mutation.
        expected: what every test gives when all is right.
        results: what every test gives with these code files; one that never ended is absent. It raises SandboxError
            where the sandbox failed.
    """

    id: str
    repo: str
    language: str
    statement: str
    files: Mapping[str, bytes]
    source: str
    code: tuple[str, ...]
    command: str
    patch: str = field(repr=False)
    fail_to_pass: tuple[str, ...] = field(repr=False)
    pass_to_pass: tuple[str, ...] = field(repr=False)
    expected: Mapping[str, str] = field(repr=False)
    results: Callable[[Box, Mapping[str, bytes]], Mapping[str, str]] = field(repr=False)

    def row(self) -> dict[str, object]:
        """The official schema's fields; `base_commit` is empty, for there is no history."""
        return {
            "instance_id": self.id, "repo": self.repo, "base_commit": "", "patch": self.patch, "test_patch": "",
            "problem_statement": self.statement, "hints_text": "", "created_at": "", "version": "1",
            "FAIL_TO_PASS": json.dumps(self.fail_to_pass), "PASS_TO_PASS": json.dumps(self.pass_to_pass),
        }  # fmt: skip


def apply_patch(files: Mapping[str, bytes], patch: str) -> dict[str, bytes] | None:
    """The files after `git apply`, else after `patch --fuzz=5` as the official harness tries; None: it doesn't apply.

    Links that a patch makes are left out, and git refuses paths outside the folder.
    """
    with tempfile.TemporaryDirectory(prefix="swe-") as base:
        for path, content in files.items():
            target = Path(base, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(Path(base).parent)}
        for command in (["git", "apply", "-"], ["patch", "--batch", "--forward", "--fuzz=5", "-p1", "--quiet"]):
            try:
                done = subprocess.run(command, cwd=base, input=patch.encode(), env=environment, capture_output=True)
            except FileNotFoundError:
                continue
            if done.returncode == 0:
                paths = sorted(path for path in Path(base).rglob("*") if path.is_file() and not path.is_symlink())
                return {path.relative_to(base).as_posix(): path.read_bytes() for path in paths}
    return None


def run_tests(box: Box, instance: Instance, files: Mapping[str, bytes]) -> dict[str, str]:
    """Official statuses (PASSED, FAILED) of the tests with the code among these files; one that never ended is absent.

    Raises:
        SandboxError: the sandbox failed.
    """
    results = instance.results(box, taken(instance, files))
    return {test: "PASSED" if result == instance.expected[test] else "FAILED" for test, result in results.items()}


def taken(instance: Instance, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What counts of a solver's files."""
    return {path: files[path] for path in instance.code if path in files}


def _blocks(stdout: str, mark: str, tests: Sequence[str]) -> dict[str, str]:
    """What stands between one mark and the next; the last mark ends the last test."""
    parts = stdout.split(mark)[1:]
    return {test: part.strip("\n") for test, part in zip(tests, parts[:-1], strict=False)}


def _run_c(tests: Sequence[str], box: Box, files: Mapping[str, bytes]) -> dict[str, str]:
    mark = f"@@{secrets.token_hex(8)}@@"
    functions = "\n".join(f"static void test_{k}(void) {{ {code} }}" for k, code in enumerate(tests))
    calls = "\n".join(f'  puts("{mark}"); test_{k}(); puts(""); fflush(stdout);' for k in range(len(tests)))
    driver = f'#include <stdio.h>\n#include <string.h>\n#include "kit.h"\n{functions}\nint main(void) {{\n{calls}\n'
    driver += f'  puts("{mark}");\n  return 0;\n}}\n'
    build = f"gcc -std=c11 -O1 -w {TRAPS} -o driver kit.c driver.c && ./driver"
    job = Job(argv=["sh", "-c", build], files={**files, "driver.c": driver}, limits=LIMITS)
    return _blocks(box.run(job).reached().stdout, f"{mark}\n", tests)


_C_CHECK = """/* The tests of this repository: sh tests/run.sh */
#include <stdio.h>
#include <string.h>
#include "../kit.h"

static int failed = 0;

static void check(const char *name, const char *expected) {
  char found[4096] = "";
  rewind(stdout);
  fflush(stdout);
  FILE *file = fopen("tests/found.txt", "r");
  found[file ? fread(found, 1, sizeof found - 1, file) : 0] = 0;
  if (file) fclose(file);
  if (strcmp(found, expected) != 0) {
    failed++;
    fprintf(stderr, "FAIL %s\\n  expected %s\\n  found    %s\\n", name, expected, found);
  }
}
"""


def _c_string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


def _c_tests(tests: Mapping[str, str]) -> tuple[dict[str, bytes], str]:
    lines = [_C_CHECK]
    lines += [f"static void test_{k}(void) {{ {code} }}" for k, code in enumerate(tests)]
    lines += ["", "int main(void) {"]
    for k, (code, expected) in enumerate(tests.items()):
        lines.append('  if (!freopen("tests/found.txt", "w+", stdout)) return 2;')
        lines.append(f"  test_{k}(); fflush(stdout); check({_c_string(code)}, {_c_string(expected)});")
    lines += ['  fprintf(stderr, "%d failed\\n", failed);', "  return failed > 0;", "}", ""]
    run = "gcc -std=c11 -O1 -w -o tests/check kit.c tests/check.c && ./tests/check; status=$?\n"
    run += "rm -f tests/check tests/found.txt; exit $status\n"
    return {"tests/check.c": "\n".join(lines).encode(), "tests/run.sh": run.encode()}, "sh tests/run.sh"


def _from_repository(name: str, box: Box, count: int, seed: int) -> list[Instance]:
    """`count` proven mutants of a repository in `repos/`, each with another first failing test."""
    folder = REPOS / name
    tests: list[str] = json.loads((folder / "tests.json").read_text(encoding="utf-8"))
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "tests.json"}
    broken_path = "kit.c"
    original = files[broken_path].decode()
    run = partial(_run_c, tests)
    expected = run(box, files)
    if list(expected) != tests or any(result.startswith("!") for result in expected.values()):
        raise SandboxError(f"{name}: its own tests don't end; is gcc there?")
    instances: list[Instance] = []
    used: set[str] = set()
    for mutant in mutants(original, np.random.default_rng([seed, 83])):
        if len(instances) == count:
            break
        source = mutant.applied(original)
        results = run(box, {**files, broken_path: source.encode()})
        fails = [test for test in tests if results.get(test) != expected[test]]
        if list(results) != tests or not fails or len(fails) == len(tests) or fails[0] in used:
            continue
        if not all(line.isprintable() for text in results.values() for line in text.split("\n")):
            continue
        used.add(fails[0])
        passes = [test for test in tests if test not in fails]
        shown = [*(test for k, test in enumerate(passes) if k % VISIBLE != VISIBLE - 1), fails[0]]
        made, command = _c_tests({test: expected[test] for test in shown})
        note = f"# {name}\n\nThe code is in {broken_path}. Tests: `{command}`.\n"
        given = {**files, broken_path: source.encode(), "README.md": note.encode(), **made}
        text = f"A function in {broken_path} is wrong.\n\n    {fails[0]}\n\n"
        text += f"gives `{results[fails[0]]}`, but it should give `{expected[fails[0]]}`. Repair it."
        patch = file_diff(broken_path, source.encode(), original.encode())
        number = f"builtin__{name}-{len(instances) + 1}"
        instances.append(
            Instance(number, f"builtin/{name}", "c", text, given, broken_path, tuple(files), command, patch,
                     tuple(fails), tuple(passes), dict(expected), run)
        )  # fmt: skip
    return instances


def c_instances(box: Box, count: int, seed: int) -> list[Instance]:
    """`count` repairs of each repository in C.

    Raises:
        SandboxError: the tests of one don't end.
    """
    return [instance for name in ("c_numbers", "c_text") for instance in _from_repository(name, box, count, seed)]
