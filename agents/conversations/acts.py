"""What an agent's message wants of the user, read from its words, whoever wrote them."""

import re
from collections.abc import Mapping, Sequence


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.I)


_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|\n+")
_REQUEST = _any(  # without a question mark
    r"\b(please|kindly)\b.*\b(provide|tell|give|share|specify|state|confirm|clarify|reply|send|enter|say)\b",
    r"\b(please|kindly)\b.*\b(check|verify|let me)\b",
    r"\bi('ll| will| would|'d)?( just| still| also| first)* (need|require|have to know|must know)\b",
    r"\blet me know (which|what|who|whose|whether|if (i|this|that))\b",
    r"\b(tell|give) me (the|your|which|what|who)\b",
    r"\b(once|until|as soon as) you('ve| have)? (say|said|confirm|agree|approve)",
    r"\b(say|reply|answer|type) (with )?\W?yes\b",
    r"\b(await|wait(ing)? for) your\b",
)
_CONFIRMING = _any(
    r"\b(shall|should|may|can|could) (i|we)\b(?! (have|get|ask|know|see|take down)\b)",
    r"\bconfirm|\b(go|going) ahead\b|\bgo-ahead\b|\bproceed|\bcontinue\b|\byes\b|\bagree|\bapprov",
    r"\b(is|are|was|would|does|do) (that|this|it|these|they)( be| all)? (right|correct|ok|okay|fine|al(l )?right)\b",
    r"\b(sound|look)s? (good|right|ok|okay|fine|correct)\b",
    r"\bwhat you (want|wish|had in mind)\b|\bhappy with\b",
    r"\b(ok|okay|al(l )?right|right|correct)( with| for| by)?( you)?\?",
    r"\bdo you( still| really)? (want|wish)|\bwant me to\b|\bwould you like me\b|\bare you sure\b",
    r"\b(await|wait(ing)? for) your\b",
)
_FURTHER = _any(
    r"\b(any|some)thing (else|more|further)\b|\belse (i|we) can\b|\b(what|how) else\b",
    r"\banother (question|request|matter)\b",
    r"\b(further|more|additional|other) (help|assistance|questions?|requests?|matters?)\b",
    r"\b(is|will) that( be)? (all|everything)\b",
)
_NOT_THERE = _any(
    r"(\b(not|no|nothing|unable to)\b|n't\b)[^.?!]*\b(find|found|locate|exists?|records?|called|such|match\w*)\b",
    r"\bnothing (comes|came) up\b|\b(invalid|unknown|not_found|mistyped)\b",
    r"\b(check|verify|repeat) (the|your|that) ([a-z]+ )?(id|number|reference)\b",
)
_WHICH = _any(r"\b(which|what|who|whose|more|clarify|specify|id|number|details?)\b")
_WHO = _any(
    r"\b(identi(ty|fy|fication)|authenticate|verify (you|that (you|it)))\b",
    r"\b(who (you are|i am|this is|am i|i'm)|(speaking|talking) (to|with))\b",
)
_SAID_AS: Mapping[str, str] = {  # other words for the fields that users are known by
    "email": "e-?mail|mail address",
    "phone": "phone|mobile|contact number",
    "birthday": "birth",
    "birth_date": "birth",
    "postcode": "post ?code|postal code|zip",
    "code_word": "code ?word|password|secret word",
}


def questions(said: str) -> list[str]:
    """The sentences that want an answer."""
    return [part for part in _SENTENCE_END.split(said) if "?" in part or _REQUEST.search(part)]


def is_further(question: str) -> bool:
    """Whether it asks for the next wish."""
    return bool(_FURTHER.search(question))


def asks_which(question: str, nouns: Sequence[str]) -> bool:
    """Whether it asks for a record of an entity with these nouns."""
    named = re.search(rf"\b({'|'.join(map(re.escape, nouns))})|\b(which|what) one\b", question, re.I)
    return bool(named and _WHICH.search(question))


def asks_who(question: str, field: str) -> bool:
    """Whether it asks who the user is, or for the field that he is known by."""
    words = _SAID_AS.get(field, re.escape(field.replace("_", " ")))
    return bool(re.search(words, question, re.I) or _WHO.search(question))


def asks_to_confirm(question: str) -> bool:
    return bool(_CONFIRMING.search(question))


def not_there(said: str) -> bool:
    """Whether it says that a record does not exist."""
    return bool(_NOT_THERE.search(said))
