"""Worse answers to open prompts by known operations, so that the winner of a pair is known without a judge.

Three operations are `HELD`: a critic is measured on them and never learns from them.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gym.tasksets.open_ended import OpenPrompt, read_prompts
from gym.tasksets.sides import Side

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
SENTENCE = re.compile(r"(?<=[^\d\s][.!?])\s+")  # the full stop of `1. First` ends none
LONGER = 1.5  # how many times as many words the longer of two equally good answers has, at least
FILLER = (
    "There are many things that could be said about this.",
    "It is always worth thinking about such matters from several sides.",
    "This is something that many people come across at one time or another.",
    "Of course there is more to it, as there so often is.",
    "All in all it depends on a number of different factors.",
    "As is well known, every case has its own circumstances.",
    "In general one can say that it is neither simple nor difficult.",
    "Needless to say, this applies in one way or another to most situations.",
)
FOREIGN = (
    "Das hängt davon ab, wie man die Sache sieht, und es gibt dafür mehrere gute Gründe.",
    "Man sollte sich dafür etwas Zeit nehmen und am Ende noch einmal alles in Ruhe ansehen.",
    "Cela dépend de la situation, et il faut y penser avec calme avant de commencer.",
    "On peut le faire de plusieurs façons, mais la première reste la plus simple.",
    "Eso depende de muchas cosas, y conviene mirarlo todo otra vez con calma.",
    "Primero hay que preparar lo necesario y después seguir paso a paso.",
)
REFUSALS = (
    "I am sorry, but I can't help with that.",
    "Unfortunately I am not able to answer this request.",
    "I would rather not write about this. Please ask somebody else.",
    "This goes beyond what I can do.",
)


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt, of which one is better; `damage` says what was done to the other."""

    prompt: OpenPrompt
    better: str
    worse: str
    damage: str


@dataclass(frozen=True)
class EvenPair:
    """Two answers to other prompts, so neither is better, of different length."""

    prompt: OpenPrompt
    longer: str
    shorter: str


# A damage takes the prompt, others of its side and a generator; None where the answer offers nothing to damage.
Damage = Callable[[OpenPrompt, Sequence[OpenPrompt], np.random.Generator], str | None]


def _sentences(text: str) -> list[str]:
    return SENTENCE.split(text.strip())


def _pick(rng: np.random.Generator, texts: Sequence[str]) -> str:
    return texts[int(rng.integers(len(texts)))]


def cut(prompt: OpenPrompt, others: Sequence[OpenPrompt], rng: np.random.Generator) -> str | None:
    """Ends in the middle of a sentence, after 30 to 70 % of the words."""
    words = prompt.answer.split()
    kept = round(len(words) * float(rng.uniform(0.3, 0.7)))
    return " ".join(words[: max(1, kept)]).rstrip(".,;:!?")


def elsewhere(prompt: OpenPrompt, others: Sequence[OpenPrompt], rng: np.random.Generator) -> str | None:
    """The answer to another prompt."""
    return _pick(rng, [other.answer for other in others if other.subject != prompt.subject])


def repeated(prompt: OpenPrompt, others: Sequence[OpenPrompt], rng: np.random.Generator) -> str | None:
    """One sentence stands there three times."""
    sentences = _sentences(prompt.answer)
    place = int(rng.integers(len(sentences)))
    return " ".join([*sentences[:place], *[sentences[place]] * 3, *sentences[place + 1 :]])


def demand(prompt: OpenPrompt, others: Sequence[OpenPrompt], rng: np.random.Generator) -> str | None:
    """What the answer must hold is missing, or it holds what it must avoid."""
    if prompt.must:
        needed = _pick(rng, prompt.must)
        kept = [sentence for sentence in _sentences(prompt.answer) if needed not in sentence]
        return " ".join(kept) if kept else " ".join(prompt.answer.replace(needed, "").split())
    if prompt.avoid:
        return f"{prompt.answer} In one word: {_pick(rng, prompt.avoid)}."
    return None


def number(prompt: OpenPrompt, others: Sequence[OpenPrompt], rng: np.random.Generator) -> str | None:
    """A number that stands in the prompt, or that the answer must hold, is another one in the answer."""
    given = {*NUMBER.findall(prompt.text), *(one for text in prompt.must for one in NUMBER.findall(text))}
    places = [found for found in NUMBER.finditer(prompt.answer) if found.group() in given]
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    digits = place.group()
    first = str((int(digits[0]) - 1 + int(rng.integers(1, 9))) % 9 + 1)
    return f"{prompt.answer[: place.start()]}{first}{digits[1:]}{prompt.answer[place.end() :]}"


def padding(prompt: OpenPrompt, others: Sequence[OpenPrompt], rng: np.random.Generator) -> str | None:
    """Three sentences of filler between its own."""
    sentences = _sentences(prompt.answer)
    for filler in rng.permutation(FILLER)[:3].tolist():
        sentences.insert(int(rng.integers(len(sentences) + 1)), filler)
    return " ".join(sentences)


def salad(prompt: OpenPrompt, others: Sequence[OpenPrompt], rng: np.random.Generator) -> str | None:
    """The words of each sentence in another order."""
    mixed = [rng.permutation(sentence.split()).tolist() for sentence in _sentences(prompt.answer)]
    return " ".join(word for words in mixed for word in words)


def off_language(prompt: OpenPrompt, others: Sequence[OpenPrompt], rng: np.random.Generator) -> str | None:
    """After the first sentence it goes on in another language; a single sentence is replaced."""
    sentences = _sentences(prompt.answer)
    start = 2 * int(rng.integers(len(FOREIGN) // 2))
    return " ".join([*(sentences[:1] if len(sentences) > 1 else []), *FOREIGN[start : start + 2]])


def echo(prompt: OpenPrompt, others: Sequence[OpenPrompt], rng: np.random.Generator) -> str | None:
    """Says the prompt again instead of answering."""
    return f"You ask the following. {prompt.text}"


def refusal(prompt: OpenPrompt, others: Sequence[OpenPrompt], rng: np.random.Generator) -> str | None:
    """Declines what nothing speaks against."""
    return _pick(rng, REFUSALS)


LEARNED: dict[str, Damage] = {
    "cut": cut,
    "elsewhere": elsewhere,
    "repeated": repeated,
    "demand": demand,
    "off_language": off_language,
    "echo": echo,
    "refusal": refusal,
}
HELD: dict[str, Damage] = {"number": number, "padding": padding, "salad": salad}


def answered(side: Side) -> list[OpenPrompt]:
    """The prompts of a side that have a written answer."""
    return [prompt for prompt in read_prompts() if prompt.side == side and prompt.answer]


def known_pairs(prompts: Sequence[OpenPrompt], damages: dict[str, Damage], n: int, seed: int) -> list[Pair]:
    """`n` pairs, the damages in turn, each of a prompt at most once; fewer when the prompts offer fewer."""
    rng = np.random.default_rng([seed, 83])
    waiting = {name: [prompts[k] for k in rng.permutation(len(prompts)).tolist()] for name in damages}
    pairs: list[Pair] = []
    while len(pairs) < n and any(waiting.values()):
        for name, damage in damages.items():
            worse: str | None = None
            while worse is None and waiting[name] and len(pairs) < n:
                prompt = waiting[name].pop()
                worse = damage(prompt, prompts, rng)
                if worse == prompt.answer:
                    worse = None
            if worse is not None:
                pairs.append(Pair(prompt, prompt.answer, worse, name))
    return pairs


def even_pairs(prompts: Sequence[OpenPrompt], n: int, seed: int) -> list[EvenPair]:
    """`n` pairs of equally useless answers, one `LONGER` than the other; fewer when the prompts offer fewer."""
    rng = np.random.default_rng([seed, 89])
    pairs: list[EvenPair] = []
    for k in rng.permutation(len(prompts)).tolist()[:n]:
        answers = [other.answer for other in prompts if other.subject != prompts[k].subject]
        one = _pick(rng, answers)
        apart = [text for text in answers if _apart(text, one)]
        if apart:
            shorter, longer = sorted((one, _pick(rng, apart)), key=lambda text: len(text.split()))
            pairs.append(EvenPair(prompts[k], longer, shorter))
    return pairs


def _apart(one: str, other: str) -> bool:
    few, many = sorted((len(one.split()), len(other.split())))
    return many >= LONGER * few
