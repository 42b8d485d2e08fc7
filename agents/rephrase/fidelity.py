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

from agents.rephrase.slots import FRAMING_STEMS, items, replaced_words
from agents.rephrase.text import (
    Word,
    contrasts,
    flat,
    is_key,
    is_label,
    is_question,
    name_tokens,
    sentences,
    without_speakers,
    words,
)
from agents.rephrase.turned import turned

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
    turned: facts turned around that are borne. replaced: new words in the place of lost ones, a synonym or not.
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
    turned: int = 0
    replaced: int = 0
    similarity: float = 0.6
    copied: float = 0.8
    repeats: float = 0.15
    min_length: float = 0.5
    max_length: float = 2.0


@dataclass(frozen=True)
class Fidelity:
    """The scores of one rephrasing; the names are those of `Thresholds`."""

    names: float
    numbers: float
    new_names: int
    new_numbers: int
    coverage: float
    support: float
    unsupported_run: int
    turned: int
    replaced: int
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
            ("turned around", self.turned > t.turned),
            ("word replaced", self.replaced > t.replaced),
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
    src = [tokens for tokens in (words(sentence, names) for sentence in sentences(source)) if tokens]
    out_texts = sentences(output)
    out = [words(text, names) for text in out_texts]
    statements = [w for w, text in zip(out, out_texts, strict=True) if w and not is_question(text)]
    labels = {w.stem for tokens, text in zip(out, out_texts, strict=True) if is_label(text) for w in tokens}
    spoken = [w for w, text in zip(out, out_texts, strict=True) if w and not is_label(text) and _says(w, text)]
    extra = [words(sentence, names) for sentence in sentences(given)]
    src_all, out_all = flat(src), flat(out)
    known = {w.stem for w in [*src_all, *flat(extra)]}
    src_numbers, out_numbers = _numbers(src_all), _numbers(out_all)
    given_numbers = _numbers(flat(extra))
    src_names, out_names = _names(src_all) | _first_words(src), _names(out_all)
    out_lower = {part for w in out_all for part in name_tokens(w)}
    known_lower = {part for w in [*src_all, *flat(extra)] for part in name_tokens(w)}
    return Fidelity(
        names=_share(src_names, out_lower | {w.stem for w in out_all}),
        numbers=_kept_numbers(src_numbers, out_numbers),
        new_names=len(out_names - known_lower),
        new_numbers=_new_numbers(out_numbers, src_numbers + given_numbers),
        coverage=min((_coverage(tokens, src, out_all) for tokens in src), default=0.0) * _keeps_items(src, out_all),
        support=min((_support(w, known) for w in spoken), default=float(bool(out))),
        unsupported_run=max((_run(tokens, known) for tokens in out), default=0),
        turned=turned(src, statements, known | labels, {part for w in words(title, names) for part in name_tokens(w)}),
        replaced=replaced_words(src, statements, known | labels),
        similarity=_cosine(src_all, out_all),
        copied=_copied(src_all, flat(statements)),
        repeats=_repeats(out_all),
        length=sum(bool(w.stem) for w in out_all) / max(1, sum(bool(w.stem) for w in src_all)),
    )


def _known_names(text: str) -> frozenset[str]:
    """Words that stand with a capital inside a sentence, so that they are names at its beginning too."""
    inner = {part for sentence in sentences(text) for w in words(sentence) if w.name for part in (w.text.lower(),)}
    return frozenset(inner)


def _names(tokens: Sequence[Word]) -> set[str]:
    return {part for w in tokens if w.name for part in name_tokens(w)}


def _first_words(sentences_: Sequence[Sequence[Word]]) -> set[str]:
    """Stems of first words with a capital, which may be names: nothing in the sentence tells."""
    first = (next((w for w in tokens if w.content or w.text[0].isalnum()), None) for tokens in sentences_)
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


def _share(wanted: set[str], present: set[str]) -> float:
    return len(wanted & present) / len(wanted) if wanted else 1.0


def _coverage(sentence: Sequence[Word], src: Sequence[Sequence[Word]], out: Sequence[Word]) -> float:
    """Weighted share of a source sentence's content words that the rephrasing has."""
    out_stems = {w.stem for w in out}
    stems = {w.stem for w in sentence if is_key(w)}
    others = {w.stem for other in src if other is not sentence for w in other}
    weight = {stem_: SHARED_WEIGHT if stem_ in others or stem_ in FRAMING_STEMS else 1.0 for stem_ in stems}
    total = sum(weight.values())
    return sum(value for stem_, value in weight.items() if stem_ in out_stems) / total if total else 1.0


def _keeps_items(src: Sequence[Sequence[Word]], out: Sequence[Word]) -> bool:
    """Whether every item of the source's enumerations, such as `quartz, feldspar and mica`, is said."""
    out_stems = {w.stem for w in out}
    return all(item in out_stems for tokens in src for item in items(tokens))


def _says(tokens: Sequence[Word], text: str) -> bool:
    """False for a question of few words, such as `Who built it?`, which states nothing."""
    return not is_question(text) or sum(map(is_key, tokens)) > 2


def _supported(word: Word, known: set[str]) -> bool:
    return word.stem in known or (word.stem in FRAMING_STEMS and not contrasts(word))


def _support(sentence: Sequence[Word], known: set[str]) -> float:
    keys = [w for w in sentence if is_key(w)]
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
        elif is_key(w) and w.stem in known:
            part.append(True)
            now = 0
        elif is_key(w) and not _supported(w, known):
            part.append(False)
            now += 1
            longest = max(longest, now)
    return longest


def _cosine(a: Sequence[Word], b: Sequence[Word]) -> float:
    x, y = (Counter(w.stem for w in tokens if is_key(w)) for tokens in (a, b))
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
