"""Functions of installed Python packages as tool specifications, from their signatures and docstrings.

Modules are imported, no function is called. The signature says what is required and what the defaults are; the
docstring (numpydoc, Sphinx or Google style) or the annotation says the type; where neither does, as in much of the
standard library, the default or the parameter's name may. A function with a required parameter whose type JSON has no
word for is no tool; an optional one is left out.
"""

import importlib
import inspect
import math
import os
import re
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from agents.tools.real import ROLES, SENTENCE, RealTool, SourceMissing, brief

Schema = dict[str, Any]
Function = Callable[..., Any]

# The standard library's, or installed with the pipeline itself (pyproject.toml, constraints.txt).
MODULES = tuple(
    """
    base64 binascii bisect builtins calendar cmath difflib fnmatch hashlib heapq html ipaddress json locale math
    mimetypes os os.path platform random re secrets shlex shutil statistics tempfile textwrap unicodedata
    urllib.parse zlib
    numpy numpy.fft numpy.linalg numpy.polynomial.chebyshev numpy.polynomial.hermite numpy.polynomial.laguerre
    numpy.polynomial.legendre numpy.polynomial.polynomial numpy.random numpy.strings
    scipy.cluster.hierarchy scipy.cluster.vq scipy.constants scipy.fft scipy.integrate scipy.interpolate scipy.linalg
    scipy.ndimage scipy.optimize scipy.signal scipy.signal.windows scipy.spatial scipy.spatial.distance scipy.special
    scipy.stats
    sklearn.cluster sklearn.covariance sklearn.datasets sklearn.feature_extraction.image sklearn.feature_selection
    sklearn.linear_model sklearn.metrics sklearn.metrics.cluster sklearn.metrics.pairwise sklearn.model_selection
    sklearn.preprocessing sklearn.utils sklearn.utils.extmath
    pandas networkx sympy.ntheory nltk.metrics matplotlib.colors matplotlib.mlab PIL.ImageColor humanize emoji slugify
    shortuuid
    """.split()
)
OPTIONAL_KEPT = 4
SENTENCE_LENGTH = range(12, 131)

INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
STRING: Schema = {"type": "string"}
NUMBERS: Schema = {"type": "array", "items": NUMBER}
STRINGS: Schema = {"type": "array", "items": STRING}
# What a parameter of the standard library is when nothing but its name tells, and where a module has its own ways.
NAMED = {
    name: schema
    for schema, names in (
        (INTEGER, "n k count year month day theyear themonth y1 y2 indent width pid nbytes"),
        (NUMBER, "x y z secs seconds"),
        (STRING, "s string text word path url src dst filename dirname prefix suffix pattern pat name sep quote"),
        (STRING, "address encoding"),
        (NUMBERS, "data seq iterable population weights"),
        (STRINGS, "lines names paths possibilities words"),
    )
    for name in names.split()
}
NAMED_IN = {
    "binascii": {"data": STRING},
    "bisect": {"a": NUMBERS},
    "builtins": {"number": INTEGER},
    "math": {"a": NUMBER, "b": NUMBER, "p": NUMBERS, "q": NUMBERS},
    "random": {"x": NUMBERS, "a": INTEGER, "b": INTEGER},
    "statistics": {"x": NUMBERS, "y": NUMBERS},
    "sympy.ntheory": dict.fromkeys("a k m n p q".split(), INTEGER),
    "zlib": {"data": STRING},
}
MISNAMED = frozenset(("builtins.round", "os.copy_file_range", "os.splice"))  # the names of their parameters mislead
PLACES = frozenset(("out", "where"))  # an array of the caller to write to, and where in it: nothing JSON hands over
KINDS = {bool: "boolean", int: "integer", float: "number", str: "string"}

# Docstrings
SIGNATURE = re.compile(r"\A(?:[\w.]+\((?:[^()]|\([^()]*\))*\)[ \t]*(?:->[^\n]*)?(?:\n\s*|\Z))+")
ROLE = re.compile(r":[\w:]+:`(?:~[\w.]*?(\w+)|!?([^`<]+?)(?:\s*<[^`>]*>)?)`")
QUOTE = re.compile(r"``([^`]+)``|`([^`]+)`_?|\*{1,2}(\w[^*]*)\*{1,2}")
CITATION = re.compile(r" ?\[\w+\]_")
MARKUP = re.compile(r"\\|::|>>>|:\w+:|\$|\|\S|`|\*\*|https?:|</?\w+>")
DIRECTIVE = re.compile(r"^\s*\.\. |^\s*[-*•] ", re.MULTILINE)
SECTION = re.compile(
    r"^(Parameters|Other Parameters|Returns)\n[-=]{3,}\n(.*?)(?=^\S[^\n]*\n[-=]{3,}$|\Z)", re.MULTILINE | re.DOTALL
)
ENTRY = re.compile(r"(\*{0,2}\w+(?:, *\*{0,2}\w+)*)\s*(?::\s*(.*))?")
FIELD = re.compile(r"^:param (?:([^:\n]+?) )?(\w+): *(.*(?:\n[ \t]+.*)*)", re.MULTILINE)
FIELD_TYPE = re.compile(r"^:type (\w+): *(.*)", re.MULTILINE)
FIELD_RETURN = re.compile(r"^:rtype: *(.*)", re.MULTILINE)
ARGUMENTS = re.compile(r"^(?:Args|Arguments|Parameters):\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)
ARGUMENT = re.compile(r"^ {2,4}(\w+)(?: \(([^)]*)\))?: *(.*(?:\n {5,}.*)*)", re.MULTILINE)

# Types in words
_ADJECTIVE = r"""(?:(?:a|an|the|any|one|two|three|four|\d+|single|positive|negative|non-?negative|non-?zero|non-?empty|
strictly|small|large|odd|even|prime|python|real|real-valued|finite|numeric|scalar|sorted|flat|1-?d|2-?d|one-dimensional|
two-dimensional|numpy)\s+)*""".replace("\n", "")
_WORDS = {
    "integer": r"int|integer|int_|int32|int64",
    "number": r"float|number|real|scalar|double|float64",
    "boolean": r"bool|boolean|bool_",
    "string": r"str|string|path-?like|path|file ?name|file ?path",
}
_END = r"(?![-\w])(?:\s+(?:value|number|scalar)s?)?(?=\s*(?:$|[^\s\w]|(?:in|of|from|to|between|greater|less)\b))"
SCALARS = {kind: re.compile(rf"{_ADJECTIVE}(?:{words})s?\b{_END}", re.I) for kind, words in _WORDS.items()}
_ARRAY = r"array[-_ ]?like|(?:nd)?array|vector"
_LIST = r"sequence|list|iterable|tuple|collection"
ARRAY = re.compile(
    rf"(?:\([^()]*\)\s*)?{_ADJECTIVE}(?:({'|'.join(_WORDS.values())})\s+)?(?:({_ARRAY})|{_LIST})s?\b(?![-\w])(.*)", re.I
)
ITEMS = re.compile(r"\s*\[(.*)\]|\s*of\s+(?!shape|length|size|dim)(?:d?type\s+)?(.*)", re.I)
SHAPE = re.compile(r"(?:\(|shape ?=? ?\[)((?:\s*[\w.*+/ -]+,)+\s*[\w.*+/ -]*)[)\]]")
STRING_DTYPE = re.compile(r"\bStringDType\b|\bstr_")
PLANE = re.compile(r"\b2-?d\b|\btwo-dim|\bmatri", re.I)
BRACES = re.compile(r"\{([^{}]*)\}|\bLiteral\[([^\]]*)\]|\A(?=['\"])(.*)")
QUOTED = re.compile(r"""(['"])([\w .+/-]+)\1""")
PARTS = re.compile(r"(?:\([^()]*\)|\[(?:[^\[\]]|\[[^\[\]]*\])*\]|[^|,(\[])+")
UNTYPED = re.compile(r"\(?\boptional\b\)?|\(?(?<!['\"])\bdefaults?\b.*|\bkeyword[- ]only\b")
WRAPPED = re.compile(r"\A(?:typing\.)?(?:Optional|Union|Annotated)\[(.*)\]\Z")


@dataclass
class Docs:
    """What a docstring says: types and texts of parameters by name, and the type of what is returned."""

    types: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    returns: str = ""


def _plain(text: str) -> str:
    """The first sentence of a docstring's text without markup; empty where it holds a formula or code."""
    paragraph = DIRECTIVE.split(re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0])[0]
    bare = CITATION.sub("", QUOTE.sub(r"\1\2\3", ROLE.sub(r"\1\2", paragraph)))
    sentence = SENTENCE.split(ROLES.sub("", " ".join(bare.split())), maxsplit=1)[0]
    return "" if MARKUP.search(sentence) else sentence


def _summary(doc: str) -> str | None:
    """The first sentence of a docstring, where it is prose of a fitting length."""
    sentence = _plain(SIGNATURE.sub("", doc))
    letters = sum(c.isalpha() or c == " " for c in sentence)
    if len(sentence) not in SENTENCE_LENGTH or letters < 0.8 * len(sentence) or not sentence[0].isalpha():
        return None
    words = re.findall(r"[A-Za-z]{2,}", sentence)
    return None if len(words) < 3 or sentence[-1] in ",:;" or "deprecated" in sentence.lower() else sentence


def _docs(doc: str) -> Docs:
    """The entries of a docstring in numpydoc, Sphinx or Google style."""
    docs = Docs()
    for title, body in SECTION.findall(doc):
        for block in re.split(r"\n(?=\S)", body.replace("\\\n", "").strip("\n")):
            head, _, text = block.partition("\n")
            entry = ENTRY.fullmatch(head.strip())
            if title == "Returns":
                docs.returns = docs.returns or (entry[2] or entry[1] if entry else head)
            elif entry:
                for name in re.split(r"[, *]+", entry[1]):
                    docs.types[name], docs.texts[name] = entry[2] or "", text
    sections = "".join(ARGUMENTS.findall(doc))
    for found in (FIELD.findall(doc), [(kind, name, text) for name, kind, text in ARGUMENT.findall(sections)]):
        for kind, name, text in found:
            docs.types[name], docs.texts[name] = kind, text
    docs.types |= dict(FIELD_TYPE.findall(doc))
    docs.returns = docs.returns or "".join(FIELD_RETURN.findall(doc)[:1])
    return docs


def _rank(text: str) -> int:
    """How many axes an array has whose type is written so."""
    if shape := SHAPE.search(text):
        return max(1, sum(axis.strip() not in ("", "...") for axis in shape[1].split(",")))
    return 2 if PLANE.search(text) else 3 if re.search(r"\b3-?d\b", text, re.I) else 1


def _depth(schema: Schema) -> int:
    return 1 + _depth(schema["items"]) if schema.get("type") == "array" else 0


def _array(found: re.Match[str], text: str) -> Schema:
    """The schema of an array that ARRAY found in the alternative of a type."""
    inner = ITEMS.match(found[3])
    items: Schema = {}
    if inner:
        # A tuple of several types is no array of one.
        kinds = {part.strip() for part in PARTS.findall(inner[1] or "")} - {"..."}
        items = _said(inner[1] or inner[2]) if len(kinds) < 2 or "|" in inner[1] else {}
    elif found[1]:
        items = _said(found[1])
    elif found[2]:
        items = STRING if STRING_DTYPE.search(text) else NUMBER
    axes = _rank(text) if found[2] else 1
    if not items or axes + _depth(items) > 2:
        return {}
    return {"type": "array", "items": items if axes == 1 else {"type": "array", "items": items}}


def _alternative(part: str, text: str) -> Schema:
    if array := ARRAY.match(part):
        return _array(array, text)
    return next(({"type": kind} for kind, words in SCALARS.items() if words.match(part)), {})


def _choice(text: str) -> Schema:
    """The schema of an enumeration such as `{'a', 'b'}`; empty where the type is none, or may first be another."""
    braces = BRACES.search(text)
    if braces is None or _said(text[: braces.start()]) not in ({}, STRING):
        return {}
    inside = braces[1] or braces[2] or braces[3] or ""
    values = list(dict.fromkeys(value for _, value in QUOTED.findall(inside)))
    if len(values) > 1:
        return {"type": "string", "enum": values}
    numbers = [part.strip() for part in inside.split(",")]
    if len(numbers) > 1 and all(re.fullmatch(r"-?\d+", number) for number in numbers):
        return {"type": "integer", "enum": sorted(set(map(int, numbers)))}
    return {}


def _said(text: str) -> Schema:
    """JSON Schema of a type in words or as an annotation, of its first alternative that has one; empty without."""
    text = WRAPPED.sub(r"\1", UNTYPED.sub("", text).strip(" ,.;"))
    if not text:
        return {}
    if choice := _choice(text):
        return choice
    bare = re.sub(r"[`*~{}'\"]|\b(?:[A-Za-z_]\w*\.)+(?=\w)| or complex\b(?= )", "", text)
    parts = [part.strip() for part in PARTS.findall(re.sub(r"\s+(?:and/)?or\s+", "|", bare))]
    said = [schema for schema in (_alternative(part, bare) for part in parts) if schema]
    if said and said[0] == INTEGER and NUMBER in said:
        return NUMBER
    return said[0] if said else {}


def _type(parameter: inspect.Parameter, module: str, docs: Docs) -> Schema:
    """JSON Schema of a parameter, from the first source that says something; empty where that is nothing for JSON."""
    annotation = parameter.annotation
    written = UNTYPED.sub("", docs.types.get(parameter.name, "")).strip(" ,.;")
    if written:
        return _said(written)
    if annotation is not parameter.empty:
        return _said(annotation if isinstance(annotation, str) else inspect.formatannotation(annotation))
    if kind := KINDS.get(type(parameter.default)):
        return {"type": kind}
    named = NAMED if module.partition(".")[0] in sys.stdlib_module_names else {}
    told = _said(" ".join(docs.texts.get(parameter.name, "").split()[:2]))  # "An integer ..."
    return told or NAMED_IN.get(module, {}).get(parameter.name) or named.get(parameter.name, {})


def _fits(value: object, schema: Schema) -> bool:
    """Whether a default is a JSON scalar of the schema, and no path of this very machine."""
    kind = KINDS.get(type(value))  # not isinstance: a boolean is an int, a number of NumPy a float
    if kind is None or schema["type"] not in ((kind, "number") if kind == "integer" else (kind,)):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    here = isinstance(value, str) and len(value) > 1 and os.path.isabs(value)
    return value in schema.get("enum", [value]) and not here


def _property(parameter: inspect.Parameter, schema: Schema, docs: Docs) -> Schema:
    """A parameter's schema with its description and its default."""
    text = brief(_plain(docs.texts.get(parameter.name, "")))
    described = schema | ({"description": text} if len(text) > 3 else {})
    return described | ({"default": parameter.default} if _fits(parameter.default, schema) else {})


def _parameters(function: Function, module: str, docs: Docs) -> Schema | None:
    """JSON Schema of the arguments; None where a required one cannot be said, or they have no names.

    Raises:
        ValueError, TypeError: the function has no signature.
    """
    parameters = inspect.signature(function).parameters.values()
    various = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for parameter in parameters:
        name, optional = parameter.name, parameter.default is not parameter.empty
        hidden = name.startswith("_") or name in PLACES or (docs.types and name not in docs.types)
        full = len(properties) - len(required) == OPTIONAL_KEPT
        if parameter.kind in various or (optional and (hidden or full)):
            continue
        if schema := _type(parameter, module, docs):
            properties[name] = _property(parameter, schema, docs)
            required += [name] * (not optional)
        elif not optional:
            return None
    if not required and any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _tool(module: str, name: str, function: Function) -> RealTool | None:
    doc = inspect.getdoc(function) or ""
    summary = _summary(doc)
    if summary is None or f"{module}.{name}" in MISNAMED or re.search(r"^\.\. deprecated::", doc, re.MULTILINE):
        return None
    docs = _docs(doc)
    try:
        parameters = _parameters(function, module, docs)
    except (ValueError, TypeError):
        return None
    if parameters is None:
        return None
    returns = {key: kind for key, kind in _said(docs.returns).items() if key == "type"}  # of what, it rarely says
    return RealTool(name, module, "python", summary, parameters, returns)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SourceMissing(f"{name}: {error}; make setup installs it") from None


def _public(module: ModuleType) -> Iterator[tuple[str, Function]]:
    """The functions that a module offers: `__all__`, or what its package defined."""
    package = module.__name__.partition(".")[0]
    for name in sorted(getattr(module, "__all__", vars(module))):
        value = vars(module).get(name)  # not getattr, at which a package may load, warn or raise
        home = (getattr(value, "__module__", None) or "").partition(".")[0].lstrip("_")
        own = home == package or hasattr(module, "__all__")
        # A function of whatever kind has a name of its own, an instance that can be called has not.
        if own and name[0] != "_" and callable(value) and not inspect.isclass(value) and hasattr(value, "__name__"):
            yield name, value


def _named(tools: Sequence[RealTool]) -> Iterator[RealTool]:
    """The tools under the names that they are offered by: of the function, or with its module before it."""
    shared = Counter(tool.name.lower() for tool in tools)
    for tool in tools:
        full = f"{tool.service}.{tool.name}"
        bare = len(tool.name) > 3 and shared[tool.name.lower()] == 1 and zlib.crc32(full.encode()) % 2 == 0
        yield replace(tool, name=tool.name if bare else full.replace(".", "_"))


def functions(modules: Sequence[str] = MODULES) -> list[RealTool]:
    """The functions of modules that can be said as tools, by name; a function of several modules is the first's.

    Raises:
        SourceMissing: a module is not installed.
    """
    found: dict[int, RealTool | None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a package has deprecated
        for module in modules:
            for name, function in _public(_import(module)):
                if id(function) not in found:
                    found[id(function)] = _tool(module, name, function)
    tools = {tool.name: tool for tool in _named([tool for tool in found.values() if tool]) if len(tool.name) <= 64}
    return [tools[name] for name in sorted(tools)]
