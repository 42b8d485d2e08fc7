"""How an agent gets from what was reported to the lines that are wrong, each step shown by the one before."""

import keyword
import re
from collections.abc import Sequence

from agents.coding.code_map import CodeMap, Definition
from agents.coding.evidence import Evidence
from agents.coding.hands import Hands, Work

WINDOW = 30  # lines of a view
LONGEST_WAY = 4  # definitions on it; a list of the functions that run tells more then
WINDOWS = 6  # of one function


class Finder:
    """
    Args:
        packages: names that the project's code is imported by.
        astray: whether it reads a function first that is not the one.
        prefers_trace: whether it lists the functions that run before it reads any.

    Attributes:
        guilty: definitions with the bugs that are there, which are never taken for a wrong one.
    """

    def __init__(
        self, hands: Hands, evidence: Evidence, packages: Sequence[str], *, astray: bool, prefers_trace: bool
    ) -> None:
        self.hands, self.evidence, self.packages = hands, evidence, packages
        self.astray, self.prefers_trace = astray, prefers_trace
        self.guilty: list[Definition] = []
        self.visited: set[tuple[str, str]] = set()

    def distance(self, code: CodeMap, target: Definition) -> int | None:
        """Steps from what was read to the target; None where nothing leads there."""
        if any(path == target.path and line in target for path, line, _ in self.evidence.frames):
            return 0
        way = code.way(self.hands.notes.words, target)
        return None if way is None else len(way)

    def find(self, code: CodeMap, target: Definition, goal: range) -> Work[bool]:
        """Whether the lines `goal` of the target were read in the end."""
        notes = self.hands.notes
        if notes.sees(target.path, goal):
            return True
        there = [one for one in self.evidence.frames if code.at(one[0], one[1]) is not None]
        if any(path == target.path and line in target for path, line, _ in there):
            return (yield from self._up(there, target, goal))
        way = code.way(notes.words, target)
        far = way is None or len(way) > LONGEST_WAY or self.prefers_trace
        package = next((name for name in self.packages if name in notes.words and f"{name}/" in target.path), "")
        if far and package and self.evidence.can_trace:
            before = target.name in notes.words
            yield from self.evidence.trace(package)
            if target.name in notes.words and not before:
                self.hands.remark = self.hands.words.say("traced", name=target.name, path=target.path)
            way = code.way(notes.words, target)
        if way is None:
            return False
        return (yield from self._walk(code, way, goal))

    # ---- from a traceback -------------------------------------------------------------------------------------------

    def _up(self, there: Sequence[tuple[str, int, str]], target: Definition, goal: range) -> Work[bool]:
        """Reads the last frame, then those above it, up to the target's."""
        for number, (path, line, name) in enumerate(reversed(there)):
            hit = path == target.path and line in target
            if number and not hit:
                continue  # straight to the frame that tells more
            key = "frame_up" if number else "frame"
            thought = self.hands.words.say(key, name=name, line=line)
            first = line - self.hands.between(8, 16)
            last = line + self.hands.between(5, 10)
            if hit:
                first, last = max(first, target.first - 2), max(last, min(goal.stop - 1, line + 20))
            yield from self.hands.view(thought, path, first, last)
            if hit:
                return (yield from self._read(target, goal))
        return False

    # ---- from name to name ------------------------------------------------------------------------------------------

    def _walk(self, code: CodeMap, way: Sequence[Definition], goal: range) -> Work[bool]:
        notes = self.hands.notes
        for number, here in enumerate(way):
            last = number == len(way) - 1
            following = None if last else way[number + 1]
            if not (yield from self._place(here, way[number - 1] if number else None)):
                return False
            if self.astray and (wrong := self._wrong(code, way)) is not None:
                self.astray = False
                yield from self._detour(wrong)
            if following is None:
                return (yield from self._read(here, goal))
            lines = range(here.first, here.last + 1)
            if here.kind == "class" and following.path == here.path and following.first in here:
                if following.name not in notes.words:
                    yield from self._outline(here.path)
            elif not notes.shows(here.path, lines, following.name):
                yield from self._read(here, lines, until=following.name)
            if following.name not in notes.words:
                return False
        return False

    def _place(self, here: Definition, caller: Definition | None) -> Work[bool]:
        """Whether it is known where the definition stands, after a search for it if it was not."""
        hands, notes = self.hands, self.hands.notes
        if (here.path, here.first) in notes.places or notes.sees(here.path, range(here.first, here.first + 1)):
            return True
        patterns = {"def": rf"def {here.name}\b", "class": rf"class {here.name}\b", "value": rf"^\s*{here.name}\b.*="}
        pattern = patterns[here.kind]
        if here.kind != "value" and hands.chance(0.3):
            pattern = rf"(def|class) {here.name}\b"
        if caller is None:
            thought = hands.words.say("define", name=here.name)
        else:
            thought = hands.words.say("step_into", name=here.name, caller=caller.name)
        narrow = notes.knows_path(here.path) and hands.chance(0.4)
        yield from hands.search(thought, pattern, here.path if narrow else "")
        if (here.path, here.first) not in notes.places and notes.knows_path(here.path):
            yield from hands.search(hands.words.say("outline", path=here.path), pattern, here.path)
        return (here.path, here.first) in notes.places

    def _outline(self, path: str) -> Work[None]:
        yield from self.hands.search(self.hands.words.say("outline", path=path), r"^\s*(async def|def|class) ", path)

    def _wrong(self, code: CodeMap, way: Sequence[Definition]) -> Definition | None:
        """Another function whose name and file were read, and that no bug is in; the nearest in the text."""
        notes = self.hands.notes
        others = [
            one
            for one in code.definitions
            if one.kind == "def"
            and one.name in notes.words
            and notes.knows_path(one.path)
            and not any(one.path == bad.path and (bad.first in one or one.first in bad) for bad in self.guilty)
            and one not in way
            and one.last - one.first <= WINDOW
        ]
        near = way[-1].path
        return min(others, key=lambda one: (one.path != near, abs(one.first - way[-1].first)), default=None)

    def _detour(self, wrong: Definition) -> Work[None]:
        hands = self.hands
        if (wrong.path, wrong.first) not in hands.notes.places:
            yield from hands.search(hands.words.say("other", name=wrong.name), rf"def {wrong.name}\b", wrong.path)
            thought = hands.words.say("read", name=wrong.name)
        else:
            thought = hands.words.say("other", name=wrong.name)
        yield from hands.view(thought, wrong.path, wrong.first - hands.between(0, 2), wrong.last + hands.between(0, 2))
        hands.remark = hands.words.say("not_other", name=wrong.name)

    # ---- within a function ------------------------------------------------------------------------------------------

    def _read(self, here: Definition, goal: range, until: str = "") -> Work[bool]:
        """Reads a definition from its first line on until the goal was seen, or a name in it."""
        hands, notes = self.hands, self.hands.notes

        def enough() -> bool:
            if until:
                return notes.shows(here.path, range(here.first, here.last + 1), until)
            return notes.sees(here.path, goal)

        seen = notes.lines.get(here.path, {})
        for number in range(WINDOWS):
            begin = next((line for line in range(here.first, here.last + 1) if line not in seen), here.last + 1)
            if enough() or begin > here.last:
                break
            if number == 1 and not until and goal.start - begin > WINDOW:
                yield from self._jump(here, goal)
                if enough():
                    break
            if begin == here.first:
                begin -= hands.between(0, 3)
            end = begin + WINDOW - hands.between(0, 5)
            if here.last - begin < WINDOW + 5:
                end = here.last + hands.between(0, 4)
            if begin < goal.stop <= end + 6:
                end = max(end, goal.stop - 1 + hands.between(0, 3))
            again = (here.path, here.name) in self.visited
            self.visited.add((here.path, here.name))
            yield from hands.view(
                hands.words.say("read_on" if again else "read", name=here.name), here.path, begin, end
            )
            seen = notes.lines.get(here.path, {})
        if not enough() and not until:  # what stands around the function belongs to the edit
            yield from hands.view(hands.words.say("near", line=here.last), here.path, goal.start, goal.stop)
        return enough()

    def _jump(self, here: Definition, goal: range) -> Work[None]:
        """In a long function: searches for a word of the report, and reads where it is found."""
        hands = self.hands
        issue = set(re.findall(r"[A-Za-z_]{4,}", hands.notes.issue)) - set(keyword.kwlist)
        content = self.evidence.files[here.path].decode("utf-8", "replace").split("\n")
        for word in sorted(issue):
            lines = [line for line, text in enumerate(content, 1) if re.search(rf"\b{word}\b", text)]
            near = [line for line in lines if goal.start - 12 <= line <= goal.stop + 12]
            if near and len(lines) <= 12:
                thought = hands.words.say("word", name=here.name, word=word)
                yield from hands.search(thought, rf"\b{word}\b", here.path)
                first, last = min(near[0], goal.start) - hands.between(2, 6), max(near[0], goal.stop) + 4
                yield from hands.view(hands.words.say("near", line=near[0]), here.path, first, last)
                return
