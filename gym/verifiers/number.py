"""Reads numbers out of text, Markdown and LaTeX: one reader for every grader.

What looks like one number and isn't (a list `2,5`, a tuple `(1,2,3)`, an expression `2^10` or `3\\pi`) is found and has
no value, so that no digit of it is ever taken for the answer.
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

LONGEST = 400  # characters of a number, and its largest exponent
OPAQUE = "\ufffc"  # stands for a value that is no plain number: a root, a binomial, a fraction of expressions
COMMAND = "\ufffb"  # stands for any other LaTeX command
_NOTHING = re.compile(r"[\s$~{}]|\\[,;:! ]|\\(?:text|mathrm|mathbf)(?![A-Za-z])")
BOX = re.compile(r"\\(?:boxed|fbox)\s*(?:(\{)|(-?[0-9.,]+))|[{}]")


@dataclass(frozen=True)
class Number:
    """A number's place in a text that `plain_text` gave; `value` is None for what is no single number."""

    value: Fraction | None
    start: int
    end: int


def box_span(text: str) -> tuple[int, int] | None:
    """Where the content of the last complete `\\boxed{…}` that holds anything stands; None when there is none."""
    last: tuple[int, int] | None = None
    opened: list[int | None] = []  # where the content of each open brace begins, None for a brace of no box
    for match in BOX.finditer(text):
        if match.group(2):
            span = match.span(2)
        elif match.group() != "}":
            opened.append(match.end() if match.group(1) else None)
            continue
        else:
            begin = opened.pop() if opened else None
            if begin is None:
                continue
            span = (begin, match.start())
        if _NOTHING.sub("", text[slice(*span)]) and (last is None or span > last):
            last = span
    return last


def boxed(text: str) -> str | None:
    """The content of the last complete `\\boxed{…}` that holds anything; None when there is none."""
    span = box_span(text)
    return None if span is None else text[slice(*span)]


_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}|([0-9]))\s*(?:\{([^{}]*)\}|([0-9]))")
_ROOT = re.compile(
    r"\\sqrt\s*(?:\[[^\][]*\])?\s*(?:\{[^{}]*\}|[0-9A-Za-z])|√\s*\(?[0-9.]+\)?"
    r"|\\binom\s*\{[^{}]*\}\s*\{[^{}]*\}"
)
_STYLE = re.compile(
    r"\\(?:text)?color\s*\{[^{}]*\}"
    r"|\\(?:text[a-z]*|math(?:rm|bf|it|sf|tt|bb|cal)|mbox|operatorname|f?box(?:ed)?|displaystyle|bf|rm|underline"
    r"|tiny|small|normalsize|large|Large|LARGE|huge|Huge)(?![A-Za-z])\s*"
)
_MODULUS = re.compile(r" ?(?:\\pmod\s*(?:\{[^{}]*\}|[0-9]+)|\((?:\\?(?:text|mathrm)\s*\{)?\\?mod\b\}?[^()]*\))")
_RAISED = re.compile(r"(\\[A-Za-z]+)?\{([0-9A-Za-z.\u2009 -]*)\}(?=\s*[\^_])")
_BLANKS = re.compile(r"\\(?:[,;:> ]|q?quad(?![A-Za-z]))|~")
_LETTERS = {
    "times": "×", "cdot": "·", "mu": "µ", "pi": "π", "approx": "≈", "Omega": "Ω", "infty": "∞", "pm": "±", "div": "÷",
    "equiv": "≡",
    "left": "", "right": "", "big": "", "Big": "", "dollar": "$", "pounds": "£", "euro": "€", "celsius": "°C",
    "percent": "%", "degree": "°", "degrees": "°", "circ": "°", "neq": "≠", "ne": "≠", "leq": "≤", "le": "≤",
    "geq": "≥", "ge": "≥", "lt": "<", "gt": ">", "ldots": "…", "dots": "…",
}  # fmt: skip
_COMMAND = re.compile(r"\\([A-Za-z]+)\s?")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SINGLE = str.maketrans(
    {"−": "-", "﹣": "-", "－": "-", "μ": "µ", "º": "°", "℃": "°C", "℉": "°F"}
    | {"\u2044": "/", "∕": "/", "⋅": "·", "\u200b": "", "％": "%"}
    | {chr(0xFF10 + digit): str(digit) for digit in range(10)}
)


_VULGAR = re.compile(r"(?P<whole>(?<=[0-9])[ \u00a0\u2009]?)?(?P<fraction>[¼-¾⅐-⅞])")
_DASH = re.compile(r"(?P<left>[0-9=:≈]|\bis|)(?P<gap>[ \u2009]?)[‒–](?P<after>[ \u2009]?)(?=[$€£]?\.?[0-9])")


def _vulgar(match: re.Match[str]) -> str:
    fraction = unicodedata.normalize("NFKD", match["fraction"]).replace("\u2044", "/")
    return fraction if match["whole"] is None else f" {fraction}"


def _dash(match: re.Match[str]) -> str:
    """A dash that is a minus or stands in a range; one between words stays."""
    is_dash = match["after"] and not match["left"]
    return match.group() if is_dash else f"{match['left']}{match['gap']}-{match['after']}"


def plain_text(text: str) -> str:
    """`text` without the dress of LaTeX and Markdown: `\\dfrac{3}{4}` → `3/4`, `1{,}000` → `1,000`, `\\$70` → `$70`."""
    text = _DASH.sub(_dash, _VULGAR.sub(_vulgar, text.translate(_SINGLE)))
    text = _MODULUS.sub("", text)
    text = re.sub(r"(?<=[0-9]) ?[xX] ?(?=[0-9])", "×", text)
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda match: "^" + match.group().translate(_SUPERSCRIPTS), text)
    text = re.sub(r"(?<![0-9])\*\*|\*\*(?![0-9])|__|`", "", text)
    text = text.replace("{,}", ",").replace("\\!", "").replace("\\\\", "\n").replace("&", "")
    text = _BLANKS.sub("\u2009", text)
    text = "\n".join(_without_math_marks(line) for line in text.split("\n"))
    text = text.replace("\\{", "[").replace("\\}", "]").replace("\\%", "%").replace("\\#", "#").replace("\\_", "_")
    text = re.sub(r"\^\s*\{?\s*\\(?:circ|degree)(?![A-Za-z])\s*\}?", "°", text)
    text = _STYLE.sub("", text)
    for _ in range(4):  # a fraction in a fraction, a root in a fraction: from the inside outwards
        dressed = text
        text = _ROOT.sub(OPAQUE, text)
        text = _RAISED.sub(lambda match: f"{match[1]} {match[2]}" if match[1] else match[2], text)
        text = _FRACTION.sub(_fraction, text)
        if text == dressed:
            break
    text = re.sub(r"([\^_])\s*\{\s*([^{}\s]*)\s*\}", r"\1\2", text)
    text = _COMMAND.sub(lambda match: _LETTERS.get(match.group(1), COMMAND), text)
    return re.sub(r"\\[()\[\]|]|[{}]", "", text)


def _without_math_marks(line: str) -> str:
    """Drops the `$` around formulas and keeps those that are money."""
    bare = re.sub(r"\\\$", "", line)
    money = bare.count("$") % 2 == 1 or bare.count("$") == len(re.findall(r"\$\s?[0-9.]", bare))
    if not money:
        line = re.sub(r"(?<!\\)\$", "", line)
    return line.replace("\\$", "$").replace("$$", "")


def _fraction(match: re.Match[str]) -> str:
    above, below = (match.group(1) or match.group(2) or "").strip(), (match.group(3) or match.group(4) or "").strip()
    if not re.fullmatch(r"-?[0-9][0-9,.]*", above) or not re.fullmatch(r"[0-9][0-9,.]*", below):
        return OPAQUE
    after_digit = match.start() > 0 and match.string[match.start() - 1].isdigit()
    return f"{' ' if after_digit else ''}{above}/{below}"


_INTEGER = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]{1,3}(?:[ \u00a0\u2009\u202f][0-9]{3})+(?![0-9])"
    r"|[0-9]{1,3}(?:['’][0-9]{3})+(?![0-9])|[0-9]+)"
)
_DECIMAL = rf"(?:{_INTEGER}(?:\.[0-9]+)?|\.[0-9]+)"
_TOKEN = re.compile(
    rf"(?P<whole>[0-9]+)[ \u2009\u00a0](?P<over>[0-9]+)\s?/\s?(?P<under>[0-9]+)"
    rf"|(?P<number>{_DECIMAL})(?:[eE](?P<e>[-+]?[0-9]+)(?![0-9A-Za-z])|\s?[×·*]\s?10\^(?P<ten>[-+]?[0-9]+))?"
    rf"(?:[ \u2009]?/[ \u2009]?(?P<by>{_DECIMAL}))?"
    rf"|(?P<opaque>[{OPAQUE}π∞√])"
)
_BEFORE = re.compile(r"[\w.,^/]\Z|[0-9]['’]\Z")
_SCALE = re.compile(
    r"[ \u2009\u00a0-]?(?P<word>hundred|thousand|million|billion|trillion|dozen)s?\b"
    r"|(?P<k>k)\b|(?P<of_money>[KMB]|bn)\b"
)
_SCALES = {"hundred": 100, "dozen": 12, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12} | {
    "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "bn": 10**9
}  # fmt: skip
_BLANK = "[ \u2009\u00a0]"
_RUN = re.compile(
    rf"[.,/:'’^!\-+*·×÷][0-9(]|[xyz](?![A-Za-z])|[\^!{OPAQUE}{COMMAND}π√∞(]|\.\.|{_BLANK}?[*·×÷+]{_BLANK}?[0-9(]|{_BLANK}[-/]{_BLANK}[0-9(]"
)
_REST = re.compile(rf"[0-9.,/:'’^!*·×÷+\-(){OPAQUE}π]*")
_OPERATOR = re.compile(
    rf"[0-9)\w{OPAQUE}π%]{_BLANK}*[-+*·×÷/]{_BLANK}*\Z|[·×÷/+±]{_BLANK}*\Z|[{OPAQUE}{COMMAND}π√]{_BLANK}?\Z"
)
_TUPLE = re.compile(r"[(\[][^()\[\]\n]{0,200},[^()\[\]\n]{0,200}[)\]]")


def numbers(plain: str) -> list[Number]:
    """Every number of a text that `plain_text` gave, in order; lists, tuples and expressions have no value."""
    tuples = [match.span() for match in _TUPLE.finditer(plain) if _is_tuple(match.group()[1:-1])]
    candidates: list[Number] = []
    position = 0
    while match := _TOKEN.search(plain, position):
        start, end = match.span()
        position = end
        before = plain[max(0, start - 24) : start]
        if match.group("opaque"):
            candidates.append(Number(None, start, end))
            continue
        before = re.sub(r"(?:^|(?<=[=:(≈≡\n])|(?<=\bis)) ?\+\Z", " ", before)  # a sign, no sum
        owed = re.search(r"(?:^|[^\w)\]%.^_])-[$€£¥₹]\Z", before) is not None
        negative = re.search(r"(?:^|[^\w)\]%.^_])-\Z|(?:[=:(≈≡]|\bis) *- ?\Z", before) is not None
        if (re.search(r"[A-Za-z_^]-?\Z", before) and not negative) or re.search(r"[A-Za-zµ]\Z", before):
            continue  # an index, an exponent, a part of a name
        if negative:
            start = plain.rindex("-", 0, start)
            before = plain[max(0, start - 24) : start]
        inside = next((span for span in tuples if span[0] <= start < span[1]), None)
        if inside is not None:
            candidates.append(Number(None, *inside))
            position = max(position, inside[1])
            continue
        value = _value(match)
        scale = _SCALE.match(plain, end)
        if scale is not None and (not scale["of_money"] or re.search(r"[$€£¥₹]-?\Z", plain[:start])):
            value = None if value is None else value * _SCALES[scale["word"] or scale["k"] or scale["of_money"]]
            end = position = scale.end()
        if _RUN.match(plain, end) or _BEFORE.search(before) or _OPERATOR.search(before):
            value = None
        if value is None:
            rest = _REST.match(plain, end)
            end = position = rest.end() if rest is not None else end
        elif negative or owed:
            value = -value
        candidates.append(Number(value, start, end))
    return candidates


def _is_tuple(inside: str) -> bool:
    if not re.fullmatch(rf"[-+0-9.,;/\s\u2009{OPAQUE}πA-Za-z]*", inside) or not re.search("[0-9]", inside):
        return False
    parts = [part.strip() for part in inside.split(",")]
    if re.fullmatch(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?", inside.strip()):
        return False
    return all(len(part) <= 12 and not re.search(r"[A-Za-z]{2}", part) for part in parts)


def _value(match: re.Match[str]) -> Fraction | None:
    if len(match.group()) > LONGEST:
        return None
    try:
        if match.group("whole"):
            return int(match.group("whole")) + Fraction(int(match.group("over")), int(match.group("under")))
        value = _decimal(match.group("number"))
        exponent = int(match.group("e") or match.group("ten") or 0)
        if abs(exponent) > LONGEST:
            return None
        value *= Fraction(10) ** exponent
        return value / _decimal(match.group("by")) if match.group("by") else value
    except ZeroDivisionError:
        return None


def _decimal(digits: str) -> Fraction:
    return Fraction(re.sub(r"[,'’\s]", "", digits))


def canonical(value: Fraction) -> str:
    """The shortest way to write a value: `204`, `2.5`, `1/3`."""
    if value.denominator == 1:
        return str(value.numerator)
    places = next((places for places in range(1, 13) if (value * 10**places).denominator == 1), None)
    if places is None:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
