"""What the tuning learns from: kept trajectories, demonstrations of tasks, and comparisons for the critic."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gym.decontaminate import Index, decontaminate, spoken_texts
from gym.tasksets.task import Shown, Task
from k2model.chat.messages import encode_chat, rounds
from k2model.chat.tokenizer import K2Tokenizer
from stages.harness.tables import TRAJECTORIES, read_batches
from stages.posttraining.comparison import Comparison
from stages.posttraining.packing import Example

Message = Mapping[str, Any]
Conversation = tuple[Sequence[Message], Sequence[Message] | None]
# Kinds that `sft` learns by shares of their own, each with a part held out: their sources in trajectories.parquet.
SOURCES = {
    "trajectories": ("simulated", "llm", "server", "executed"),
    "coding": ("coding",),
    "requests": ("request",),
    "singles": ("single",),
}


@dataclass
class Fitted:
    """Examples that were cut to fit a row, that no cut could fit; conversations without a token to learn."""

    cut: int = 0
    too_long: int = 0
    no_targets: int = 0


def trajectories(path: Path, *sources: str) -> list[Conversation]:
    """(messages, tools) of every kept trajectory, in file order; of these sources, or of all.

    Of the file a batch of rows is in memory at a time.
    """
    return [
        (json.loads(row["messages"]), json.loads(row["tools"]))
        for rows in read_batches(path, TRAJECTORIES, ("kept", "source", "messages", "tools"))
        for row in rows
        if row["kept"] and (not sources or row["source"] in sources)
    ]


def split(
    conversations: Sequence[Conversation], held_fraction: float, rng: np.random.Generator
) -> tuple[list[Conversation], list[Conversation]]:
    """Conversations to learn from, and whole ones held out of it, of two or more at least one; both in their order."""
    order = rng.permutation(len(conversations)).tolist()
    held = int(np.ceil(len(conversations) * held_fraction)) if len(conversations) > 1 else 0
    learned, kept_back = sorted(order[held:]), sorted(order[:held])
    return [conversations[k] for k in learned], [conversations[k] for k in kept_back]


def clean(conversations: Sequence[Conversation], index: Index) -> tuple[list[Conversation], int]:
    """Conversations that share no text with a benchmark and declare none of its functions, and how many do."""
    apart = decontaminate((spoken_texts(messages) for messages, _ in conversations), index).kept
    kept = [conversations[k] for k in apart if not declares(conversations[k], index)]
    return kept, len(conversations) - len(kept)


def declares(conversation: Conversation, index: Index) -> bool:
    """Whether it declares a function that has a name of a benchmark's."""
    _, tools = conversation
    return any(index.tool(str(tool["function"]["name"])) for tool in tools or ())


def demonstration(taskset: Shown, task: Task) -> Conversation:
    """A task and what a perfect assistant says."""
    return [*task.messages, {"role": "assistant", "content": taskset.demonstration(task)}], None


def comparison(task: Task, rng: np.random.Generator) -> Conversation:
    """A right and a wrong answer for the critic to compare."""
    right, wrong = task.payload["answer"], str(rng.choice(task.payload["wrong"]))
    return compared(Comparison(str(task.messages[-1]["content"]), right, wrong), rng)


def compared(known: Comparison, rng: np.random.Generator) -> Conversation:
    """A comparison whose first answer is the better one, as the critic settles it; shown in random order."""
    asked = known if rng.integers(2) else known.swapped
    return [*asked.messages(), {"role": "assistant", "content": known.first}], None


def encode(
    tokenizer: K2Tokenizer, conversations: Sequence[Conversation], longest: int, *, cut_long: bool = False
) -> tuple[list[Example], list[int], Fitted]:
    """Examples, the index of each one's conversation, and how those longer than `longest` tokens fared.

    A conversation of several rounds with reasoning gives one example a round, as in use. One that is too long is left
    out, or with `cut_long` cut (`cut`) where its first assistant turn fits. What holds no token of the assistant's to
    learn is left out: its loss would be 0 / 0.
    """
    examples: list[Example] = []
    indices: list[int] = []
    fitted = Fitted()
    for index, (messages, tools) in enumerate(conversations):
        seen: set[tuple[int, ...]] = set()
        silent = True
        for part in rounds(messages):
            encoded = encode_chat(tokenizer, part, tools)
            too_long = len(encoded.ids) - 1 > longest
            if too_long:
                shorter = cut(tokenizer, part, tools, longest) if cut_long else None
                if shorter is None:
                    fitted.too_long += 1
                    silent = False
                    continue
                encoded = encode_chat(tokenizer, *shorter)
            example = Example(encoded.ids, encoded.loss_mask)
            if not example.targets:
                continue
            silent = False
            if too_long:
                # Rounds of one conversation can be cut at the same turn.
                if tuple(encoded.ids) in seen:
                    continue
                fitted.cut += 1
            seen.add(tuple(encoded.ids))
            examples.append(example)
            indices.append(index)
        fitted.no_targets += silent
    return examples, indices, fitted


def of_examples(conversations: Sequence[Conversation], indices: Sequence[int]) -> list[Conversation]:
    """The conversations that `encode` made an example of, each once, by the indices that it gave."""
    return [conversations[k] for k in dict.fromkeys(indices)]


def cut(
    tokenizer: K2Tokenizer, messages: Sequence[Message], tools: Sequence[Message] | None, longest: int
) -> Conversation | None:
    """The longest beginning that ends after an assistant's turn and fits, None when there is none.

    Of the declared tools it keeps those that are called in it and as many others, at least one, in their order.
    """
    beginning: Conversation | None = None
    for end in (k + 1 for k, message in enumerate(messages) if message["role"] == "assistant"):
        part = messages[:end]
        called = {call["function"]["name"] for message in part for call in message.get("tool_calls") or []}
        spare = max(1, len(called))
        declared = []
        for tool in tools or ():
            if tool["function"]["name"] in called:
                declared.append(tool)
            elif spare:
                declared.append(tool)
                spare -= 1
        if len(encode_chat(tokenizer, part, declared).ids) - 1 > longest:
            break
        beginning = part, declared
    return beginning
