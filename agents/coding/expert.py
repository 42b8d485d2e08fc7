"""A scripted programmer: reads an issue, finds the bug by what its tools return, repairs it and checks the repair.

It knows the repair and which functions lead to it; nothing else. What it opens, searches for, quotes and says has stood
in the issue or in a result before, and what it does next depends on what really came back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agents.coding.code_map import CodeMap, Definition
from agents.coding.evidence import SUITE, Evidence, cut_down
from agents.coding.finding import Finder
from agents.coding.fixes import Change, broken_files, misremembered, print_change, right_change, wrong_change
from agents.coding.hands import Hands, Work
from agents.coding.suite import Tests
from agents.coding.wording import Words, told
from agents.conversations.agents import Agent
from gym.repositories.project import Project
from gym.repositories.task import Edit, RepairTask

# Orders of work: what is done before the search for the cause, and what else it holds; how often each is taken.
ORDERS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "reproduce": (("reproduce",), 3.0),
    "overview": (("tree", "reproduce"), 1.5),
    "tests": (("tests",), 2.5),
    "code": ((), 1.5),
    "trace": (("reproduce", "trace"), 1.0),
    "narrow": (("reproduce", "smaller", "print"), 1.5),
    "probe": (("reproduce", "print"), 1.0),
    "specification": (("specification",), 1.5),
}
ASTRAY = 0.5  # where another function is in reach: a third of all sessions
TWICE = 2  # a step goes wrong at most this often in a row


class Expert:
    """A model (see `agents/loop/loop.py`) with an agent's slips, recoveries and thoughts.

    Args:
        files: of the repository as the agent finds it.
        shell: whether `bash` is a shell.
    """

    def __init__(
        self, project: Project, task: RepairTask, files: Mapping[str, bytes], agent: Agent, seed: int, *, shell: bool
    ) -> None:
        self.project, self.task, self.agent = project, task, agent
        rng = np.random.default_rng([seed, 43])
        self.hands = Hands(task.issue, Words(rng), rng, shell=shell, thinks=agent.thinks)
        self.evidence = Evidence(self.hands, task, files)
        self.tests = Tests(self.hands, self.evidence, project, task)
        self.bugs = task.edits
        self.reported = task.form.count("+") + 1  # matters that the issue tells of
        self.order = self._order(rng)
        self.steps = ORDERS[self.order][0]
        astray = bool(rng.random() < ASTRAY)
        tracing = "trace" in self.steps
        self.finder = Finder(self.hands, self.evidence, project.packages, astray=astray, prefers_trace=tracing)
        self.slips = 0
        self.done: list[tuple[Change, str]] = []
        self.work: Work[None] | None = None

    def _order(self, rng: np.random.Generator) -> str:
        """One of the orders that the task allows."""
        snippet = self.evidence.snippet
        able = {
            "reproduce": snippet is not None,
            "trace": self.hands.shell,
            "smaller": snippet is not None and bool(cut_down(snippet)),
            "tests": bool(self.evidence.shown_failing),
        }
        open_to = {
            name: share for name, (steps, share) in ORDERS.items() if all(able.get(step, True) for step in steps)
        }
        shares = np.array(list(open_to.values()))
        return list(open_to)[int(rng.choice(len(open_to), p=shares / shares.sum()))]

    def __call__(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if self.work is None:
            self.work = self._work()
            return next(self.work)
        count = next(k for k, message in enumerate(reversed(messages)) if message["role"] != "tool")
        return self.work.send([str(message["content"]) for message in messages[len(messages) - count :]])

    # ---- the whole --------------------------------------------------------------------------------------------------

    def _work(self) -> Work[None]:
        yield from self._prepare()
        while self.bugs:
            files = broken_files(self.project, self.bugs)
            self.evidence.files = {**self.evidence.files, **{path: files[path] for path in self.project.code}}
            code = CodeMap(files, self.project.code)
            bug = self._nearest(code)
            if bug is None:
                if self.done and not self.evidence.whole:
                    yield from self.evidence.run_suite()
                elif self.evidence.red is None:
                    yield from self.tests.run(first=True)
                bug = self._nearest(code)
            if bug is None and self.done:
                yield self._say("failed")
                return
            bug = bug or self.bugs[0]
            change = right_change(self.project, self.bugs, bug, around=self.hands.between(0, 1))
            target = self._target(code, bug, change)
            goal = range(change.first, change.last + 1)
            if target is None or not (yield from self.finder.find(code, target, goal)):
                yield self._say("lost" if not self.done else "failed")
                return
            if not (yield from self._repair(files, bug, target, change)):
                return
            yield from self._check(target)
            if self.bugs and not self.evidence.red and self.reported > len(self.done):
                self.hands.remark = self.hands.words.say("further")
                continue
            if self.bugs and not self.evidence.red and not self.evidence.whole:
                yield from self.evidence.run_suite()
            if not self.evidence.red:
                break
            if not self.bugs:
                yield self._say("failed")
                return
            self.hands.remark = self.hands.words.say("more")
        if self.evidence.script and self.hands.chance(0.6):
            yield from self._clean_up()
        yield self._answer()

    def _prepare(self) -> Work[None]:
        """What comes before the search for the cause."""
        if "tree" in self.steps:
            yield from self._tree()
        if "reproduce" in self.steps:
            yield from self.evidence.reproduce()
        if "smaller" in self.steps:
            yield from self.evidence.smaller()
        if "tests" in self.steps:
            yield from self.tests.run(first=True)
            yield from self.tests.read_failing()
        if "specification" in self.steps:
            yield from self.tests.read_about()

    def _tree(self) -> Work[None]:
        hands = self.hands
        thought = hands.words.say("tree")
        if not hands.shell:
            yield from hands.act(thought, ("view", {"path": "."}))
        elif hands.chance(0.5):
            yield from hands.bash(thought, "ls")
        else:
            yield from hands.bash(thought, "find . -name '*.py' | sort | head -n 30")

    # ---- which bug, and where ---------------------------------------------------------------------------------------

    def _target(self, code: CodeMap, bug: Edit, change: Change | None = None) -> Definition | None:
        change = change or right_change(self.project, self.bugs, bug)
        changed = change.old.split("\n")
        offset = next((k for k, line in enumerate(changed) if line in change.cut), len(changed) // 2)
        named = bug.function.rpartition(".")[2]
        there = code.at(bug.path, change.first + offset)
        if there is not None and there.name == named:
            return there
        around = [one for one in code.by_name.get(named, ()) if one.path == bug.path]
        return min(around, key=lambda one: abs(one.first - change.first), default=there)

    def _nearest(self, code: CodeMap) -> Edit | None:
        """The bug that what was read so far leads to first."""
        targets = {bug: self._target(code, bug) for bug in self.bugs}
        self.finder.guilty = [target for target in targets.values() if target is not None]
        near = {}
        for bug, target in targets.items():
            distance = None if target is None else self.finder.distance(code, target)
            if distance is not None:
                near[bug] = distance
        return min(near, key=lambda bug: near[bug], default=None)

    # ---- the repair -------------------------------------------------------------------------------------------------

    def _repair(self, files: Mapping[str, bytes], bug: Edit, target: Definition, change: Change) -> Work[bool]:
        """Whether the bug is mended; False when the agent has given up or said so without a check."""
        hands, words = self.hands, self.hands.words
        if "print" in self.steps and not self.done and self.evidence.command:
            yield from self._print(files, target)
        for _ in range(TWICE):
            if not hands.chance(2 * self.agent.slip):
                break
            if hands.chance(0.35):
                yield from hands.edit(
                    words.say("fix", cause=self._cause(bug, change, target)), misremembered(change, hands.rng)
                )
                around = change.first - hands.between(1, 3), change.last + hands.between(1, 3)
                yield from hands.view(words.say("mismatch"), change.path, *around)
                break
            wrong = self._guess(files, target)
            if wrong is None or (self.evidence.snippet is None and not self.evidence.shown_failing):
                break  # nothing that could tell it from the right one
            line = wrong.cut[0].strip()
            yield from hands.edit(words.say("suspect", line=line), wrong)
            yield from self._check(target, thorough=False)
            if not self.evidence.red:
                self.done.append((wrong, target.name))
                return True
            if not hands.chance(self.agent.recover):
                yield self._say("failed")
                return False
            yield from hands.edit(words.say("take_back"), wrong.undone)
            if hands.chance(0.4):
                first = max(target.first, change.first - hands.between(4, 10))
                yield from hands.view(words.say("look_again", name=target.name), change.path, first, change.last + 3)
        if hands.chance(self.agent.slip / 2) and (wrong := self._guess(files, target)) is not None:
            yield from hands.edit(words.say("suspect", line=wrong.cut[0].strip()), wrong)
            yield self._say("claimed")
            return False
        yield from hands.edit(words.say("fix", cause=self._cause(bug, change, target)), change)
        self.done.append((change, target.name))
        self.bugs = tuple(one for one in self.bugs if one != bug)
        return True

    def _cause(self, bug: Edit, change: Change, target: Definition) -> str:
        return self.hands.words.cause(bug, change, target.name)

    def _guess(self, files: Mapping[str, bytes], target: Definition) -> Change | None:
        """A wrong change of a line that was read."""
        seen = self.hands.notes.lines.get(target.path, {})
        lines = [line for line in range(target.first, target.last + 1) if line in seen]
        if not lines:
            return None
        good = self.project.files[target.path]
        wrong = wrong_change(files[target.path], good, target, lines, self.hands.rng)
        known = wrong is not None and self.hands.notes.sees(wrong.path, range(wrong.first, wrong.last + 1))
        return wrong if known else None

    def _print(self, files: Mapping[str, bytes], target: Definition) -> Work[None]:
        """A print at the start of the suspect, the example again, and the print out again."""
        hands, words = self.hands, self.hands.words
        if target.body <= target.first or target.name.startswith("__") or target.kind != "def":
            return
        shown = print_change(files[target.path], target)
        if not hands.notes.sees(shown.path, range(shown.first, shown.last + 1)):
            return
        yield from hands.edit(words.say("print_in", name=target.name), shown)
        result = yield from hands.bash(words.say("print_run"), self.evidence.command)
        reached = f"\n{target.name}" in f"\n{result}"
        yield from hands.edit(words.say("print_seen" if reached else "print_missed", name=target.name), shown.undone)

    # ---- the checks and the answer ----------------------------------------------------------------------------------

    def _check(self, target: Definition, *, thorough: bool = True) -> Work[None]:
        """The example, and the tests unless the example alone settles a guess."""
        evidence, hands = self.evidence, self.hands
        names = [target.name, *self.tests.names()]
        path = evidence.test_file(names)
        if (
            evidence.command
            and path
            and not evidence.whole
            and hands.notes.knows_path(path)
            and self.agent.together
            and hands.chance(0.5)
        ):
            yield from evidence.both(path)
            return
        if evidence.command:
            yield from evidence.again()
        elif evidence.snippet is not None:
            yield from evidence.reproduce(after=True)
            hands.remark = "" if evidence.red else hands.words.say("passed")
        if evidence.red and evidence.example is False:
            return
        if evidence.whole:
            yield from evidence.run_suite()
            return
        if (thorough or evidence.example is None) and path and (yield from evidence.find_tests(path, names)):
            yield from evidence.run_tests(path, first=False)

    def _clean_up(self) -> Work[None]:
        script = self.evidence.script
        remove = f"rm {script}" if self.hands.shell else f"python -c \"import os; os.remove('{script}')\""
        yield from self.hands.bash(self.hands.words.say("cleanup", file=script), remove)

    def _say(self, key: str) -> dict[str, Any]:
        return {"role": "assistant", "content": self.hands.words.say(key), "reasoning_content": ""}

    def _answer(self) -> dict[str, Any]:
        """What was wrong and what shows that it is repaired."""
        say = self.hands.words.say
        parts = [say("repaired")]
        for number, (change, function) in enumerate(self.done):
            key = "and_reason" if number else "reason"
            parts.append(say(key, function=function, path=change.path, what=told(change)))
        if self.evidence.example:
            parts.append(say("shown"))
        parts += [say("green", path=path) if path != SUITE else say("green_suite") for path in self.evidence.passed]
        if not self.evidence.example and not self.evidence.passed:
            parts.append(say("unchecked"))
        return {"role": "assistant", "content": " ".join(filter(None, parts)), "reasoning_content": ""}
