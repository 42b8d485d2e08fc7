"""Reads the final answer out of a text. A function named `official_…` is the rule of the file that it names, to the
letter; the others also read answers that the official rule passes over, and are reported apart from it.
"""

import re
from fractions import Fraction

from gym.verifiers.number import COMMAND, OPAQUE, Number, boxed, canonical, numbers, plain_text
from gym.verifiers.units import NONE, read_unit

OFFICIAL_LETTER = re.compile(r"(?i)Answer[ \t]*:[ \t]*\$?([A-D])\$?")  # simple-evals' pattern for GPQA
FIRST_LETTER = re.compile(r"\s*([A-D])(?![A-Za-z])")
GSM_MARK = re.compile(r"#### (\-?[0-9\.\,]+)")  # the pattern of GSM8K's own code
LINE_MARK = re.compile(r"####[ \t]*([^\n]*)")
_EMPHASIS = re.compile(r"(?<![\w)}\]])_{1,3}(?=[$€£]?[-+]?[0-9])|(?<=[0-9])_{1,3}(?![\w{])")
_CALLED_OUT = re.compile(r"(?<=[0-9])!+(?=[\s*]|$)")  # no answer of GSM8K is a factorial

# A is a word too: "A good question". It is a choice where nothing follows that a noun phrase would go on with.
_ARTICLE = r"[ \t\u2009]+(?!(?:because|since|as|is|was|must|would|should|seems|with|for|and|or|by)\b)[a-z]"
_LETTER = rf"(?P<letter>(?:[B-D]|A(?!{_ARTICLE}))(?![A-Za-z0-9'’+\-*/=^_]))"
_OPEN, _CLOSE = r"[(\[]?\s?", r"\s?[)\]]?"
# Two letters are no choice, but "C and A is wrong" goes on with another sentence.
_NOT_SHARED = (
    r"(?![)\]]?[ \t]*(?:\b(?:or|and)\b|&|/)[ \t]*[(\[]?[A-D](?![A-Za-z0-9])"
    r"(?![)\]]?[ \t]+(?:is|are|was|can|does|do|has)))"
)
_AFTER_ANSWER = re.compile(
    r"(?i:\banswers?|答案|\b(?:correct|right|best|final)\s+(?:choice|option|one)"
    r"|\b(?:correct|selected|chosen)(?=[ \t]*[:：]))[ \t]*"
    r"(?i:is|was|would be|should be|must be|=|:|：|是|为|[–—-])?[ \t]*(?i:therefore|thus|then|clearly)?[ \t:]*"
    r"(?i:the\s+)?(?i:(?:correct\s+|right\s+)?(?:option|choice|letter|answer)[ \t]*(?:is|:)?\s*)?"
    + _OPEN
    + _LETTER
    + _CLOSE
    + _NOT_SHARED
)
_AFTER_COLON = re.compile(r"(?i:\banswer)[ \t]*[:=：][ \t]*[(\[]?([a-d])[)\]]?(?=[ \t]*(?:[.,;)\n]|$))", re.MULTILINE)
_DENIED = (
    r"(?!\W{0,3}(?i:(?:is|was|are|can|could|does|seems|looks)(?:[ \t]+(?:be|not|also))*[ \t]+"
    r"(?:wrong|incorrect|false|not|no)|isn|can.?t|doesn))"
)
_ENDS = r"(?=[ \t]*(?:[.,;:!?\n]|$|because|since|as\b|—|–))"
_STOPS = r"(?=[ \t]*(?:[.!\n]|$))"
_RIGHT = (  # "B is correct", "B is the answer"
    r"[ \t]+(?i:is|must be|would be|should be|seems|fits)[ \t]+"
    r"(?i:(?:the|clearly|therefore|thus|indeed|my|only)[ \t]+)*"
    r"(?:(?i:correct|right)" + _ENDS + r"|(?i:(?:correct|right|best|final)?[ \t]*(?:answer|option|choice|one)\b))"
)
_WEAKLY = re.compile(  # "option B", "it is B", "so B", but not "option B is wrong", "it can't be B"
    r"\b(?:(?i:option|choice)[ \t]*:?[ \t]*" + _OPEN + _LETTER + _CLOSE + _DENIED +
    r"|(?i:(?:it|that)['’]s|is|(?<!not )(?<!n.t )be|choose|chose|pick|select|go with|opt for)[ \t]*:?[ \t]*" +
    _OPEN + _LETTER.replace("letter", "verb") + _CLOSE + _ENDS +
    r"|(?i:so|hence|thus|therefore|leaves|leaves us with)[ \t]*,?[ \t]*" +
    _OPEN + _LETTER.replace("letter", "so") + _CLOSE + _STOPS + ")"
    r"|^[ \t]*(?:=>|->|[→⇒])[ \t]*" + _OPEN + _LETTER.replace("letter", "to") + _CLOSE + _STOPS +
    r"|(?<![\w'’+\-*/=^])(?<![Ii]f )" + _OPEN + _LETTER.replace("letter", "fits") + _CLOSE + _RIGHT, re.MULTILINE,
)  # fmt: skip
_WIDE = {ord("Ａ") + index: "ABCD"[index] for index in range(4)}
_BARE = re.compile(r"\W*([A-D])\W*")
_ALONE = re.compile(
    r"[ \t]*" + _OPEN + r"([A-D])(?:[)\]][.:]?(?:\s|$)|[.:](?:\s|$)|\s*$|[ \t]+(?:because|since)\b"
    r"|[ \t]+[–—-][ \t]+(?![A-D]\b))"
)
_ANSWER_IS = re.compile(
    r"(?i)answer\s*(?:is|was|:|=|：)\s*(?:therefore|thus|then)?[ :]*(?:[A-Za-z]\w?\s*=\s*)?"
    r"(?:approximately |exactly |equal to )?[$(\[]?\s?(?=[-.0-9(\[])"
)
_CUT = re.compile("[=≈≡]")
_ASIDE = re.compile(r"[A-Za-z][A-Za-z ,']*(?::|\bis)?\s*|[$€£¥₹]\s*|[(\[]\s*|\+")
_NOUNS = re.compile(r"[A-Za-z]{2,}(?:[ -][A-Za-z]{2,})*(?:\^[23])?")
_NO_NOUN = re.compile(r"\b(?:pi|sqrt|root|log|ln|sin|cos|tan|mod|or|and|to|times|over|plus|minus|choose)\b")


def official_choice(text: str) -> str:
    """simple-evals' rule for GPQA: the letter after the first `Answer:`, as it is written; empty when there is none."""
    match = OFFICIAL_LETTER.search(text)
    return match.group(1) if match else ""


def first_choice(text: str) -> str:
    """What MMLU's own code compares: the letter that the answer begins with; empty when it begins otherwise."""
    match = FIRST_LETTER.match(text)
    return match.group(1) if match else ""


def choice(text: str) -> str:
    """The letter that a text settles on, in any usual form: `Answer: B`, `**B**`, `$B$`, `\\boxed{\\text{B}}`, `(B)`,
    `B) 42`, "The answer is B."; empty when there is none. An article ("A good question") is no choice."""
    box = boxed(text)
    if box is not None and (inside := _alone(_undressed(box))):
        return inside
    plain = _undressed(text).strip()
    letters = [(match.start(), match.group("letter")) for match in _AFTER_ANSWER.finditer(plain)]
    letters += [(match.start(), match.group(1).upper()) for match in _AFTER_COLON.finditer(plain)]
    if letters:
        return max(letters)[1]
    lines = [line for line in plain.split("\n") if line.strip()]
    alone = [letter for line in lines if (letter := _alone(line))]
    if len(set(alone)) > 1:  # the choices are listed again
        lines = [line for line in lines if _BARE.fullmatch(line)]
    for line in (lines[-1], lines[0]) if lines else ():
        if letter := _alone(line):
            return letter
    weak = [match.group(match.lastgroup) for match in _WEAKLY.finditer(plain) if match.lastgroup]
    return weak[-1] if weak else ""


def _undressed(text: str) -> str:
    text = re.sub(r"[\"“”]|(?<!\w)['‘’](?=[A-D]['’])|(?<=[A-D])['’](?!\w)", "", text.translate(_WIDE))
    text = re.sub(r"</?(?:answer|choice|option|b|strong)>", " ", text)
    text = re.sub(r"(?<!\w)[*_]{1,3}|[*_]{1,3}(?!\w)", "", text)
    return plain_text(text.replace("$", "")).replace(COMMAND, "")


def _alone(line: str) -> str:
    match = _ALONE.match(line)
    return match.group(1) if match else ""


def whole_number(text: str) -> str:
    """An integer in its plainest form: the last `\\boxed`, else what follows "answer is", else the last number; empty
    where that is no integer (33.5, 3/4, a list, an expression) or there is none."""
    return _integer(final_number(text))


def final_number(text: str) -> Fraction | None:
    """The number that a text ends on, as `whole_number` looks for it; None for none, for lists and for expressions."""
    inside = boxed(text)
    if inside is not None:
        return _single(inside)
    plain = plain_text(text)
    numerals = numbers(plain)
    for match in reversed(list(_ANSWER_IS.finditer(plain))):
        after = _at(numerals, match.end())
        if after is not None:
            return after.value
    return numerals[-1].value if numerals else None


def _at(numerals: list[Number], position: int) -> Number | None:
    """The number at a position, or the tuple around it."""
    return next((number for number in numerals if number.start <= position < number.end), None)


def _single(inside: str) -> Fraction | None:
    """The value of a box that holds one number, with a name, an equals sign or a unit beside it at most."""
    plain = plain_text(inside).replace("\u2009", " ")
    if re.search(r"[≠≤≥<>±]", plain):
        return None
    plain = _CUT.split(plain)[-1].strip(" .\n\t")
    numerals = numbers(plain)
    if len(numerals) != 1 or numerals[0].value is None or COMMAND in plain or OPAQUE in plain:
        return None
    before, after = plain[: numerals[0].start].strip(), plain[numerals[0].end :]
    if before and _ASIDE.fullmatch(before) is None:
        return None
    if _is_unit(after.rstrip(") ]") if before[-1:] in ("(", "[") else after):
        return numerals[0].value
    return None


def _is_unit(after: str) -> bool:
    """Whether a text behind a number is a unit, a noun or nothing, and no factor such as `x` or `pi`."""
    bare = after.strip()
    if not bare:
        return True
    unit, end = read_unit(bare)
    if unit is not NONE and end == len(bare):
        return after[0] in " -" or len(bare) > 1 or not bare.isalpha()  # `3t` is a product, `3 t` are tonnes
    return _NOUNS.fullmatch(bare) is not None and _NO_NOUN.search(bare) is None


def _integer(value: Fraction | None) -> str:
    return str(value.numerator) if value is not None and value.denominator == 1 else ""


def plain(number: str) -> str:
    """`007` → `7`, `1,000` → `1000`; empty for what is no integer."""
    try:
        return str(int(number.replace(",", "")))
    except ValueError:
        return ""


def official_aime(text: str) -> str:
    """lm_eval's rule for AIME (`tasks/aime/utils.py`), as far as an integer can come of it: the last `\\boxed`, else
    what stands between the first and the last `$`, else the whole text, without LaTeX's blanks, units and degrees."""
    position = text.rfind("\\boxed")
    marks = [match.start() for match in re.finditer(r"\$", text)]
    answer = text[marks[0] + 1 : marks[-1]] if len(marks) > 1 else text
    if "\\boxed " in text:
        answer = text.split("\\boxed ")[-1].split("$")[0]
    elif position >= 0 and (inside := _braced(text, position + len("\\boxed"))) is not None:
        answer = inside
    answer = answer.replace("\n", "").replace("\\!", "").replace("\\\\", "\\")
    answer = answer.replace("^{\\circ}", "").replace("^\\circ", "").replace("\\$", "")
    if answer.count("\\text{ ") == 1:
        answer = answer.split("\\text{ ")[0]
    answer = answer.replace("\\%", "")
    name, equals, value = answer.partition("=")
    if equals and "=" not in value and len(name) <= 2:
        answer = value
    return answer.replace(" ", "")


def _braced(text: str, position: int) -> str | None:
    """What stands in the braces that open at a position; None when they don't open there or never close."""
    if text[position : position + 1] != "{":
        return None
    depth = 0
    for match in re.compile(r"[{}]").finditer(text, position):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return text[position + 1 : match.start()]
    return None


def gsm8k(text: str, *, strict: bool) -> str:
    """GSM8K's answer. Strict is its own code's rule (`grade_school_math/dataset.py`): what stands after the first
    `#### `, without commas. Otherwise any number there, in a `\\boxed`, after "answer is", or the last one, in its
    shortest form; `_18_` and `18!` are the number 18."""
    if strict:
        marked = GSM_MARK.search(text)
        return marked.group(1).strip().replace(",", "") if marked else ""
    text = _CALLED_OUT.sub(".", _EMPHASIS.sub("", text))
    for line in reversed(LINE_MARK.findall(text)):
        numerals = numbers(plain_text(line))
        if numerals:
            return canonical(numerals[0].value) if numerals[0].value is not None else ""
    value = final_number(text)
    return "" if value is None else canonical(value)
