"""Regular expressions as automata: what a begun string still needs to match, in the fewest characters."""

import heapq
from collections.abc import Sequence
from functools import lru_cache

from k2model.inference.json_schema.regex_syntax import TOP, PatternError, Ranges, Tree, parse

MAX_STATES = 30_000
MAX_VISITS = 20_000
MAX_VISITED_STATES = 1_000_000  # of automata, all visits together
PREFERRED = [ord(sign) for sign in "a0A x-_.:/"]
States = frozenset[int]


class Pattern:
    """The automaton of a regular expression, which is searched for anywhere in the text (as JSON Schema has it).

    Raises:
        PatternError: not of the dialect.
    """

    def __init__(self, regex: str) -> None:
        self._steps: list[list[tuple[Ranges, int]]] = []
        self._empty: list[list[int]] = []
        self._at_start: list[list[int]] = []
        self._at_end: list[list[int]] = []
        begin, self._final = self._state(), self._state()
        entry = self._build(parse(regex), self._final)
        everything = ((0, TOP),)
        self._steps[begin].append((everything, begin))
        self._empty[begin].append(entry)
        self._steps[self._final].append((everything, self._final))
        self.start = self._closure({begin}, [self._empty, self._at_start])
        self._accepting = self._closure_back({self._final})
        self._distance = self._distances()
        self._after: dict[tuple[States, int], States] = {}

    def step(self, states: States, character: int) -> States:
        """The states after one more character."""
        if (states, character) not in self._after:
            if len(self._after) >= MAX_STATES:
                self._after.clear()
            self._after[states, character] = self._stepped(states, character)
        return self._after[states, character]

    def _stepped(self, states: States, character: int) -> States:
        reached = {
            target
            for state in states
            for ranges, target in self._steps[state]
            if any(low <= character <= high for low, high in ranges)
        }
        return self._closure(reached, [self._empty])

    def read(self, states: States, text: str) -> States:
        """The states after a text."""
        for character in text:
            states = self.step(states, ord(character))
        return states

    def accepts(self, states: States) -> bool:
        """True when the text so far matches."""
        return not states.isdisjoint(self._accepting)

    def matches(self, text: str) -> bool:
        """True for a text in which the expression is found."""
        return self.accepts(self.read(self.start, text))

    def distance(self, states: States) -> int | None:
        """The fewest characters to a match; None when there is none."""
        return min((self._distance[state] for state in states if state in self._distance), default=None)

    def characters(self, states: States, *, ends: bool) -> set[int]:
        """A character of each step that may come next; with `ends` also both ends of each of its ranges."""
        chosen: set[int] = set()
        for ranges in {ranges for state in states for ranges, _ in self._steps[state]}:
            known = (sign for sign in PREFERRED if any(low <= sign <= high for low, high in ranges))
            chosen.add(next(known, min((low for low, _ in ranges), key=lambda low: (_price(low) or 99, low))))
            if ends:
                chosen.update(end for both in ranges[:40] for end in both)
        return chosen

    def _state(self, *, step: tuple[Ranges, int] | None = None, empty: Sequence[int] = (), at: str = "") -> int:
        """A new state with a step over characters, or with moves that take none (`at`: only at `^` or `$`)."""
        number = len(self._steps)
        if number >= MAX_STATES:
            raise PatternError("a pattern with too many states")
        self._steps.append([step] if step is not None else [])
        for kind, table in (("", self._empty), ("^", self._at_start), ("$", self._at_end)):
            table.append(list(empty) if kind == at else [])
        return number

    def _build(self, tree: Tree, after: int) -> int:
        """The state where a part begins, of the one where it ends."""
        kind = tree[0]
        if kind == "set":
            return self._state(step=(tree[1], after))
        if kind == "at":
            return self._state(empty=[after], at=tree[1])
        if kind == "cat":
            for part in reversed(tree[1]):
                after = self._build(part, after)
            return after
        if kind == "or":
            return self._state(empty=[self._build(part, after) for part in tree[1]])
        _, part, least, most = tree
        if most is None:
            loop = self._state(empty=[after])
            self._empty[loop].append(self._build(part, loop))
            after = loop
        else:
            end = after
            for _ in range(most - least):
                after = self._state(empty=[end, self._build(part, after)])
        for _ in range(least):
            before, after = after, self._build(part, after)
            if before == after:
                break  # of a part without characters, which could be repeated without end
        return after

    @staticmethod
    def _closure(states: set[int], moves: Sequence[list[list[int]]]) -> States:
        reached, todo = set(states), list(states)
        while todo:
            state = todo.pop()
            new = [target for table in moves for target in table[state] if target not in reached]
            reached.update(new)
            todo += new
        return frozenset(reached)

    def _closure_back(self, goal: set[int]) -> States:
        """States from which the goal is reached without a character, at the end of the text."""
        back: dict[int, list[int]] = {}
        for table in (self._empty, self._at_end):
            for state, targets in enumerate(table):
                for target in targets:
                    back.setdefault(target, []).append(state)
        reached, todo = set(goal), list(goal)
        while todo:
            new = [state for state in back.get(todo.pop(), ()) if state not in reached]
            reached.update(new)
            todo += new
        return frozenset(reached)

    def _distances(self) -> dict[int, int]:
        back: dict[int, list[tuple[int, int]]] = {}
        for state, targets in enumerate(self._empty):
            for target in targets:
                back.setdefault(target, []).append((state, 0))
        for state, steps in enumerate(self._steps):
            for ranges, target in steps:
                if ranges:
                    back.setdefault(target, []).append((state, 1))
        distance: dict[int, int] = {}
        heap = [(0, state) for state in self._accepting]
        while heap:
            far, state = heapq.heappop(heap)
            if state in distance:
                continue
            distance[state] = far
            for before, cost in back.get(state, ()):
                if before not in distance:
                    heapq.heappush(heap, (far + cost, before))
        return distance


@lru_cache(maxsize=4096)
def compiled(regex: str) -> Pattern:
    """The automaton of an expression, made once. Raises PatternError."""
    return Pattern(regex)


def shortest_rest(patterns: Sequence[Pattern], begun: str, least: int, most: int | None) -> str | None:
    """The fewest characters after which a begun text matches all patterns and has `least` to `most` characters.

    None when there are none, or when they aren't found within `MAX_VISITS` and `MAX_VISITED_STATES`.
    """
    if not patterns:
        return "a" * max(0, least - len(begun)) if most is None or max(least, len(begun)) <= most else None
    states = tuple(pattern.read(pattern.start, begun) for pattern in patterns)
    order = 0
    heap: list[tuple[int, int, int, tuple[States, ...], int, str]] = []
    seen: set[tuple[tuple[States, ...], int]] = set()

    def push(states: tuple[States, ...], length: int, cost: int, rest: str) -> None:
        nonlocal order
        far = [pattern.distance(here) for pattern, here in zip(patterns, states, strict=True)]
        left = max((value for value in far if value is not None), default=0)
        if None in far or (most is not None and length + left > most):
            return
        order += 1
        heapq.heappush(heap, (cost + max(left, least - length), -length, order, states, cost, rest))

    push(states, len(begun), 0, "")
    visited = 0
    while heap and len(seen) < MAX_VISITS and visited < MAX_VISITED_STATES:
        _, minus, _, states, cost, rest = heapq.heappop(heap)
        visited += sum(map(len, states))
        # Beyond the least length the length matters only where there is a most.
        key = (states, -minus if most is not None else min(-minus, least))
        if key in seen:
            continue
        seen.add(key)
        if -minus >= least and all(pattern.accepts(here) for pattern, here in zip(patterns, states, strict=True)):
            return rest
        together = len(patterns) > 1
        pairs = list(zip(patterns, states, strict=True))
        candidates = set[int]().union(*(pattern.characters(here, ends=together) for pattern, here in pairs))
        reached: set[tuple[States, ...]] = set()
        for code in sorted(candidates, key=lambda code: (_price(code), code)):
            after = tuple(pattern.step(here, code) for pattern, here in pairs)
            if _price(code) and after not in reached:
                reached.add(after)
                push(after, 1 - minus, cost + _price(code), rest + chr(code))
    return None


def _price(code: int) -> int:
    """Characters of JSON that a character takes; 0 for what should not be written."""
    if code in (0x22, 0x5C, 9, 10, 13):
        return 2
    if code < 0x20 or 0x7F <= code < 0xA0:
        return 6
    return 0 if 0xD800 <= code < 0xE000 or code > TOP - 2 else 1 + (code > 0x7E)
