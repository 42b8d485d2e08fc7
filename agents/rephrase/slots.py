"""Where words stand in a sentence: its clauses and lists, and words that took each other's or another word's place.

A place is a word's neighbours within its clause. Two words that each moved into the other's place turn a fact around
(`gold` for `salt`, and `salt` for `gold`); a new word in the place of one that is lost is another fact (`oak` for
`mulberry`). A synonym in the same place looks the same: it is rejected too.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from agents.rephrase.text import FRAMING, Word, contrasts, is_key, stem

FRAMING_STEMS = frozenset(stem(word) for word in FRAMING)
BE = frozenset("is are was were be been being".split())
PARTICIPLES = frozenset(
    "built held made written found won lost sold bought led taken given known spoken drawn born borne grown fought shot"
    " seen sent set spun sung kept caught taught brought thought cut put struck beaten eaten driven chosen".split()
)
ROOT = 3  # letters that two forms of one word share, such as `erupted` and `eruption`


@dataclass(frozen=True)
class Place:
    """The number of a word's clause and its neighbours there."""

    clause: int
    left: str | None
    right: str | None

    def same_side(self, other: "Place") -> bool:
        """Whether a neighbour is the same, on the same side."""
        return any(own is not None and own == its for own, its in ((self.left, other.left), (self.right, other.right)))

    def same(self, other: "Place") -> bool:
        """Whether all neighbours are the same, and there is one."""
        return (self.left, self.right) == (other.left, other.right) and (self.left or self.right) is not None


def aligned_to(statement: Sequence[Word], src: Sequence[Sequence[Word]]) -> list[Sequence[Word]]:
    """The source sentences that a statement rewords: the one it shares most words with, and those it says in full."""
    stems = {w.stem for w in statement if w.content}
    overlap = [len(stems & {w.stem for w in sentence if w.content}) for sentence in src]
    best = max(overlap, default=0)
    size = [len({w.stem for w in sentence if w.content}) for sentence in src]
    return [sentence for sentence, n, of in zip(src, overlap, size, strict=True) if n == best or (of and n / of >= 0.6)]


def clauses(tokens: Sequence[Word]) -> list[list[Word]]:
    """Parts of a sentence; a comma or a conjunction between two names doesn't end one."""
    parts: list[list[Word]] = [[]]
    for index, w in enumerate(tokens):
        before = next((word for word in tokens[index - 1 :: -1] if word.stem), None) if index else None
        after = next((word for word in tokens[index + 1 :] if word.content), None)
        listing = w.text == "," or w.stem in {"and", "or"}
        between = listing and before is not None and before.name and after is not None and after.name
        if w.joint and not between:
            parts.append([])
        else:
            parts[-1].append(w)
    return parts


def items(tokens: Sequence[Word]) -> set[str]:
    """Stems of single content words that stand between commas and `and`, three of them or more."""
    spelt = [w for w in tokens if w.content or w.joint or not w.stem]
    found: set[str] = set()
    run: list[str] = []
    for index, w in enumerate(spelt):
        after = spelt[index + 1] if index + 1 < len(spelt) else None
        if w.joint and (w.text == "," or w.stem in {"and", "or"}):
            continue
        listed = w.content and after is not None and after.joint and (after.text == "," or after.stem in {"and", "or"})
        if listed:
            run.append(w.stem)
            continue
        if w.content and len(run) >= 2 and spelt[index - 1].stem in {"and", "or"}:
            found |= {*run, w.stem}
        run = []
    return found


def places(tokens: Sequence[Word]) -> dict[str, Place]:
    """Of the content words that are said once; words that frame are neither counted nor neighbours."""
    found: dict[str, Place] = {}
    again: set[str] = set()
    for number, clause in enumerate(clauses(tokens)):
        keys = [w for w in clause if is_key(w) and (w.stem not in FRAMING_STEMS or contrasts(w))]
        for at, w in enumerate(keys):
            again |= {w.stem} & found.keys()
            left = keys[at - 1].stem if at else None
            found[w.stem] = Place(number, left, keys[at + 1].stem if at + 1 < len(keys) else None)
    numbers = {w.stem for w in tokens if w.number}
    return {word: place for word, place in found.items() if word not in again | numbers}


def _passives(tokens: Sequence[Word]) -> int:
    """How many verbs seem passive: a form of `be` before a participle."""
    low = [w.text.lower() for w in tokens]
    return sum(a in BE and (b.endswith("ed") or b in PARTICIPLES) for a, b in zip(low, low[1:], strict=False))


def _joined(tokens: Sequence[Word]) -> set[frozenset[str]]:
    """Pairs with nothing but `and`, `or` or a comma between them."""
    near = zip(tokens, tokens[1:], tokens[2:], strict=False)
    return {frozenset((a.stem, b.stem)) for a, between, b in near if between.joint and a.content and b.content}


def swapped_words(src: Sequence[Word], out: Sequence[Word]) -> int:
    """Pairs of words of different clauses that each stand in the other's place; a passive moves words rightly."""
    if _passives(src) != _passives(out):
        return 0
    there, here, listed, joined = places(src), places(out), items(src), _joined(src) & _joined(out)
    both = sorted(there.keys() & here.keys())
    count = 0
    for i, a in enumerate(both):
        for b in both[i + 1 :]:
            apart = there[a].clause != there[b].clause and here[a].clause != here[b].clause
            crossed = here[a].same_side(there[b]) and here[b].same_side(there[a])
            kept = here[a].same_side(there[a]) or here[b].same_side(there[b])
            count += apart and crossed and not kept and not {a, b} <= listed and frozenset((a, b)) not in joined
    return count


def replaced_words(src: Sequence[Sequence[Word]], statements: Sequence[Sequence[Word]], known: Set[str]) -> int:
    """New words that stand where a source word stood that no statement says.

    Args:
        known: stems that are no news.
    """
    said = {w.stem for statement in statements for w in statement}
    count = 0
    for statement in statements:
        new = {a: place for a, place in places(statement).items() if a not in known and a not in FRAMING_STEMS}
        if not new:
            continue
        for sentence in aligned_to(statement, src):
            lost = {b: place for b, place in places(sentence).items() if b not in said and b not in FRAMING_STEMS}
            count += sum(
                place.same(old) and a[:ROOT] != b[:ROOT] for a, place in new.items() for b, old in lost.items()
            )
    return count
