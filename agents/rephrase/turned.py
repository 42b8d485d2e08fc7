"""Statements of a rephrasing that say the opposite of their source, or that put a number or a name to another word."""

from collections.abc import Sequence

from agents.rephrase.slots import aligned_to, clauses, swapped_words
from agents.rephrase.text import Word, contrasts, flat, is_key, name_tokens, negations

MONTHS = frozenset(
    "January February March April May June July August September October November December".split()
)  # names by their capital, but numbers guard dates


def turned(
    src: Sequence[Sequence[Word]], statements: Sequence[Sequence[Word]], known: set[str], title: set[str]
) -> int:
    """Facts that the rephrasing turns around: new words of contrast, negations, values in each other's place."""
    source_words = {w.text.lower() for sentence in src for w in sentence}
    turned = sum(_contradicts(w, source_words) for statement in statements for w in statement if w.stem not in known)
    turned += abs(sum(map(negations, src)) - sum(map(negations, statements)))
    for statement in statements:
        aligned = aligned_to(statement, src)
        here = {w.number for w in flat(aligned) if w.number}
        there = title | {part for w in flat(aligned) for part in name_tokens(w)}
        turned += sum(bool(w.number) and w.number not in here for w in statement)
        turned += sum(w.name and not name_tokens(w) <= there for w in statement)
        turned += _swapped(flat(aligned), list(statement), {w.number for w in statement if w.number})
        turned += _names_swapped(flat(aligned), list(statement)) + _denies_the_other(flat(aligned), list(statement))
        turned += _roles_turned(flat(aligned), list(statement))
        turned += sum(swapped_words(sentence, statement) for sentence in aligned)
        turned += len(_directions(statement) & {(to, start) for start, to in _directions(flat(aligned))})
    return turned


def _contradicts(word: Word, source_words: set[str]) -> bool:
    """A new word of contrast; `before` and `after` are harmless where the source hasn't the other one."""
    low = word.text.lower()
    other = {"before": "after", "after": "before"}.get(low)
    return contrasts(word) and (other is None or other in source_words)


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


def _swappable(word: Word) -> bool:
    return (word.name and word.text not in MONTHS) or contrasts(word)


def _names_swapped(src: Sequence[Word], out: Sequence[Word]) -> int:
    """Pairs of names, or of opposites such as `male` and `female`, that each stand among the other's words."""

    def contexts(tokens: Sequence[Word]) -> dict[str, set[str]]:
        near: dict[str, set[str]] = {}
        for clause in clauses(tokens):
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
            a_moved, b_moved = len(here[a] & of_b), len(here[b] & of_a)
            crossed = a_moved + b_moved if a_moved and b_moved else 0
            count += crossed > straight and (straight == 0 or crossed > straight + 1)
    return count


def _roles(tokens: Sequence[Word]) -> dict[str, tuple[set[str], set[str]]]:
    """Verb → names of who does it and of whom it is done to, where names stand right before and after it."""

    def names(near: Sequence[Word]) -> set[str]:
        stems: set[str] = set()
        for w in near:
            if w.name:
                stems.add(w.stem)
            elif w.content or w.number or (w.joint and w.stem not in {"and"}):
                break
        return stems

    roles: dict[str, tuple[set[str], set[str]]] = {}
    for index, w in enumerate(tokens):
        if not w.content or w.name:
            continue
        before, after = names(tokens[index - 1 :: -1] if index else ()), names(tokens[index + 1 :])
        passive = index > 0 and tokens[index - 1].text.lower() in {"was", "were", "is", "are", "been", "be", "being"}
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
        for clause in clauses(tokens):
            (denied if negations(clause) else affirmed).update(w.stem for w in clause if w.content)
        return denied - affirmed, affirmed - denied

    (denied, affirmed), (now_denied, now_affirmed) = parts(src), parts(out)
    crossed = len(now_denied & affirmed) + len(now_affirmed & denied)
    straight = len(now_denied & denied) + len(now_affirmed & affirmed)
    return int(bool(denied and affirmed and now_denied) and crossed > straight)


def _context(tokens: Sequence[Word], value: str) -> set[str]:
    """Content words of the part of the sentence in which a number stands."""
    near: set[str] = set()
    for index, w in enumerate(tokens):
        if w.number != value:
            continue
        for step in (-1, 1):
            at = index + step
            while 0 <= at < len(tokens) and not tokens[at].joint:
                if tokens[at].content:
                    near.add(tokens[at].stem)
                at += step
    return near


def _reversed_ranges(src: Sequence[Word], out: Sequence[Word]) -> int:
    """Neighbouring numbers, such as the years of a life, in the other order."""

    def pairs(tokens: Sequence[Word]) -> set[tuple[str, str]]:
        keys = [w for w in tokens if is_key(w)]
        near = zip(keys, keys[1:], strict=False)
        return {(a.number, b.number) for a, b in near if a.number and b.number and a.number != b.number}

    there = pairs(src)
    return sum((b, a) in there and (a, b) not in there for a, b in pairs(out))
