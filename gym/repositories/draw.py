"""Which bugs are tried: evenly over kinds and functions, some blanked bodies, some combinations of two or three."""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from gym.repositories.baseline import Baseline
from gym.repositories.covering import covering
from gym.repositories.mutations import mutations
from gym.repositories.parsed import Function, Source
from gym.repositories.project import Project
from gym.repositories.task import Edit

BLANKED = 0.15  # share of the candidates
COMBINED = 0.15
THREE = 0.25  # share of three among combinations
ONE_FILE = 0.5  # share of combinations in one file, where it has functions enough
TELLING = 60  # characters of a body from which on a twin tells what was changed; a blanked one is told by any
PER_FUNCTION = 8  # candidates; about three quarters are tasks


def parse_code(project: Project) -> dict[str, Source]:
    """The code files by path; a file that this Python can't read is left out, as its tests are."""
    sources = {}
    for path in project.code:
        try:
            sources[path] = Source(path, project.files[path])
        except (SyntaxError, ValueError):
            continue
    return sources


class Draw:
    """Iterates over candidates: edits of one function, or of two or three, that tests run. No edit comes twice.

    A function gives `PER_FUNCTION` edits at most, those in combinations too, and the iterator ends when no function has
    one left. Equal projects and seeds give equal candidates.
    """

    def __init__(self, project: Project, baseline: Baseline, sources: Mapping[str, Source], seed: int) -> None:
        self._rng = np.random.default_rng([seed, 20_614])
        self._left: dict[tuple[str, str], dict[str, list[Edit]]] = defaultdict(lambda: defaultdict(list))
        self._used: Counter[tuple[str, str]] = Counter()
        self._kinds: Counter[str] = Counter()
        twins = _Twins(project, sources)
        for path, source in sources.items():
            told = {one.name: least for one in source.functions if (least := twins.told(source, one))}
            for edit in mutations(source):
                if told.get(edit.function, 0) >= (1 if edit.kind == "blank_body" else TELLING):
                    continue
                if covering(baseline, sources, (edit,)):
                    self._left[path, edit.function][edit.kind].append(edit)
        self._round: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[tuple[Edit, ...]]:
        while True:
            what = float(self._rng.random())
            blank = what < BLANKED
            count = 1 if what < 1 - COMBINED else 3 if self._rng.random() < THREE else 2
            first = self._next(blank=blank)
            if first is None:
                return
            edits = [first]
            same = bool(self._rng.random() < ONE_FILE)
            while len(edits) < count and (other := self._other(edits, same)):
                edits.append(other)
            yield tuple(sorted(edits, key=lambda edit: (edit.path, edit.start)))

    def _functions(self) -> list[tuple[str, str]]:
        return [one for one, kinds in self._left.items() if kinds and self._used[one] < PER_FUNCTION]

    def _next(self, *, blank: bool) -> Edit | None:
        """Of the next function in a round of all; with `blank` of the next one whose body can be left out."""
        for _ in range(2):
            for place, function in enumerate(self._round):
                kinds = self._left[function]
                if kinds and self._used[function] < PER_FUNCTION and (not blank or "blank_body" in kinds):
                    del self._round[place]
                    return self._take(function, blank=blank)
            functions = self._functions()
            order = self._rng.permutation(len(functions))
            self._round += [functions[int(place)] for place in order]
        return self._next(blank=False) if blank else None

    def _other(self, edits: list[Edit], same: bool) -> Edit | None:
        """Of a function that holds none of the edits and lies in none that does."""
        taken = {(edit.path, edit.function) for edit in edits}
        free = [one for one in self._functions() if not any(_related(one, other) for other in taken)]
        near = [one for one in free if (one[0] == edits[0].path) == same] or free
        return self._take(near[int(self._rng.integers(len(near)))], blank=False) if near else None

    def _take(self, function: tuple[str, str], *, blank: bool) -> Edit:
        """An edit of the kind that was drawn least so far."""
        kinds = self._left[function]
        names = ["blank_body"] if blank else [kind for kind in sorted(kinds) if kind != "blank_body"] or ["blank_body"]
        least = min(self._kinds[kind] for kind in names)
        names = [kind for kind in names if self._kinds[kind] == least]
        kind = names[int(self._rng.integers(len(names)))]
        edit = kinds[kind].pop(int(self._rng.integers(len(kinds[kind]))))
        if not kinds[kind]:
            del kinds[kind]
        self._used[function] += 1
        self._kinds[kind] += 1
        return edit


def _related(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether one function is the other or lies in it."""
    a, b = f"{one[1]}.", f"{other[1]}."
    return one[0] == other[0] and (a.startswith(b) or b.startswith(a))


class _Twins:
    """Bodies that stand in a project twice: the answer would lie in the tree.

    The same program, or the same words in whatever file: a copy in `build/`, a recipe in the documentation.
    """

    def __init__(self, project: Project, sources: Mapping[str, Source]) -> None:
        self._words = [" ".join(content.decode("utf-8", "replace").split()) for content in project.files.values()]
        self._programs: Counter[str] = Counter()
        for path, content in project.files.items():
            if path.endswith(".py"):
                try:
                    source = sources.get(path) or Source(path, content)
                except (SyntaxError, ValueError):
                    continue
                self._programs.update(_program(function) for function in source.functions)

    def told(self, source: Source, function: Function) -> int:
        """Characters of its body, without runs of blanks, where it has a twin; else 0."""
        body = function.body
        words = " ".join(source.content[source.start(body[0]) : source.end(body[-1])].decode().split())
        twin = self._programs[_program(function)] > 1 or sum(text.count(words) for text in self._words) > 1
        return len(words) if twin else 0


def _program(function: Function) -> str:
    return "\n".join(ast.dump(statement) for statement in function.body)
