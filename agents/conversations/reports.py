"""What an agent reports: that something is done, that it is not, or that it is left as the user wants it.

Read sentence by sentence, from the words of whoever wrote them; a question reports nothing, nor does politeness.
"""

import re
from collections.abc import Sequence, Set

_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_POLITE = re.compile(
    r"\bno (problem|worries|trouble)( at all)?|\bnot (at all|only|to worry|a problem)\b"
    r"|\b(i'm |i am )?sorry (for|about|to have kept) (the|that|any|all|you)[^.;,:]*"
    r"|\bcouldn't be (happier|better|easier)\b"
    r"|\b(don't|do not|please don't) (worry|hesitate|mention it)\b|\bno (sooner|doubt|longer than|more than|need)\b"
    r"|\bwithout (any )?(problem|trouble)s?\b|\bcan't wait\b", re.I
)  # fmt: skip
_NOT = r"(n't|n’t| not|not)(?! (difficult|hard|a problem|only|long|necessary|needed|a big deal|too (bad|hard)))"
_REFUSAL = re.compile(
    rf"\b(ca|could|wo|would|must|may|might|is|are|was|were|has|have|had|do|does|did|am|should|can|will){_NOT}\b"
    r"|\b(cannot|not (allowed|able|possible|permitted|done|in a position|enough|available))\b"
    r"|\b(unable|impossible|refus\w*|den(y|ied|ies)|declin(e|es|ed|ing)|reject\w*|forbid\w*|prohibit\w*)\b"
    r"|\bfail(s|ed|ure)?\b|\bout of the question\b"
    r"|\b(unsuccessful\w*|unfortunately|regret(s|tably)?|afraid|sorry|in vain|mismatch\w*|blocked)\b"
    r"|\bturn(s|ed)? (\w+ )?down\b|\brul(es?|ed) (\w+ )?out\b|\bno (tool|way|room|such|luck|match)\b|\bnone of my\b"
    r"|\bhands are tied\b|\bagainst (our|the|my|its) (policy|policies|rules?)\b|\bstands? in the way\b"
    r"|\b(has|have|must) to stay\b|\bbeyond (what|my|our|the|this)\b|\boutside (of )?(what|my|our|the|this)\b"
    r"|\b(another|other) (department|desk|office|team)\b|\b(somebody|someone) else\b|\bonly look after\b"
    r"|\b(say no|(better|rather) not)\b|\bdiffer(s|ent)?\b|\bshows? another\b|\btried\b.*\bbut\b", re.I
)  # fmt: skip
_LEFT = re.compile(
    r"\b(leav(e|es|ing)|left|keep(s|ing)?|kept|stays?|remains?|unchanged|untouched|as (it|they) (is|are|was|were)"
    r"|nothing|not|never|won't|forget|forgotten|dropped|skip(ped)?|alone)\b|n't\b", re.I
)  # fmt: skip
_CLAIM = re.compile(
    r"^\W*(all )?(done|set)\b|^\W*i (did|have done) (that|it|this)\b|\b(it|that|this)('s| is) (all )?done\b", re.I
)


def sentences(texts: Sequence[str]) -> list[str]:
    """The sentences that report something: no questions."""
    parts = [part for text in texts for part in _SENTENCE.split(text) if part.strip()]
    return [part for part in parts if not part.rstrip().endswith("?")]


def refuses(sentence: str, own: Set[str] = frozenset()) -> bool:
    """Whether it owns up to something that is not done.

    Args:
        own: words of the desk's actions; to reject a permit is no refusal where permits are rejected.
    """
    found = _REFUSAL.finditer(_POLITE.sub(" ", sentence))
    return any(own.isdisjoint(re.findall(r"\w+", match[0].lower())) for match in found)


def claims(sentence: str, own: Set[str] = frozenset()) -> bool:
    """Whether it says in so many words that something is done."""
    return bool(_CLAIM.search(sentence)) and not refuses(sentence, own)


def leaves(text: str) -> bool:
    """Whether a text says that things stay as they are."""
    return bool(_LEFT.search(_POLITE.sub(" ", text)))


def without(text: str, repeated: Sequence[str]) -> str:
    for wish in repeated:
        if wish:
            text = re.sub(re.escape(wish), "it", text, flags=re.I)
    return text
