"""Repairs in C and JavaScript in SWE-bench's form: the small repositories of `repos/` with one proven mutation each.

They need no Docker. A test is a call; what it must give is known from the unbroken source and never enters the sandbox.
FAIL_TO_PASS and PASS_TO_PASS are proven by running: a mutant counts when every test ends, some give another result and
some don't.
"""

import json
import re
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gym.sandbox import Box, Job, Limits, SandboxError, Verdict
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
        files: of the base commit, without history; a folder `tests` is restored before grading.
        source: the path of the file that is broken.
        command: runs the tests that are in the repository; exit status 0 when they pass.
        patch: the gold patch, the inverse of the mutation.
        expected: what every test gives when all is right.
    """

    id: str
    repo: str
    language: str
    statement: str
    files: Mapping[str, bytes]
    source: str
    command: str
    patch: str = field(repr=False)
    fail_to_pass: tuple[str, ...] = field(repr=False)
    pass_to_pass: tuple[str, ...] = field(repr=False)
    expected: Mapping[str, str] = field(repr=False)

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
    """Official statuses (PASSED, FAILED) of the tests on these files; a test that never ended is absent.

    Raises:
        SandboxError: the sandbox failed.
    """
    clean = {path: content for path, content in files.items() if not path.startswith("tests/")}
    results = _RUN[instance.language](box, instance.repo, clean, list(instance.expected))
    return {test: "PASSED" if result == instance.expected[test] else "FAILED" for test, result in results.items()}


def _outcome(box: Box, job: Job) -> str:
    outcome = box.run(job).reached()
    return outcome.stdout


def _blocks(stdout: str, mark: str, tests: Sequence[str]) -> dict[str, str]:
    """What stands between one mark and the next; the last mark ends the last test."""
    parts = stdout.split(mark)[1:]
    return {test: part.strip("\n") for test, part in zip(tests, parts[:-1], strict=False)}


def _run_c(box: Box, repo: str, files: Mapping[str, bytes], tests: Sequence[str]) -> dict[str, str]:
    mark = f"@@{secrets.token_hex(8)}@@"
    functions = "\n".join(f"static void test_{k}(void) {{ {code} }}" for k, code in enumerate(tests))
    calls = "\n".join(f'  puts("{mark}"); test_{k}(); puts(""); fflush(stdout);' for k in range(len(tests)))
    driver = f'#include <stdio.h>\n#include <string.h>\n#include "kit.h"\n{functions}\nint main(void) {{\n{calls}\n'
    driver += f'  puts("{mark}");\n  return 0;\n}}\n'
    build = f"gcc -std=c11 -O1 -w {TRAPS} -o driver kit.c driver.c && ./driver"
    job = Job(argv=["sh", "-c", build], files={**files, "driver.c": driver}, limits=LIMITS)
    return _blocks(_outcome(box, job), f"{mark}\n", tests)


_JS_DRIVER = """'use strict';
const { tests, mark } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const write = (text) => require('fs').writeSync(1, text + '\\n');
const kit = require('./kit.js');
for (const test of tests) {
  write(mark);
  try {
    write(JSON.stringify(eval(test)) ?? 'undefined');
  } catch (error) {
    write('!' + error.name);
  }
}
write(mark);
"""


def _run_javascript(box: Box, repo: str, files: Mapping[str, bytes], tests: Sequence[str]) -> dict[str, str]:
    mark = f"@@{secrets.token_hex(8)}@@"
    stdin = json.dumps({"tests": list(tests), "mark": mark})
    job = Job(argv=["node", "driver.js"], files={**files, "driver.js": _JS_DRIVER}, stdin=stdin, limits=LIMITS)
    return _blocks(_outcome(box, job), f"{mark}\n", tests)


_RUN = {"c": _run_c, "javascript": _run_javascript}
_HIDDEN_TEXT = re.compile(
    r"//[^\n]*|/\*.*?\*/|^#[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`", re.DOTALL | re.M
)
_OPERATOR = re.compile(r"<=|>=|===|!==|==|!=|&&|\|\||(?<![<=>-])[<>](?![<>=])|\+=|-=|(?<=[^,(=] )[-+*/%](?= )|\b\d+\b")
_OTHER = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "===": "!==", "!==": "===", "&&": "||",
    "||": "&&", "+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "+=": "-=", "-=": "+=",
}  # fmt: skip


def mutants(source: str, rng: np.random.Generator) -> Iterator[str]:
    """The source with one operator or number changed, in random order, outside of comments and strings."""
    spans = [match.span() for match in _HIDDEN_TEXT.finditer(source)]
    places = [m for m in _OPERATOR.finditer(source) if not any(a <= m.start() < b for a, b in spans)]
    for number in rng.permutation(len(places)).tolist():
        match = places[number]
        new = _OTHER.get(match.group()) or str(int(match.group()) + 1)
        yield source[: match.start()] + new + source[match.end() :]


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


def _js_tests(tests: Mapping[str, str]) -> tuple[dict[str, bytes], str]:
    lines = ["'use strict';", "const test = require('node:test');", "const assert = require('node:assert');"]
    lines += ["const kit = require('../kit.js');", ""]
    for code, expected in tests.items():
        name = json.dumps(code)
        lines.append(f"test({name}, () => assert.strictEqual(JSON.stringify({code}), {json.dumps(expected)}));")
    run = "node --test --test-reporter=tap tests/ > tests/found.txt; status=$?\n"
    run += "grep -v duration_ms tests/found.txt; rm tests/found.txt; exit $status\n"
    return {"tests/kit.test.js": "\n".join([*lines, ""]).encode(), "tests/run.sh": run.encode()}, "sh tests/run.sh"


def _from_repository(name: str, language: str, box: Box, count: int, seed: int) -> list[Instance]:
    """`count` proven mutants of a repository in `repos/`, each with another first failing test."""
    folder = REPOS / name
    tests: list[str] = json.loads((folder / "tests.json").read_text(encoding="utf-8"))
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "tests.json"}
    broken_path = "kit.c" if language == "c" else "kit.js"
    original = files[broken_path].decode()
    run = _RUN[language]
    expected = run(box, name, files, tests)
    if list(expected) != tests or any(result.startswith("!") for result in expected.values()):
        raise SandboxError(f"{name}: its own tests don't end; is the tool for {language} there?")
    instances: list[Instance] = []
    used: set[str] = set()
    for source in mutants(original, np.random.default_rng([seed, 83])):
        if len(instances) == count:
            break
        results = run(box, name, {**files, broken_path: source.encode()}, tests)
        fails = [test for test in tests if results.get(test) != expected[test]]
        if list(results) != tests or not fails or len(fails) == len(tests) or fails[0] in used:
            continue
        if not all(line.isprintable() for text in results.values() for line in text.split("\n")):
            continue
        used.add(fails[0])
        passes = [test for test in tests if test not in fails]
        shown = [*(test for k, test in enumerate(passes) if k % VISIBLE != VISIBLE - 1), fails[0]]
        made, command = (_c_tests if language == "c" else _js_tests)({test: expected[test] for test in shown})
        note = f"# {name}\n\nThe code is in {broken_path}. Tests: `{command}`.\n"
        given = {**files, broken_path: source.encode(), "README.md": note.encode(), **made}
        text = f"A function in {broken_path} is wrong.\n\n    {fails[0]}\n\n"
        text += f"gives `{results[fails[0]]}`, but it should give `{expected[fails[0]]}`. Repair it."
        patch = file_diff(broken_path, source.encode(), original.encode())
        number = f"builtin__{name}-{len(instances) + 1}"
        instances.append(
            Instance(number, f"builtin/{name}", language, text, given, broken_path, command, patch, tuple(fails),
                     tuple(passes), dict(expected))
        )  # fmt: skip
    return instances


LANGUAGES = {"c": "gcc", "javascript": "node"}
_NAMES = {"c": ("c_text", "c_numbers"), "javascript": ("js_text", "js_collections")}


def multilingual_instances(box: Box, count: int, seed: int) -> list[Instance]:
    """`count` repairs of each repository whose language's tool runs in this sandbox."""
    instances: list[Instance] = []
    for language, tool in LANGUAGES.items():
        if box.level == "fork":
            continue
        if box.run(Job(argv=[tool, "--version"], limits=LIMITS)).verdict is Verdict.OK:
            for name in _NAMES[language]:
                instances += _from_repository(name, language, box, count, seed)
    return instances
