"""The prompt grid: style × perspective, with worked examples for a small teacher.

A `rewrite` style has the teacher reword each chunk. A `frame` style has it word a question or a heading for each
chunk, beside which the chunk's own sentences stand: structured forms teach more than plain paraphrase, and the facts
in them can't drift.
"""

import re
from dataclasses import dataclass
from typing import Literal

from agents.chat.protocol import Message

MATH = re.compile(
    r"\b(theorem|integer|equation|algebra|geometry|geometric|polynomial|calculus|prime number|natural number|"
    r"mathematic\w*|trigonometr\w*|arithmetic|logarithm|derivative|integral)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Perspective:
    """Who writes, and how the two speakers of a dialogue are called."""

    name: str
    voice: str
    asks: str
    answers: str


@dataclass(frozen=True)
class Style:
    """What the teacher writes for a chunk (`task`, with worked `answers` to `EXAMPLES`) and how it is assembled."""

    name: str
    kind: Literal["rewrite", "frame"]
    task: str
    answers: tuple[str, ...]
    max_words: int = 0


PERSPECTIVES = {
    perspective.name: perspective
    for perspective in (
        Perspective("encyclopedist", "an encyclopedia", "Reader", "Editor"),
        Perspective("teacher", "a teacher of beginners", "Student", "Teacher"),
        Perspective("journalist", "a newspaper", "Interviewer", "Expert"),
        Perspective("traveller", "a curious traveller", "Traveller", "Guide"),
    )
}

_RHINE = "The Rhine rises in the Swiss Alps and flows into the North Sea."
_RHINE_ON = "It is 1,230 km long, and Basel, Cologne and Rotterdam stand on it."
# (topic, passage, perspective, excerpt): the last two are chunks of one excerpt, as most requests are
EXAMPLES = (
    ("Etna", "Mount Etna is an active stratovolcano on the east coast of Sicily, and is 3,403 m high.", "teacher", ""),
    (
        "Marie Curie",
        "She was born in Warsaw in 1867 and discovered polonium together with her husband Pierre.",
        "encyclopedist",
        "",
    ),
    ("Violin", "The violin is used as a solo instrument and in orchestras.", "journalist", ""),
    ("Rhine", _RHINE, "traveller", ""),
    ("Rhine", _RHINE_ON, "traveller", f"{_RHINE} {_RHINE_ON}"),
)
_QUESTIONS = (
    "Where is Mount Etna, and how high is it?",
    "Where and when was Marie Curie born, and what did she discover?",
    "What is the violin used for?",
    "Where does the Rhine rise, and where does it flow?",
    "How long is the Rhine, and which cities stand on it?",
)
_HEADINGS = (
    "Location and height of Etna",
    "Birth and discovery",
    "Use in orchestras",
    "From the Alps to the sea",
    "Length and cities",
)
_REWORDED = (
    "On the east coast of Sicily stands Mount Etna, an active stratovolcano that is 3,403 m high.",
    "Born in Warsaw in 1867, she discovered polonium, together with her husband Pierre.",
    "In orchestras and as a solo instrument, the violin is used.",
    "From the Swiss Alps, where it rises, the Rhine flows into the North Sea.",
    "Basel, Cologne and Rotterdam stand on it, and its length is 1,230 km.",
)

STYLES = {
    style.name: style
    for style in (
        Style(
            "paraphrase",
            "rewrite",
            "You say the same in other words, in another order. Keep every name, number and date. Add nothing.",
            _REWORDED,
        ),
        Style("faq", "frame", "You write the question that the passage answers.", _QUESTIONS, 18),
        Style("dialogue", "frame", "You ask the short question that the passage answers.", _QUESTIONS, 18),
        Style("table", "frame", "You name in two to five words what the passage is about.", _HEADINGS, 7),
        Style("tutorial", "frame", "You write the heading of the passage, in two to five words.", _HEADINGS, 7),
        Style(
            "learning_note",
            "frame",
            "You write what a student should learn from the passage as a short heading, in two to five words.",
            _HEADINGS,
            7,
        ),
    )
}


def styles_for(text: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The styles that fit a document: mathematics becomes learning notes, and only mathematics does."""
    if MATH.search(text):
        return ("learning_note",) if "learning_note" in wanted else wanted
    return tuple(name for name in wanted if name != "learning_note")


def shots(style: Style) -> tuple[Message, ...]:
    """The instruction and the worked examples: the beginning that all requests of a style share."""
    messages: list[Message] = [{"role": "system", "content": style.task}]
    for (topic, passage, name, excerpt), answer in zip(EXAMPLES, style.answers, strict=True):
        messages.append({"role": "user", "content": ask(PERSPECTIVES[name], topic, passage, excerpt)})
        messages.append({"role": "assistant", "content": answer})
    return tuple(messages)


def ask(perspective: Perspective, topic: str, passage: str, excerpt: str = "") -> str:
    """The user's turn: for whom it is, and the passage; the excerpt is what the passage stands in."""
    text = f"Text: {excerpt}\n" if excerpt else ""
    return f"{text}For: {perspective.voice}\nTopic: {topic}\nPassage: {passage}"


def assemble(style: Style, perspective: Perspective, title: str, parts: list[tuple[str, str]]) -> str:
    """One text out of (wording, chunk) pairs; an empty wording goes on under the one before."""
    if style.kind == "rewrite":
        return " ".join(wording or chunk for wording, chunk in parts)
    groups: list[tuple[str, list[str]]] = []
    for wording, chunk in parts:
        if wording or not groups:
            groups.append((wording or title, [chunk]))
        else:
            groups[-1][1].append(chunk)
    if style.name == "table":
        cells = [f"| {wording} | {' '.join(chunks)} |" for wording, chunks in groups]
        return "\n".join([f"{title}\n\n| Topic | Fact |", "|---|---|", *cells])
    if style.name == "dialogue":
        return "\n".join(f"{perspective.asks}: {w}\n{perspective.answers}: {' '.join(c)}" for w, c in groups)
    if style.name == "faq":
        return "\n".join(f"Q: {wording}\nA: {' '.join(chunks)}" for wording, chunks in groups)
    if style.name == "tutorial":
        return "\n".join([f"# {title}", *(f"## {wording}\n{' '.join(chunks)}" for wording, chunks in groups)])
    return "\n".join([f"Notes: {title}", *(f"- {wording}: {' '.join(chunks)}" for wording, chunks in groups)])
