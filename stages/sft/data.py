"""What the tuning learns from: kept trajectories, demonstrations of tasks, and comparisons for the critic."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gym.decontaminate import Index, decontaminate, said
from gym.tasksets.elementary import Elementary
from gym.tasksets.task import Task
from k2model.chat import encode_chat, rounds
from k2model.tokenizer import K2Tokenizer
from stages.rl.critic import Comparison, comparison_messages
from stages.schemas import TRAJECTORIES, read_table
from stages.sft.packing import Example

Conversation = tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]] | None]


def trajectories(path: Path) -> list[Conversation]:
    """(messages, tools) of every kept trajectory, in file order."""
    table = read_table(path, TRAJECTORIES)
    rows = zip(table["messages"].to_pylist(), table["tools"].to_pylist(), table["kept"].to_pylist(), strict=True)
    return [(json.loads(messages), json.loads(tools)) for messages, tools, kept in rows if kept]


def clean(found: Sequence[Conversation], index: Index) -> tuple[list[Conversation], int]:
    """Conversations that share no text with a benchmark, and how many do."""
    kept = decontaminate((said(messages) for messages, _ in found), index).kept
    return [found[place] for place in kept], len(found) - len(kept)


def demonstration(taskset: Elementary, task: Task) -> Conversation:
    """A task and what a perfect assistant says."""
    return [*task.messages, {"role": "assistant", "content": taskset.demonstration(task)}], None


def comparison(task: Task, rng: np.random.Generator) -> Conversation:
    """A right and a wrong answer for the critic to compare, in random order."""
    right, wrong = task.payload["answer"], str(rng.choice(task.payload["wrong"]))
    first_is_right = bool(rng.integers(2))
    pair = (right, wrong) if first_is_right else (wrong, right)
    question = str(task.messages[-1]["content"])
    messages = comparison_messages(Comparison(question, *pair))
    return [*messages, {"role": "assistant", "content": right}], None


def encode(
    tokenizer: K2Tokenizer, conversations: Sequence[Conversation], longest: int
) -> tuple[list[Example], list[int], int]:
    """Examples, the place of each among the conversations, and how many were longer than `longest` tokens.

    A conversation of several rounds with reasoning gives one example a round, as in use.
    """
    examples: list[Example] = []
    places: list[int] = []
    too_long = 0
    for place, (messages, tools) in enumerate(conversations):
        for part in rounds(messages):
            encoded = encode_chat(tokenizer, part, tools)
            if len(encoded.ids) - 1 > longest:
                too_long += 1
                continue
            examples.append(Example(encoded.ids, encoded.loss_mask))
            places.append(place)
    return examples, places, too_long
