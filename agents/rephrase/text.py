"""Words, sentences, names, numbers and units of English prose, as the fidelity check compares them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

STOP = frozenset(
    "a an the and or but nor so as at by for from in into of on onto to with over under about between among than then"
    " that this these those there here it its itself he him his himself she her hers herself they them their theirs"
    " we us our you your i my me who whom whose which what when where why how is are was were be been being am do does"
    " did done doing has have had having can could may might must shall should will would also too very such both"
    " each either any some all most more much many other another same own while during through because if though"
    " although however yet still just only even up down out off again once per via upon within toward towards".split()
)
# What a rewording may bring along without saying anything new.
FRAMING = frozenset(
    "called known named include including consist contain describe description refer mean define make made use used"
    " locate located lie situated stand found give given take place become became come form formed part kind type"
    " sort way thing person people one ones example fact question answer topic name term word explain tell say said"
    " list work belong regard consider see happen exist play role serve function act show important main well around"
    " various several like along together later name born die died live lived age time year years date century number"
    " amount total group member area region large small big long short high low old young much is're's's what's".split()
)
NEGATIONS = frozenset("not no never none neither nor without cannot nobody nothing".split())
# A closed class in which one word for another turns a fact around.
CONTRAST = frozenset(
    "fast north south east west northern southern eastern western northeast northwest southeast southwest first second"
    " third fourth fifth sixth seventh eighth ninth tenth last final largest smallest biggest oldest youngest highest"
    " lowest longest shortest tallest deepest earliest latest largest least fewer less greater worst best before after"
    " above below increase decrease increased decreased increasing decreasing male female men women boys girls inner"
    " outer upper lower left right positive negative hot cold winter summer spring autumn father mother son daughter"
    " brother sister husband wife king queen allowed forbidden legal illegal won lost win lose victory defeat ally"
    " enemy always rarely quick slow slowly quickly rapid rapidly gradual gradually sudden suddenly rich poor strong"
    " weak hard soft wide narrow wet dry dark bright heavy thin thick early late public private domestic foreign"
    " ancient modern rural urban friend success failure minute hour day week month"
    " decade century hourly daily weekly monthly".split()
)
# One thing as an adjective, a verb and a noun; a rewording may turn one into the other.
KIN = {
    "height": "high", "tall": "high", "length": "long", "width": "wide", "depth": "deep", "weight": "weigh",
    "age": "old", "birth": "born", "death": "died", "dead": "died", "die": "died", "strength": "strong",
    "wrote": "write", "written": "write", "writer": "write", "began": "begin", "begun": "begin", "grew": "grow",
    "grown": "grow", "made": "make", "held": "hold", "gave": "give", "took": "take", "won": "win", "found": "find",
    "led": "lead", "ran": "run", "fought": "fight", "bought": "buy", "sold": "sell", "flew": "fly", "flown": "fly",
    "fell": "fall", "fallen": "fall", "knew": "know",
}  # fmt: skip
# A people and what comes from it, by the country's name.
PEOPLES = {
    "english": "england", "french": "france", "german": "germany", "germans": "germany", "dutch": "netherlands",
    "spanish": "spain", "italian": "italy", "italians": "italy", "portuguese": "portugal", "greek": "greece",
    "greeks": "greece", "polish": "poland", "swedish": "sweden", "danish": "denmark", "norwegian": "norway",
    "finnish": "finland", "russian": "russia", "russians": "russia", "turkish": "turkey", "chinese": "china",
    "japanese": "japan", "indian": "india", "indians": "india", "egyptian": "egypt", "egyptians": "egypt",
    "american": "america", "americans": "america", "british": "britain", "scottish": "scotland", "irish": "ireland",
    "welsh": "wales", "swiss": "switzerland", "austrian": "austria", "hungarian": "hungary", "czech": "czechia",
    "belgian": "belgium", "mexican": "mexico", "brazilian": "brazil", "canadian": "canada", "australian": "australia",
    "korean": "korea", "vietnamese": "vietnam", "iraqi": "iraq", "iranian": "iran", "persian": "persia",
    "israeli": "israel", "roman": "rome", "romans": "rome", "european": "europe", "africans": "africa",
    "african": "africa", "asian": "asia",
}  # fmt: skip
UNITS = {
    "km": "km", "kilometre": "km", "kilometer": "km", "m": "m", "metre": "m", "meter": "m", "cm": "cm", "mm": "mm",
    "mile": "mi", "mi": "mi", "ft": "ft", "foot": "ft", "feet": "ft", "inch": "in", "kg": "kg", "kilogram": "kg",
    "ton": "t", "tonne": "t", "gram": "g", "percent": "%", "per cent": "%", "%": "%", "million": "million",
    "billion": "billion", "trillion": "trillion", "thousand": "thousand", "hundred": "hundred", "dollar": "usd",
    "euro": "eur", "pound": "lb", "lb": "lb", "hour": "h", "minute": "min", "day": "day", "week": "week",
    "month": "month", "bc": "bc", "bce": "bc", "ad": "ad", "ce": "ad", "hectare": "ha", "acre": "acre", "litre": "l",
    "liter": "l", "degree": "degree", "°c": "°c", "°f": "°f", "mw": "mw", "mg": "mg", "g": "g", "µg": "µg", "ml": "ml",
    "cl": "cl", "mph": "mph", "knot": "kn", "yard": "yd", "nm": "nm", "µm": "µm", "kw": "kw", "kwh": "kwh", "watt": "w",
    "volt": "v", "second": "s", "gb": "gb", "mb": "mb", "kelvin": "k", "bar": "bar", "joule": "j", "calorie": "cal",
    "milligram": "mg", "millilitre": "ml", "milliliter": "ml", "gw": "gw", "hz": "hz", "decade": "decade",
}  # fmt: skip
# `two` and `2` stay apart: one text uses them for different things.
NUMBER_WORDS = frozenset(
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
    " nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand half twice".split()
)
JOINTS = frozenset(["and", "or", "but", "while", "whereas", "then"])
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:[’'\-][^\W\d_]+)*|[%°]\w?|[.!?,;:()–—|]+")
_ABBREVIATION = re.compile(r"(?:\b(?:[A-Z]|St|Dr|Mr|Mrs|Ms|Jr|Sr|No|vs|etc|est|ca|c|e\.g|i\.e|approx|Mt|ft|sq)\.)$")
_SUFFIXES = (
    "ization", "isation", "ations", "ation", "ments", "ment", "nesses", "ness", "ingly", "edly", "ities", "ity",
    "ings", "ing", "ers", "ies", "ied", "ers", "er", "est", "ed", "es", "ly", "al", "ic", "ive", "ous", "s", "y", "e",
)  # fmt: skip


@dataclass(frozen=True)
class Word:
    """A token of a sentence: `stem` is what words are compared by; `number` is normalised, without commas.

    `joint`: punctuation or a conjunction, where one part of a sentence ends and the next begins.
    """

    text: str
    stem: str
    number: str = ""
    unit: str = ""
    name: bool = False
    content: bool = False
    joint: bool = False


def sentences(text: str) -> list[str]:
    """Sentences, lines and table cells; initials and common abbreviations don't end one."""
    parts: list[str] = []
    for line in re.split(r"\n|\|", text):
        start = 0
        for match in re.finditer(r"[.!?]+[\"”’')\]]*\s+(?=[\"“(]?[A-Z0-9])", line):
            part = line[start : match.end()].strip()
            if _ABBREVIATION.search(part):
                continue
            parts.append(part)
            start = match.end()
        if line[start:].strip():
            parts.append(line[start:].strip())
    return parts


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A crude stem: enough that inflections of one word agree."""
    word = word.lower().replace("’", "'").removesuffix("'s").removesuffix("'")
    word = PEOPLES.get(word) or KIN.get(word) or word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            word = word[: -len(suffix)]
            break
    return word[:7]


def words(sentence: str, known_names: frozenset[str] = frozenset()) -> list[Word]:
    """The words of one sentence.

    A capitalised word inside a sentence is a name; the first word is one only when it is in `known_names` (lower
    case) or is written with capitals inside.
    """
    tokens = _TOKEN.findall(sentence)
    words_: list[Word] = []
    for index, token in enumerate(tokens):
        low = token.lower()
        if token[0].isdigit():
            value = re.sub(r"[,](?=\d{3}\b)", "", token).rstrip(".,")
            following = tokens[index + 1].lower() if index + 1 < len(tokens) else ""
            unit = UNITS.get(following) or UNITS.get(following.removesuffix("s")) or ""
            words_.append(Word(token, value, number=value, unit=unit))
        elif low in NUMBER_WORDS:
            words_.append(Word(token, low, number=low))
        elif token[0].isalpha():
            first = not any(t[0].isalnum() for t in tokens[:index]) or tokens[index - 1][0] in ".!?:"
            capital = token[0].isupper() and (low not in STOP or token == "May") and (low in known_names or not first)
            mixed = any(c.isupper() for c in token[1:])
            name = capital or (mixed and low not in STOP)
            denies = low in NEGATIONS or low.endswith(("n't", "n’t"))
            content = name or (low not in STOP and not denies and len(low) > 1)
            words_.append(Word(token, stem(token), name=name, content=content, joint=low in JOINTS))
        elif token[0] in ",;:()–—|":
            words_.append(Word(token, "", joint=True))
    return words_


def name_tokens(word: Word) -> set[str]:
    """The parts of a name in lower case, without possessive; a hyphen joins two."""
    low = re.sub(r"[’']s$", "", word.text.lower())
    return {PEOPLES.get(part, part) for part in re.split(r"[-’']", low) if len(part) > 1}


def is_label(sentence: str) -> bool:
    """A heading, a table's cell, a speaker: few words without an end."""
    return len(sentence.split()) <= 5 and sentence.rstrip()[-1:] not in {".", "!", "?"}


def is_question(sentence: str) -> bool:
    return sentence.rstrip("\"”') ").endswith("?")


def contrasts(word: Word) -> bool:
    """Whether it is of the closed class in which one word for another turns a fact around, in any inflection."""
    low = word.text.lower()
    return any(
        form in CONTRAST for form in (low, low.removesuffix("s"), low.removesuffix("er"), low.removesuffix("est"))
    )


def negations(tokens: Sequence[Word]) -> int:
    """How many words deny something; `no animal is larger than` says which one is the largest."""
    low = [word.text.lower() for word in tokens]
    return sum(
        (word in NEGATIONS or bool(re.search(r"n[’']t$", word))) and not (word == "no" and "than" in low[index:])
        for index, word in enumerate(low)
    )


def without_speakers(text: str) -> str:
    """The lines without the names before a colon that several of them begin with, such as `Q` or `Teacher`."""
    speakers = Counter(re.findall(r"(?m)^(\w+): ", text))
    again = "|".join(name for name, count in speakers.items() if count > 1 or name in {"Q", "A"})
    return re.sub(rf"(?m)^(?:{again}): ", "", text) if again else text


def n_tokens(text: str) -> int:
    """About how many tokens a teacher's tokenizer makes of English text."""
    return -(-len(text) // 4)


def flat(sentences_: Sequence[Sequence[Word]]) -> list[Word]:
    return [word for sentence in sentences_ for word in sentence]


def is_key(word: Word) -> bool:
    return word.content or bool(word.number)
