"""Does a rephrasing say what its source says? Scores of a pair of texts, and the verdict that thresholds give.

Nothing here asks a model: a small teacher is a poor judge of itself. A rephrasing must keep every name, number, date
and unit and bring no new one; every source sentence must be covered, every statement supported; numbers and names
must stand among the words among which they stood; copies and loops are no rephrasings.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from agents.rephrase.text import (
    FRAMING,
    Word,
    contrasts,
    is_label,
    is_question,
    name_tokens,
    negations,
    sentences,
    stem,
    without_speakers,
    words,
)

FRAMING_STEMS = frozenset(stem(word) for word in FRAMING)
SHARED_WEIGHT = 0.25  # of a word that several source sentences have: it doesn't show that this one was kept
COPY_N = 5
LOOP_N = 4


@dataclass(frozen=True)
class Thresholds:
    """What a rephrasing must reach.

    names, numbers: share of the source's that are kept (numbers with their units).
    new_names, new_numbers: how many the source doesn't have.
    coverage: of the worst source sentence: weighted share of its content words in the rephrasing; 0 when an
        enumeration lost an item.
    support: of the worst statement: share of its content words in the source.
    unsupported_run: content words in a row that the source doesn't have.
    similarity: cosine of content-word counts.
    copied: share of the statements' 5-grams that stand in the source. repeats: share of 4-grams said before.
    min_length, max_length: in words, relative to the source.
    """

    names: float = 1.0
    numbers: float = 1.0
    new_names: int = 0
    new_numbers: int = 0
    coverage: float = 0.7
    support: float = 0.5
    unsupported_run: int = 2
    similarity: float = 0.6
    copied: float = 0.8
    repeats: float = 0.15
    min_length: float = 0.5
    max_length: float = 2.0


@dataclass(frozen=True)
class Fidelity:
    """The scores of one rephrasing; the names are those of `Thresholds`, `turned` counts facts turned around."""

    names: float
    numbers: float
    new_names: int
    new_numbers: int
    coverage: float
    support: float
    unsupported_run: int
    turned: int
    similarity: float
    copied: float
    repeats: float
    length: float

    def reason(self, t: Thresholds) -> str:
        """Why it is rejected, '' when it is accepted."""
        failed = (
            ("loop", self.repeats > t.repeats),
            ("new number", self.new_numbers > t.new_numbers),
            ("new name", self.new_names > t.new_names),
            ("number lost", self.numbers < t.numbers),
            ("name lost", self.names < t.names),
            ("turned around", self.turned > 0),
            ("sentence dropped", self.coverage < t.coverage),
            ("invented", self.support < t.support or self.unsupported_run > t.unsupported_run),
            ("length", not t.min_length <= self.length <= t.max_length),
            ("copy", self.copied > t.copied),
            ("dissimilar", self.similarity < t.similarity),
        )
        return next((name for name, bad in failed if bad), "")


def fidelity(source: str, output: str, title: str = "", background: str = "") -> Fidelity:
    """Scores of `output` as a rephrasing of `source`.

    Args:
        title: its words may be used freely: a rewording may name what the source calls `it`.
        background: more text whose words support statements, such as the excerpt around a chunk.
    """
    given = f"{title}\n{background}"
    output = without_speakers(output)
    names = _known_names(f"{source}\n{given}")
    names |= _known_names(output) & {word.lower() for word in re.findall(r"\b[A-Z]\w+", source)}
    src = [tokens for tokens in (words(one, names) for one in sentences(source)) if tokens]
    out_texts = sentences(output)
    out = [words(one, names) for one in out_texts]
    statements = [w for w, text in zip(out, out_texts, strict=True) if w and not is_question(text)]
    labels = {w.stem for one, text in zip(out, out_texts, strict=True) if is_label(text) for w in one}
    spoken = [w for w, text in zip(out, out_texts, strict=True) if w and not is_label(text) and _says(w, text)]
    extra = [words(one, names) for one in sentences(given)]
    src_all, out_all = _flat(src), _flat(out)
    known = {w.stem for w in [*src_all, *_flat(extra)]}
    src_numbers, out_numbers = _numbers(src_all), _numbers(out_all)
    given_numbers = _numbers(_flat(extra))
    src_names, out_names = _names(src_all) | _first_words(src), _names(out_all)
    out_lower = {part for w in out_all for part in name_tokens(w)}
    known_lower = {part for w in [*src_all, *_flat(extra)] for part in name_tokens(w)}
    return Fidelity(
        names=_share(src_names, out_lower | {w.stem for w in out_all}),
        numbers=_kept_numbers(src_numbers, out_numbers),
        new_names=len(out_names - known_lower),
        new_numbers=_new_numbers(out_numbers, src_numbers + given_numbers),
        coverage=min((_coverage(one, src, out_all) for one in src), default=0.0) * _keeps_items(src, out_all),
        support=min((_support(w, known) for w in spoken), default=float(bool(out))),
        unsupported_run=max((_run(one, known) for one in out), default=0),
        turned=_turned(src, statements, known | labels, {part for w in words(title, names) for part in name_tokens(w)}),
        similarity=_cosine(src_all, out_all),
        copied=_copied(src_all, _flat(statements)),
        repeats=_repeats(out_all),
        length=sum(bool(w.stem) for w in out_all) / max(1, sum(bool(w.stem) for w in src_all)),
    )


def _flat(sentences_: Sequence[Sequence[Word]]) -> list[Word]:
    return [word for one in sentences_ for word in one]


def _known_names(text: str) -> frozenset[str]:
    """Words that stand with a capital inside a sentence, so that they are names at its beginning too."""
    inner = {part for one in sentences(text) for w in words(one) if w.name for part in (w.text.lower(),)}
    return frozenset(inner)


def _names(tokens: Sequence[Word]) -> set[str]:
    return {part for w in tokens if w.name for part in name_tokens(w)}


def _first_words(sentences_: Sequence[Sequence[Word]]) -> set[str]:
    """Stems of first words with a capital, which may be names: nothing in the sentence tells."""
    first = (next((w for w in one if w.content or w.text[0].isalnum()), None) for one in sentences_)
    return {w.stem for w in first if w and w.content and w.text[0].isupper() and w.stem not in FRAMING_STEMS}


def _numbers(tokens: Sequence[Word]) -> list[tuple[str, str]]:
    return [(w.number, w.unit) for w in tokens if w.number]


def _new_numbers(out: Sequence[tuple[str, str]], known: Sequence[tuple[str, str]]) -> int:
    """Numbers that the source hasn't, or has with another unit; a unit may be said again where it was left out."""
    units: dict[str, set[str]] = {}
    for number, unit in known:
        units.setdefault(number, set()).add(unit)
    every = set().union(*units.values()) if units else set()
    return sum(
        number not in units or (unit not in units[number] | {""} and not ("" in units[number] and unit in every))
        for number, unit in set(out)
    )


def _kept_numbers(src: Sequence[tuple[str, str]], out: Sequence[tuple[str, str]]) -> float:
    """Share of the numbers that are kept, with the unit where there is one."""
    plain = {number for number, _ in out}
    wanted = set(src)
    return sum((pair in out) if pair[1] else (pair[0] in plain) for pair in wanted) / len(wanted) if wanted else 1.0


def _share(wanted: set[str], found: set[str]) -> float:
    return len(wanted & found) / len(wanted) if wanted else 1.0


def _key(word: Word) -> bool:
    return word.content or bool(word.number)


def _coverage(sentence: Sequence[Word], src: Sequence[Sequence[Word]], out: Sequence[Word]) -> float:
    """Weighted share of a source sentence's content words that the rephrasing has."""
    said = {w.stem for w in out}
    stems = {w.stem for w in sentence if _key(w)}
    others = {w.stem for one in src if one is not sentence for w in one}
    weight = {one: SHARED_WEIGHT if one in others or one in FRAMING_STEMS else 1.0 for one in stems}
    total = sum(weight.values())
    return sum(value for one, value in weight.items() if one in said) / total if total else 1.0


def _keeps_items(src: Sequence[Sequence[Word]], out: Sequence[Word]) -> bool:
    """Whether every item of the source's enumerations, such as `quartz, feldspar and mica`, is said."""
    said = {w.stem for w in out}
    return all(item in said for one in src for item in _items(one))


def _items(tokens: Sequence[Word]) -> set[str]:
    """Stems of single content words that stand between commas and `and`, three of them or more."""
    spelt = [w for w in tokens if w.content or w.joint or not w.stem]
    found: set[str] = set()
    run: list[str] = []
    for place, w in enumerate(spelt):
        after = spelt[place + 1] if place + 1 < len(spelt) else None
        if w.joint and (w.text == "," or w.stem in {"and", "or"}):
            continue
        listed = w.content and after is not None and after.joint and (after.text == "," or after.stem in {"and", "or"})
        if listed:
            run.append(w.stem)
            continue
        if w.content and len(run) >= 2 and spelt[place - 1].stem in {"and", "or"}:
            found |= {*run, w.stem}
        run = []
    return found


def _says(tokens: Sequence[Word], text: str) -> bool:
    """False for a question of few words, such as `Who built it?`, which states nothing."""
    return not is_question(text) or sum(map(_key, tokens)) > 2


def _supported(word: Word, known: set[str]) -> bool:
    return word.stem in known or (word.stem in FRAMING_STEMS and not contrasts(word))


def _support(sentence: Sequence[Word], known: set[str]) -> float:
    keys = [w for w in sentence if _key(w)]
    return sum(_supported(w, known) for w in keys) / len(keys) if keys else 1.0


def _run(sentence: Sequence[Word], known: set[str]) -> int:
    """The most unsupported content words in a row; those of a part of a sentence that has no other count twice."""
    longest = now = 0
    part: list[bool] = []
    for w in [*sentence, Word(",", "", joint=True)]:
        if w.joint:
            if len(part) > 1 and not any(part) and w.text[0] != ":":
                longest = max(longest, 2 * len(part))
            part = []
        elif _key(w) and w.stem in known:
            part.append(True)
            now = 0
        elif _key(w) and not _supported(w, known):
            part.append(False)
            now += 1
            longest = max(longest, now)
    return longest


def _turned(
    src: Sequence[Sequence[Word]], statements: Sequence[Sequence[Word]], known: set[str], title: set[str]
) -> int:
    """Facts that the rephrasing turns around: new words of contrast, negations, values in each other's place."""
    said = {w.text.lower() for one in src for w in one}
    turned = sum(_contradicts(w, said) for one in statements for w in one if w.stem not in known)
    turned += abs(sum(map(negations, src)) - sum(map(negations, statements)))
    for one in statements:
        aligned = _aligned(one, src)
        here = {w.number for w in _flat(aligned) if w.number}
        there = title | {part for w in _flat(aligned) for part in name_tokens(w)}
        turned += sum(bool(w.number) and w.number not in here for w in one)
        turned += sum(w.name and not name_tokens(w) <= there for w in one)
        turned += _swapped(_flat(aligned), list(one), {w.number for w in one if w.number})
        turned += _names_swapped(_flat(aligned), list(one)) + _denies_the_other(_flat(aligned), list(one))
        turned += _roles_turned(_flat(aligned), list(one))
        turned += len(_directions(one) & {(to, start) for start, to in _directions(_flat(aligned))})
    return turned


def _contradicts(word: Word, said: set[str]) -> bool:
    """A new word of contrast; `before` and `after` are harmless where the source hasn't the other one."""
    low = word.text.lower()
    other = {"before": "after", "after": "before"}.get(low)
    return contrasts(word) and (other is None or other in said)


def _aligned(statement: Sequence[Word], src: Sequence[Sequence[Word]]) -> list[Sequence[Word]]:
    """The source sentences that a statement rewords: the one it shares most words with, and those it says in full."""
    said = {w.stem for w in statement if w.content}
    overlap = [len(said & {w.stem for w in one if w.content}) for one in src]
    best = max(overlap, default=0)
    size = [len({w.stem for w in one if w.content}) for one in src]
    return [one for one, n, of in zip(src, overlap, size, strict=True) if n == best or (of and n / of >= 0.6)]


def _swapped(src: Sequence[Word], out: Sequence[Word], values: set[str]) -> int:
    """Pairs of numbers that each stand among the other's words."""
    there = {value: _context(src, value) for value in values}
    here = {value: _context(out, value) for value in values}
    order = sorted(value for value in values if there[value] and here[value])
    count = 0
    for i, a in enumerate(order):
        for b in order[i + 1 :]:
            straight = len(here[a] & there[a] - there[b]) + len(here[b] & there[b] - there[a])
            crossed = len(here[a] & there[b] - there[a]) + len(here[b] & there[a] - there[b])
            count += crossed > straight
    return count + _reversed_ranges(src, out)


def _clauses(tokens: Sequence[Word]) -> list[list[Word]]:
    """Parts of a sentence; a comma or a conjunction between two names doesn't end one."""
    found: list[list[Word]] = [[]]
    for place, w in enumerate(tokens):
        before = next((one for one in tokens[place - 1 :: -1] if one.stem), None) if place else None
        after = next((one for one in tokens[place + 1 :] if one.content), None)
        listing = w.text == "," or w.stem in {"and", "or"}
        between = listing and before is not None and before.name and after is not None and after.name
        if w.joint and not between:
            found.append([])
        else:
            found[-1].append(w)
    return found


def _swappable(word: Word) -> bool:
    return word.name or contrasts(word)


def _names_swapped(src: Sequence[Word], out: Sequence[Word]) -> int:
    """Pairs of names, or of opposites such as `male` and `female`, that each stand among the other's words."""

    def contexts(tokens: Sequence[Word]) -> dict[str, set[str]]:
        near: dict[str, set[str]] = {}
        for clause in _clauses(tokens):
            plain = {w.stem for w in clause if w.content and not _swappable(w)}
            for w in clause:
                if _swappable(w):
                    near.setdefault(w.stem, set()).update(plain)
        return near

    there, here = contexts(src), contexts(out)
    both = sorted(there.keys() & here.keys())
    count = 0
    for i, a in enumerate(both):
        for b in both[i + 1 :]:
            of_a, of_b = there[a] - there[b], there[b] - there[a]
            straight = len(here[a] & of_a) + len(here[b] & of_b)
            crossed = len(here[a] & of_b) + len(here[b] & of_a)
            count += bool(of_a and of_b) and crossed > straight and (straight == 0 or crossed > straight + 1)
    return count


def _roles(tokens: Sequence[Word]) -> dict[str, tuple[set[str], set[str]]]:
    """Verb → names of who does it and of whom it is done to, where names stand right before and after it."""

    def names(near: Sequence[Word]) -> set[str]:
        found: set[str] = set()
        for w in near:
            if w.name:
                found.add(w.stem)
            elif w.content or w.number or (w.joint and w.stem not in {"and"}):
                break
        return found

    roles: dict[str, tuple[set[str], set[str]]] = {}
    for place, w in enumerate(tokens):
        if not w.content or w.name:
            continue
        before, after = names(tokens[place - 1 :: -1] if place else ()), names(tokens[place + 1 :])
        passive = place > 0 and tokens[place - 1].text.lower() in {"was", "were", "is", "are", "been", "be", "being"}
        if before and after:
            roles[w.stem] = (after, before) if passive else (before, after)
    return roles


def _roles_turned(src: Sequence[Word], out: Sequence[Word]) -> int:
    """Verbs whose two sides changed places, such as who defeated whom."""
    there, here = _roles(src), _roles(out)
    return sum(
        bool(here[verb][0] & there[verb][1] and here[verb][1] & there[verb][0]) and not here[verb][0] & there[verb][0]
        for verb in there.keys() & here.keys()
    )


def _directions(tokens: Sequence[Word]) -> set[tuple[str, str]]:
    """(from, to) for all names that stand after these words."""

    def after(word: str) -> set[str]:
        near = zip(tokens, tokens[1:], strict=False)
        return {name.stem for before, name in near if name.name and before.text.lower() == word}

    return {(start, to) for start in after("from") for to in after("to") if start != to}


def _denies_the_other(src: Sequence[Word], out: Sequence[Word]) -> int:
    """1 when the negation stands with words that the source affirms, and not where it stood."""

    def parts(tokens: Sequence[Word]) -> tuple[set[str], set[str]]:
        denied: set[str] = set()
        affirmed: set[str] = set()
        for clause in _clauses(tokens):
            (denied if negations(clause) else affirmed).update(w.stem for w in clause if w.content)
        return denied - affirmed, affirmed - denied

    (denied, affirmed), (now_denied, now_affirmed) = parts(src), parts(out)
    crossed = len(now_denied & affirmed) + len(now_affirmed & denied)
    straight = len(now_denied & denied) + len(now_affirmed & affirmed)
    return int(bool(denied and affirmed and now_denied) and crossed > straight)


def _context(tokens: Sequence[Word], value: str) -> set[str]:
    """Content words of the part of the sentence in which a number stands."""
    near: set[str] = set()
    for place, w in enumerate(tokens):
        if w.number != value:
            continue
        for step in (-1, 1):
            at = place + step
            while 0 <= at < len(tokens) and not tokens[at].joint:
                if tokens[at].content:
                    near.add(tokens[at].stem)
                at += step
    return near


def _reversed_ranges(src: Sequence[Word], out: Sequence[Word]) -> int:
    """Neighbouring numbers, such as the years of a life, in the other order."""

    def pairs(tokens: Sequence[Word]) -> set[tuple[str, str]]:
        keys = [w for w in tokens if _key(w)]
        near = zip(keys, keys[1:], strict=False)
        return {(a.number, b.number) for a, b in near if a.number and b.number and a.number != b.number}

    there = pairs(src)
    return sum((b, a) in there and (a, b) not in there for a, b in pairs(out))


def _cosine(a: Sequence[Word], b: Sequence[Word]) -> float:
    x, y = (Counter(w.stem for w in tokens if _key(w)) for tokens in (a, b))
    norm = sqrt(sum(v * v for v in x.values()) * sum(v * v for v in y.values()))
    return sum(v * y[k] for k, v in x.items()) / norm if norm else 0.0


def _grams(tokens: Sequence[Word], n: int) -> list[tuple[str, ...]]:
    low = [w.text.lower() for w in tokens if w.stem]
    return [tuple(low[i : i + n]) for i in range(len(low) - n + 1)]


def _copied(src: Sequence[Word], out: Sequence[Word]) -> float:
    grams, there = _grams(out, COPY_N), set(_grams(src, COPY_N))
    if not grams:
        return float([w.stem for w in src if w.stem] == [w.stem for w in out if w.stem])
    return sum(gram in there for gram in grams) / len(grams)


def _repeats(out: Sequence[Word]) -> float:
    grams = _grams(out, LOOP_N)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
