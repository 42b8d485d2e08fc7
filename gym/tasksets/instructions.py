"""Instruction following composed from the 25 official IFEval checkers; each task has a text that follows it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gym.tasksets.elementary import WORDS
from gym.tasksets.task import Task
from gym.verifiers.checkers import IFEVAL, conflicts
from gym.verifiers.instructions import Instruction, describe, verify
from gym.verifiers.result import Result

TOPICS = (
    "a walk by the sea", "how bread is made", "the first day of school", "why cities need trees", "a lost letter",
    "the sound of rain", "an old bridge", "learning to swim", "a market on Saturday", "how bees find their way",
    "a train that is late", "the colour blue", "a garden in winter", "moving to another town",
    "a grandmother's kitchen", "the moon", "why people sing", "a broken clock", "a visit to a museum",
    "the smell of coffee", "how a kite flies", "a day without a phone", "a dog that waits", "building a wall",
    "the longest day of the year", "a cup of tea", "a library at night", "how rivers change", "a good neighbour",
    "the first snow", "repairing a bicycle", "a bus driver's morning", "the taste of salt", "keeping a diary",
    "a storm at harvest", "how paper is made", "a game of chess", "picking mushrooms", "the last page of a book",
    "a lighthouse", "waiting for news", "how maps lie", "a quiet room", "a wedding in the village",
    "the price of bread", "a photograph from long ago", "planting an apple tree", "why we sleep",
    "a letter to a friend", "the night shift", "how glass is blown", "a ferry across the lake", "a child's drawing",
    "forgetting a name", "the noise of a city", "learning a language", "a stone in a shoe", "an empty house",
    "how wool becomes cloth", "the art of waiting",
)  # fmt: skip
LANGUAGES = {
    "de": "Das Wetter ist heute sehr schön und wir gehen zusammen an den Strand",
    "fr": "Nous marchons ensemble le long de la mer et nous parlons de nos amis",
    "es": "Caminamos juntos por la playa y hablamos de nuestros amigos y de la familia",
    "it": "Camminiamo insieme lungo la spiaggia e parliamo dei nostri amici e della famiglia",
}
PLAIN = "people who like {topic} often tell their friends about it and they know why"
END = "that is all"
MOST = 3


def _arguments(name: str, topic: str, rng: np.random.Generator) -> dict[str, Any]:
    """Arguments of an instruction in the official schema."""
    words = [str(word) for word in rng.choice(WORDS, 3, replace=False)]
    few = int(rng.integers(2, 5))
    given: dict[str, dict[str, Any]] = {
        "keywords:existence": {"keywords": words[:2]},
        "keywords:frequency": {"keyword": words[0], "frequency": few, "relation": "at least"},
        "keywords:forbidden_words": {"forbidden_words": words},
        "keywords:letter_frequency": {"letter": "e", "let_frequency": 2 * few, "let_relation": "at least"},
        "language:response_language": {"language": str(rng.choice(sorted(LANGUAGES)))},
        "length_constraints:number_sentences": {"num_sentences": few, "relation": "at least"},
        "length_constraints:number_paragraphs": {"num_paragraphs": few},
        "length_constraints:number_words": {"num_words": 20 * few, "relation": "at least"},
        "length_constraints:nth_paragraph_first_word": {
            "num_paragraphs": few, "nth_paragraph": int(rng.integers(1, few + 1)), "first_word": words[0],
        },
        "detectable_content:number_placeholders": {"num_placeholders": few - 1},
        "detectable_content:postscript": {"postscript_marker": str(rng.choice(["P.S.", "P.P.S"]))},
        "detectable_format:number_bullet_lists": {"num_bullets": few},
        "detectable_format:number_highlighted_sections": {"num_highlights": few},
        "detectable_format:multiple_sections": {"section_spliter": "SECTION", "num_sections": few},
        "combination:repeat_prompt": {"prompt_to_repeat": f"Write about {topic}."},
        "startend:end_checker": {"end_phrase": END},
        "change_case:capital_word_frequency": {"capital_frequency": few, "capital_relation": "at least"},
    }  # fmt: skip
    return given.get(name, {})


def comply(topic: str, wanted: Mapping[str, Mapping[str, Any]]) -> str:
    """A dull text that tries to follow all of the instructions, by id."""
    if "detectable_format:constrained_response" in wanted:
        return "My answer is yes."
    if "detectable_format:json_format" in wanted:
        words = wanted.get("keywords:existence", {}).get("keywords", [])
        return '{"text": "' + " ".join([PLAIN.format(topic=topic), *words]) + '"}'
    language = wanted.get("language:response_language")
    plain = LANGUAGES[language["language"]] if language else PLAIN.format(topic=topic)
    extra = list(wanted.get("keywords:existence", {}).get("keywords", []))
    if arguments := wanted.get("keywords:frequency"):
        extra += [arguments["keyword"]] * arguments["frequency"]
    extra += ["e"] * wanted.get("keywords:letter_frequency", {}).get("let_frequency", 0)
    extra += ["WORD"] * wanted.get("change_case:capital_word_frequency", {}).get("capital_frequency", 0)
    extra += ["[name]"] * wanted.get("detectable_content:number_placeholders", {}).get("num_placeholders", 0)
    extra += ["*one thing*"] * wanted.get("detectable_format:number_highlighted_sections", {}).get("num_highlights", 0)
    extra += [plain] * (wanted.get("length_constraints:number_words", {}).get("num_words", 0) // 10)
    body = " ".join([plain, *extra])
    sentences = wanted.get("length_constraints:number_sentences", {}).get("num_sentences", 1)
    body = " ".join([f"{body}."] + [f"{plain}."] * (sentences - 1))
    if arguments := wanted.get("length_constraints:number_paragraphs"):
        body = "\n***\n".join([body] + [plain] * (arguments["num_paragraphs"] - 1))
    if arguments := wanted.get("length_constraints:nth_paragraph_first_word"):
        parts = [body] + [plain] * (arguments["num_paragraphs"] - 1)
        parts[arguments["nth_paragraph"] - 1] = f"{arguments['first_word']} {parts[arguments['nth_paragraph'] - 1]}"
        body = "\n\n".join(parts)
    if arguments := wanted.get("detectable_format:multiple_sections"):
        body = "\n".join(f"{arguments['section_spliter']} {k + 1}\n{body}" for k in range(arguments["num_sections"]))
    lines = [body, *["* a point"] * wanted.get("detectable_format:number_bullet_lists", {}).get("num_bullets", 0)]
    if "combination:two_responses" in wanted:
        lines += ["******", f"{plain} too"]
    if "detectable_format:title" in wanted:
        lines.insert(0, "<<a note>>")
    if arguments := wanted.get("detectable_content:postscript"):
        lines.append(f"{arguments['postscript_marker']} thank you")
    if "startend:end_checker" in wanted:
        lines.append(END)
    text = "\n".join(lines)
    if arguments := wanted.get("combination:repeat_prompt"):
        text = f"{arguments['prompt_to_repeat']}\n{text}"
    if "punctuation:no_comma" in wanted:
        text = text.replace(",", "")
    if "change_case:english_capital" in wanted:
        text = text.upper()
    if "change_case:english_lowercase" in wanted:
        text = text.lower()
    return f'"{text}"' if "startend:quotation" in wanted else text


class Instructions:
    """One to three instructions that can agree, all 25 in equal shares first; difficulty is how many of three."""

    name = "instructions"

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """`n` tasks, equal for equal arguments; with each `n` of 25 every instruction comes first once."""
        rng = np.random.default_rng([seed, 53])
        first: list[str] = []
        tasks = []
        for number in range(n):
            first = first or [str(name) for name in rng.permutation(sorted(IFEVAL))]
            leading = first.pop()
            topic = TOPICS[int(rng.integers(len(TOPICS)))]
            wanted, text = self._draw(leading, topic, rng)
            tasks.append(
                Task(
                    id=f"instructions-{seed}-{number}",
                    taskset=self.name,
                    seed=seed,
                    difficulty=len(wanted) / MOST,
                    domain="instruction following",
                    messages=({"role": "user", "content": _prompt(topic, wanted)},),
                    token_budget=400,
                    payload={
                        "instructions": [
                            {"id": instruction.id, "arguments": dict(instruction.arguments)} for instruction in wanted
                        ],
                        "follows": text,
                    },
                    entity=topic,
                )
            )
        return tasks

    def _draw(self, leading: str, topic: str, rng: np.random.Generator) -> tuple[list[Instruction], str]:
        """Instructions that the official table lets stand together, and a text that follows them."""
        for size in [int(rng.integers(1, MOST + 1)) for _ in range(20)] + [1]:
            names = [leading]
            for name in rng.permutation(sorted(IFEVAL)).tolist():
                if len(names) < size and all(name not in conflicts(other) for other in names) and name not in names:
                    names.append(str(name))
            wanted = [Instruction(name, _arguments(name, topic, rng)) for name in names]
            text = comply(topic, {instruction.id: instruction.arguments for instruction in wanted})
            if verify(wanted, _prompt(topic, wanted), text).score == 1.0:
                return wanted, text
        raise RuntimeError(f"{leading}: no text follows it")

    def demonstration(self, task: Task) -> str:
        """A text that follows them all."""
        return str(task.payload["follows"])

    def score(self, task: Task, answer_text: str) -> Result:
        wanted = [
            Instruction(instruction["id"], instruction["arguments"]) for instruction in task.payload["instructions"]
        ]
        return verify(wanted, str(task.messages[-1]["content"]), answer_text)


def _prompt(topic: str, wanted: list[Instruction]) -> str:
    return " ".join([f"Write about {topic}.", *describe(wanted)])
