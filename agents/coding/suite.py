"""The repository's tests as an agent comes to them: which file, what failed in it, what it says of a name."""

import re

from agents.coding.code_map import CodeMap
from agents.coding.evidence import Evidence
from agents.coding.hands import Hands, Work
from gym.repositories.project import Project
from gym.repositories.task import RepairTask


class Tests:
    """The tests that are in the agent's tree."""

    def __init__(self, hands: Hands, evidence: Evidence, project: Project, task: RepairTask) -> None:
        self.hands, self.evidence, self.project, self.task = hands, evidence, project, task

    def names(self) -> list[str]:
        """What tests could be found by: what was changed or is called, as far as it was read."""
        named = CodeMap(self.evidence.files, self.project.code).by_name
        changed = [bug.function.rpartition(".")[2] for bug in self.task.edits]
        reported = [word for word in re.findall(r"\w+", self.task.issue) if word in named and len(word) > 2]
        others = [name for name in sorted(named) if len(name) > 3]
        return [name for name in dict.fromkeys([*changed, *reported, *others]) if name in self.hands.notes.words]

    def run(self, *, first: bool) -> Work[None]:
        names = self.names()
        path = self.evidence.test_file(names)
        if path and (yield from self.evidence.find_tests(path, names)):
            yield from self.evidence.run_tests(path, first=first)

    def read_failing(self) -> Work[None]:
        """Reads a test that failed, where the run said in which line."""
        tests = {test.split("::")[-1].split("[")[0]: test.split("::")[0] for test in self.evidence.shown_failing}
        for path, line, name in self.evidence.frames:
            if tests.get(name) == path:
                thought = self.hands.words.say("view_test", name=name)
                first, last = line - self.hands.between(4, 10), line + self.hands.between(1, 5)
                yield from self.hands.view(thought, path, first, last)
                return

    def read_about(self) -> Work[None]:
        """Reads what the tests say of what was reported, before the code."""
        names = self.names()
        path = self.evidence.test_file(names)
        if not path or not (yield from self.evidence.find_tests(path, names)):
            return
        lines = self.evidence.files[path].decode("utf-8", "replace").split("\n")
        for name in names:
            hits = [k for k, line in enumerate(lines, 1) if name in line and not line.startswith(("import", "from"))]
            if 0 < len(hits) <= 15:
                yield from self.hands.search(self.hands.words.say("find_tests", name=name), rf"\b{name}\b", path)
                return
