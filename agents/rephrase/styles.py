"""The prompt grid: style × perspective, framed for a small teacher, free for a capable one.

Framed, a `rewrite` style has the teacher reword each chunk after worked examples. A `frame` style has it word a
question or a heading for each chunk, beside which the chunk's own sentences stand: structured forms teach more than
plain paraphrase, and the facts in them can't drift. Free, the teacher writes each chunk anew in the style's register
(Kimi K2 §2.2), and nothing of the source's wording stands.
"""

import re
from collections.abc import Sequence
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
    """What the teacher writes for a chunk and how it is assembled.

    task: framed, with worked `answers` to `EXAMPLES`. free: what the passage becomes; `joint` stands between chunks.
    """

    name: str
    kind: Literal["rewrite", "frame"]
    task: str
    answers: tuple[str, ...]
    free: str
    joint: str = "\n"
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
            "flowing prose in other words; the order of the sentences is yours",
            " ",
        ),
        Style(
            "faq",
            "frame",
            "You write the question that the passage answers.",
            _QUESTIONS,
            "questions and full answers, each question on a line after `Q: `, its answer on the next after `A: `",
            max_words=18,
        ),
        Style(
            "dialogue",
            "frame",
            "You ask the short question that the passage answers.",
            _QUESTIONS,
            "a conversation of two people, a line for each turn, after `{asks}: ` and `{answers}: `",
            max_words=18,
        ),
        Style(
            "table",
            "frame",
            "You name in two to five words what the passage is about.",
            _HEADINGS,
            "rows of a Markdown table, `| topic | fact |`, the fact a full sentence, without a line above them",
            max_words=7,
        ),
        Style(
            "tutorial",
            "frame",
            "You write the heading of the passage, in two to five words.",
            _HEADINGS,
            "a part of a lesson: a heading after `## `, then plain sentences that lead from one thing to the next",
            max_words=7,
        ),
        Style(
            "learning_note",
            "frame",
            "You write what a student should learn from the passage as a short heading, in two to five words.",
            _HEADINGS,
            "a student's notes, a line for each after `- `, in your own words, every step of a derivation in order",
            max_words=7,
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


def free_task(style: Style, perspective: Perspective, *, foreign: bool) -> str:
    """What a capable teacher is told: the register and the reader, and that every fact stays."""
    form = style.free.format(asks=perspective.asks, answers=perspective.answers)
    translated = " The text is in another language; you write English." if foreign else ""
    return (
        f"You rewrite passages of a text for {perspective.voice}.{translated} Each passage becomes {form}. Say every "
        "fact of the passage, with its names, numbers, units and dates, with every negation, comparison and direction, "
        "and with who did what to whom. Add no fact, also none that you know. Do not repeat what earlier passages said."
        " Use words and sentences of your own: no more than four words in a row from the passage, names and numbers "
        "aside. Answer with the rewritten passage alone."
    )


def ask(perspective: Perspective, topic: str, passage: str, excerpt: str = "") -> str:
    """The user's turn: for whom it is, and the passage; the excerpt is what the passage stands in."""
    text = f"Text: {excerpt}\n" if excerpt else ""
    return f"{text}For: {perspective.voice}\nTopic: {topic}\nPassage: {passage}"


def stitch(style: Style, title: str, parts: Sequence[tuple[str, str]]) -> str:
    """One text out of freely written chunks; where a chunk has no faithful wording its own sentences stand."""
    heads = {
        "table": f"{title}\n\n| Topic | Fact |\n|---|---|\n",
        "tutorial": f"# {title}\n",
        "learning_note": f"Notes: {title}\n",
    }
    plain = {"table": "| {title} | {chunk} |", "learning_note": "- {chunk}"}.get(style.name, "{chunk}")
    body = style.joint.join(wording or plain.format(title=title, chunk=chunk) for wording, chunk in parts)
    return heads.get(style.name, "") + body


def assemble(style: Style, perspective: Perspective, title: str, parts: list[tuple[str, str]]) -> str:
    """One text out of framed (wording, chunk) pairs; an empty wording goes on under the one before."""
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
