"""Cleaning that a reader doesn't see: what parts words still does, what shapes letters stays."""

import re
import unicodedata

from k2model.chat.model_json import well_formed

# Line and page separators. \x1c to \x1e are those of files, groups and records; \x85 is NEL.
LINE_END = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
OVERSTRUCK = re.compile("[^\\s\x08]\x08(?=[^\\s\x08])")  # bold in man pages: the second is seen
# A terminal's colours, titles and links, sets of characters.
ESCAPE = re.compile("(?:\x1b\\[|\x9b)[0-9;?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b\n]*(?:\x07|\x1b\\\\)|\x1b[()*+][0-9A-Z]")
SOFT_HYPHEN_AT_END = re.compile("\u00ad(?=[ \t]*(?:\n|$))")  # the one that a reader sees
UNSEEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\ufeff]")
BETWEEN_LETTERS = re.compile("[\u200b-\u200d]")  # zero-width space, non-joiner, joiner
SHAPED = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "So", "Sk"}  # letters, marks, emoji and their skin tones
UNSPACED = re.compile("[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff]")  # Thai, Lao, Tibetan, Burmese, Khmer: words touch
# NFC replaces these by characters that look different: ideographs of compatibility, and narrow angle brackets.
KEPT_BY_NFC = "\u2329\u232a\uf900-\ufaff\U0002f800-\U0002fa1f"
COMPOSED = re.compile(f"[^{KEPT_BY_NFC}]+")
# What any of the above may change; most texts hold none of it and are searched once.
SUSPECT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200d\u2028\u2029\ufeff\ud800-\udfff]")


def clean_text(text: str) -> str:
    """NFC, lines that end at \\n, no controls, no trailing blanks, at most one empty line in a row.

    Joiners stay where they shape a letter or an emoji, zero-width spaces in scripts that have no other; marks of
    direction stay. Half of a surrogate pair becomes U+FFFD.
    """
    if SUSPECT.search(text):
        text = LINE_END.sub("\n", well_formed(text)).replace("\x1f", " ")
        text = SOFT_HYPHEN_AT_END.sub("-", OVERSTRUCK.sub("", ESCAPE.sub("", text)))
        text = BETWEEN_LETTERS.sub(_if_it_shapes, UNSEEN.sub("", text))
    if not unicodedata.is_normalized("NFC", text):
        text = COMPOSED.sub(lambda part: unicodedata.normalize("NFC", part.group()), text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def _if_it_shapes(match: re.Match[str]) -> str:
    """The zero-width character, when one of its neighbours makes it mean something."""
    around = match.string[max(0, match.start() - 1) : match.start()] + match.string[match.end() : match.end() + 1]
    if match.group() == "\u200b":
        return match.group() if len(around) == 2 and UNSPACED.search(around) else ""
    return match.group() if any(unicodedata.category(character) in SHAPED for character in around) else ""
