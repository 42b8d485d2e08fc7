"""What an Arena battle is made of: an open prompt, two answers, a judge's verdict, and the official row of it.

Judging follows Arena-Hard: the judge sees each pair in both orders and ends with one of five labels. Each order is a
battle of its own in FastChat's schema, so that files of both kinds can be mixed and rated by gym/benchmarks/arena.py.
A judge is first asked about `planted` pairs, of which the better answer is known.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.arena import style_of
from gym.benchmarks.base import DataError, Manifest, Message
from gym.tasksets.open_damage import HELD, LEARNED, Pair, answered, known_pairs

LABELS = {"A>>B": "model_a", "A>B": "model_a", "A=B": "tie", "B>A": "model_b", "B>>A": "model_b"}
LABEL = re.compile(r"\[\[\s*(A>>B|A>B|A=B|B>A|B>>A)\s*\]\]")
PREFILL = "My verdict is: [["
RUBRIC = """You judge two answers of AI assistants to the same request of a user. Work in this order:
1. Answer the request yourself, so that you know what a good answer holds.
2. Compare the two answers by: correctness; whether every part of the request is followed; usefulness to this user; \
clarity. Claims that are wrong or made up weigh most. Neither length, nor formatting, nor the order in which the \
answers are shown is a merit.
3. End with one label, alone on the last line:
[[A>>B]] A is much better; [[A>B]] A is better; [[A=B]] as good as each other; [[B>A]] B is better; [[B>>A]] B is \
much better."""
PROMPTS = (
    "Explain to a ten-year-old why the sky is blue.",
    "Write a short letter that declines a wedding invitation warmly.",
    "My sourdough bread stays flat. Which three causes would you check first, and how?",
    "Plan a quiet Sunday for a family with a toddler and a teenager when it rains.",
    "Compare buying a used car with leasing a new one for someone who drives little.",
    "Write a poem of eight lines about a lighthouse that is switched off for good.",
    "How do I tell my manager that a deadline can't be met? Give me the words.",
    "Explain the difference between a virus and a bacterium, and why it matters for treatment.",
    "Suggest a name and a slogan for a repair shop for musical instruments, and say why they fit.",
    "Write a Python function that removes duplicates from a list and keeps the order. Explain it in two sentences.",
    "What should I ask a landlord before I sign a contract for a flat?",
    "Tell a story of about a hundred words that ends with the sentence: And then the lamp went on again.",
    "Summarise the arguments for and against homework in primary schools.",
    "My cat scratches the sofa. What can I do that does not cost much?",
    "Explain what a hash table is by an everyday comparison.",
    "Draft the first message of a language exchange with a partner in Lisbon.",
    "How much water should a person drink on a hot day of hiking, and what are signs of too little?",
    "Give me a dinner for four people, one of them vegan, that is ready in forty minutes.",
    "Why do the phases of the moon change? Correct the belief that the earth's shadow does it.",
    "Write the minutes of a short meeting in which a team chose blue as the colour of its logo.",
    "A friend says that they can't sleep before exams. What would you advise?",
    "Explain compound interest with a sum of 1000 and a rate of 5 percent over three years.",
    "Turn this into plain words: The aforementioned party shall remit payment forthwith.",
    "Describe three board games for two players who like puzzles but no fighting.",
    "What are the steps to change a bicycle tube on the road?",
    "Write a polite complaint about a train that was two hours late.",
    "Which habits help to learn vocabulary, and how would you spread them over a week?",
    "Explain what inflation is and name two things that can cause it.",
    "Invent a riddle whose answer is a mirror, and a hint for it.",
    "How would you introduce version control to a group of writers?",
    "Is it better to water plants in the morning or in the evening? Give reasons.",
    "Write a speech of one minute for a colleague who retires after thirty years.",
    "What happened to the library of Alexandria, and how sure are we?",
    "Give five questions for an interview with a beekeeper.",
    "My laptop is slow after an update. Ask me what you need to know and say what you suspect.",
    "Explain the rules of a sonnet and write its first four lines about winter.",
    "How do vaccines work? Answer in at most five sentences.",
    "Suggest a training plan for a first run of ten kilometres in eight weeks.",
    "What is the trolley problem, and why do people disagree about it?",
    "Describe a city on the sea floor as a traveller's guide would.",
)


@dataclass(frozen=True)
class Question:
    """An open prompt."""

    id: str
    text: str


def questions(path: Path | None = None) -> tuple[list[Question], Manifest]:
    """The built-in prompts, or those of a file in FastChat's (`turns`) or Arena-Hard's (`prompt`) schema.

    Raises:
        DataError: a row without a prompt.
    """
    if path is not None:
        return base.official("arena", path, _read)
    own = [Question(f"builtin-{number}", text) for number, text in enumerate(PROMPTS)]
    return base.built_in("arena", None, own, listed=lambda question: [question.id, question.text])


def _read(path: Path) -> list[Question]:
    prompts = []
    for number, row in enumerate(base.read_jsonl(path)):
        turns = row.get("turns") or [row.get("prompt")]
        first = turns[0].get("content") if isinstance(turns[0], Mapping) else turns[0]
        if not isinstance(first, str) or not first:
            raise DataError(f"{path.name}: row {number} has neither `prompt` nor `turns`")
        prompts.append(Question(str(row.get("question_id", row.get("uid", number))), first))
    return prompts


def planted(n: int, seed: int) -> list[Pair]:
    """`n` pairs of a written answer and a damaged one, of prompts that nothing is trained on; fewer when there are."""
    return known_pairs(answered("held"), LEARNED | HELD, n, seed)


def judge_messages(question: Question, a: str, b: str, *, prefill: bool = False) -> tuple[Message, ...]:
    """The judge's conversation; `prefill` begins the label for models too small to reason about it first."""
    shown = f"<request>\n{question.text}\n</request>\n\n<answer_a>\n{a}\n</answer_a>\n\n<answer_b>\n{b}\n</answer_b>"
    asked = ({"role": "system", "content": RUBRIC}, {"role": "user", "content": shown})
    return (*asked, {"role": "assistant", "content": PREFILL}) if prefill else asked


def verdict(text: str) -> str | None:
    """The last label of a judge's text, or None."""
    labels = LABEL.findall(text)
    return labels[-1] if labels else None


def battle_row(
    question: Question, models: Sequence[str], answers: Sequence[str], judge: str, label: str
) -> dict[str, Any]:
    """A battle in the official schema, with the label that it comes from."""
    meta: dict[str, float] = {}
    for side, text in zip("ab", answers, strict=True):
        words, headers, lists, bold = style_of(text)
        meta |= {
            f"sum_assistant_{side}_tokens": words, f"header_count_{side}": headers, f"list_count_{side}": lists,
            f"bold_count_{side}": bold,
        }  # fmt: skip
    return {
        "question_id": question.id, "model_a": models[0], "model_b": models[1], "winner": LABELS[label], "judge": judge,
        "label": label, "turn": 1, "language": "English", "conv_metadata": meta,
        "conversation_a": _conversation(question.text, answers[0]),
        "conversation_b": _conversation(question.text, answers[1]),
    }  # fmt: skip


def _conversation(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
