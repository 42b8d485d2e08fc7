"""What shows an agent that a bug is there, and later that it is gone: the report's example, and tests."""

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from agents.coding.hands import Hands, Work, python, tail
from agents.coding.notes import frames
from gym.repositories.task import RepairTask, Snippet

SUITE = ""  # in place of a test file: all of them
SCRIPTS = ("repro.py", "reproduce.py", "issue.py", "check_issue.py", "example.py")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?)(?: - .*)?$", re.MULTILINE)
_COUNTS = re.compile(r"^(?:=+ )?((?:\d+ \w+(?:, )?)+) in ", re.MULTILINE)


class Evidence:
    """
    Args:
        files: of the repository as the agent finds it.

    Attributes:
        red: whether the last look showed the bug; None before the first. frames: of the last failure, outermost first.
        example, passed: what was last seen of the report's example, and which test files passed as a whole.
    """

    def __init__(self, hands: Hands, task: RepairTask, files: Mapping[str, bytes]) -> None:
        self.hands, self.task, self.files = hands, task, files
        self.red: bool | None = None
        self.frames: list[tuple[str, int, str]] = []
        self.script = ""
        self.command = ""
        self.example: bool | None = None
        self.passed: dict[str, None] = {}
        self.traced = False
        self.whole = False  # whether the whole suite was run: from then on it is what tells

    # ---- the example ------------------------------------------------------------------------------------------------

    @property
    def snippet(self) -> Snippet | None:
        """The report's example, where the report really shows it."""
        snippet = self.task.snippet
        shown = snippet is not None and set(re.findall(r"[A-Za-z_]\w*", snippet.code)) <= self._sayable()
        return snippet if shown else None

    def _sayable(self) -> set[str]:
        return set(re.findall(r"[A-Za-z_]\w*", self.hands.notes.issue)) | {"import", "from"}

    def reproduce(self, *, after: bool = False) -> Work[None]:
        """Runs the report's example in one of several ways, for the first time; or only after a change."""
        assert self.snippet is not None
        hands, code = self.hands, program(self.snippet)
        why = "check" if after else "reproduce"
        short = "\n" not in code and len(code) < 120
        endless = "timeout 10 " if self.snippet.broken.startswith("!Endless") and hands.shell else ""
        ways = ["file", "file", *(["stdin", "here"] if hands.shell else []), *(["stdin"] if short else [])]
        way = ways[hands.between(0, len(ways) - 1)]
        lines = hands.between(6, 12)
        if way == "stdin":
            self.command = f"{endless}{python(code, lines, shell=hands.shell)}"
            self._look((yield from hands.bash(hands.words.say(why), self.command)))
            return
        self.script = SCRIPTS[hands.between(0, len(SCRIPTS) - 1)]
        self.command = tail(f"{endless}python {self.script}", lines, shell=hands.shell)
        if way == "here":
            command = f"cat > {self.script} <<'EOF'\n{code}\nEOF\n{self.command}"
            self._look((yield from hands.bash(hands.words.say(why), command)))
            return
        created = {"path": self.script, "old_str": "", "new_str": f"{code}\n"}
        yield from hands.act(hands.words.say(why if after else "write", file=self.script), ("edit", created))
        self._look((yield from hands.bash(hands.words.say("again" if after else "run"), self.command)))

    def _look(self, result: str) -> None:
        """Takes in what the example gave."""
        snippet = self.snippet
        assert snippet is not None
        self.example = shows(snippet.good, result)
        self.red = not self.example
        self.frames = frames(result)
        shown = snippet.broken.startswith("!Endless") or shows(snippet.broken, result)
        self.hands.remark = self._remark(snippet) if self.red and shown else ""

    def _remark(self, snippet: Snippet) -> str:
        """On the bug as it was seen; with values where they are short."""
        got, want = snippet.broken, snippet.good
        short = len(got) + len(want) <= 60 and "!" not in got[:1] + want[:1] and want in self.hands.notes.issue
        if short and self.hands.chance(0.5):
            return self.hands.words.say("happened_value", got=got, want=want)
        return self.hands.words.say("happened")

    def again(self) -> Work[None]:
        """The example as before."""
        result = yield from self.hands.bash(self.hands.words.say("again"), self.command)
        self._look(result)
        self.hands.remark = "" if self.red else self.hands.words.say("passed")

    def smaller(self) -> Work[None]:
        """A part of the example's input."""
        snippet = self.snippet
        code = "" if snippet is None else cut_down(snippet)
        if code:
            self.hands.remark = ""
            command = python(code, self.hands.between(3, 5), shell=self.hands.shell)
            yield from self.hands.bash(self.hands.words.say("smaller"), command)

    @property
    def can_trace(self) -> bool:
        return self.hands.shell and self.snippet is not None and not self.traced

    def trace(self, package: str) -> Work[None]:
        """Which functions of a package the example's script calls."""
        assert self.snippet is not None
        self.traced = True
        write = ""
        if not self.script:
            self.script = SCRIPTS[self.hands.between(0, len(SCRIPTS) - 1)]
            write = f"cat > {self.script} <<'EOF'\n{program(self.snippet)}\nEOF\n"
        names = rf"s|.*/\({re.escape(package)}/[^,]*\),.*funcname: \(.*\)|\1 \2|p"
        bodies = r"grep -v '<\| [A-Z]\w*$'"  # of modules and classes, which every import runs
        listed = f"python -m trace --listfuncs {self.script} | {bodies} | sed -n '{names}' | head -n 30"
        yield from self.hands.bash(self.hands.words.say("trace"), write + listed)

    # ---- tests ------------------------------------------------------------------------------------------------------

    @property
    def shown_failing(self) -> list[str]:
        return [test for test in self.task.fail_to_pass if test in set(self.task.shown)]

    def test_file(self, names: Sequence[str]) -> str:
        """The file whose tests tell most; empty for none.

        One with a failing test, as long as it has not passed; else the one that has the first of the names most often.
        """
        failing = [test.split("::")[0] for test in self.shown_failing]
        for path in failing:
            if path in self.files and path not in self.passed:
                return path
        shown = dict.fromkeys(test.split("::")[0] for test in self.task.shown)
        words = {path: Counter(re.findall(r"\w+", self._text(path))) for path in shown if path in self.files}
        for name in names:
            best = max(words, key=lambda path: words[path][name], default="")
            if best and words[best][name]:
                return best
        return next((path for path in failing if path in self.files), "")

    def _text(self, path: str) -> str:
        return self.files.get(path, b"").decode("utf-8", "replace")

    def _naming(self, path: str, names: Sequence[str]) -> str:
        """The first of the names that a file has; empty for none."""
        words = set(re.findall(r"\w+", self._text(path)))
        return next((name for name in names if name in words), "")

    def find_tests(self, path: str, names: Sequence[str]) -> Work[bool]:
        """Whether a test file has been seen, after a search for it by a name that was read."""
        hands = self.hands
        if hands.notes.knows_path(path):
            return True
        name = self._naming(path, [name for name in names if name in hands.notes.words])
        if name:
            thought = hands.words.say("find_tests", name=name)
            if hands.shell:
                yield from hands.bash(thought, f"grep -rlw {name} --include='*test*.py' . | sort | head -n 8")
            else:
                yield from hands.search(thought, rf"(import|def test).*\b{name}\b")
        if not hands.notes.knows_path(path) and hands.shell:
            yield from hands.bash(hands.words.say("tree"), "find . -name '*test*.py' | sort | head -n 40")
        return hands.notes.knows_path(path)

    def run_tests(self, path: str, *, first: bool) -> Work[None]:
        """A file's tests: before any change, with the text of failures, or after one."""
        lines = self.hands.between(14, 22) if first else self.hands.between(3, 6)
        thought = self.hands.words.say("tests_first" if first else "tests", path=path)
        result = yield from self.hands.bash(thought, tests_command(path, lines, shell=self.hands.shell))
        self.judge(path, result)
        self.hands.remark = "" if self.red else self.hands.words.say("passed")

    def run_suite(self) -> Work[None]:
        """Every test that is there."""
        lines = self.hands.between(14, 22)
        command = tail("python -m pytest -q", lines, shell=self.hands.shell)
        self.judge(SUITE, (yield from self.hands.bash(self.hands.words.say("suite"), command)))
        self.whole = True
        self.hands.remark = "" if self.red else self.hands.words.say("passed")

    def judge(self, path: str, result: str) -> None:
        """Takes in how tests went; one that belongs to no list says nothing about the bug."""
        if result.startswith("stopped:"):
            self.red = False
            return
        counts = " ".join(_COUNTS.findall(result))
        failed = _FAILED.findall(result)
        ours = {*self.task.fail_to_pass, *self.task.pass_to_pass}
        self.passed.pop(path, None)
        self.red = any(test in ours for test in failed) or (not failed and "passed" not in counts)
        if not failed and "passed" in counts and "failed" not in counts and "error" not in counts:
            self.passed[path] = None
        self.frames = frames(result) if self.red else []

    def both(self, path: str) -> Work[None]:
        """Example and tests in one step."""
        thought = self.hands.words.say("both", path=path)
        command = tests_command(path, self.hands.between(3, 5), shell=self.hands.shell)
        calls = [("bash", {"command": self.command}), ("bash", {"command": command})]
        shown, tested = yield from self.hands.act(thought, *calls)
        self._look(shown)
        self.judge(path, tested)
        self.red = self.red or not self.example
        self.hands.remark = ""


def shows(value: str, result: str) -> bool:
    """Whether a run printed a value, or ended in an exception, as `Snippet` holds it."""
    if value.startswith("!"):
        return value[1:].removesuffix(": ") in result
    return f"\n{value}\n" in f"\n{result}\n"


def program(snippet: Snippet) -> str:
    """The example as a script that prints what its last expression gives."""
    return f"{snippet.code.removesuffix(snippet.expression)}print(repr({snippet.expression}))"


def tests_command(path: str, lines: int, *, shell: bool) -> str:
    return tail(f"python -m pytest -q {path}", lines, shell=shell)


def cut_down(snippet: Snippet) -> str:
    """The example with the first half of its longest literal, as a script; empty where it has none to cut."""
    tree = ast.parse(snippet.code)
    nodes = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.List | ast.Tuple) and len(node.elts) > 2)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 3)
    ]
    if not nodes or not isinstance(tree.body[-1], ast.Expr):
        return ""
    longest = max(nodes, key=lambda node: len(ast.unparse(node)))
    if isinstance(longest, ast.Constant):
        longest.value = str(longest.value)[: len(str(longest.value)) // 2]
    elif isinstance(longest, ast.List | ast.Tuple):
        longest.elts = longest.elts[: len(longest.elts) // 2]
    lines = [ast.unparse(statement) for statement in tree.body]
    return "\n".join([*lines[:-1], f"print(repr({lines[-1]}))"])
