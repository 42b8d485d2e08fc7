"""The critic as a function: the policy's own probability that the first of two answers is the better one."""

from collections.abc import Sequence

import torch

from gym.tasksets.task import Task
from k2model.chat import encode_chat, encode_prompt
from k2model.model import K2Model
from k2model.tokenizer import K2Tokenizer
from stages.rl.critic import Comparison, comparison_messages
from stages.sft.packing import Example

ROWS = 64


def _until_letter(tokenizer: K2Tokenizer, one: Comparison) -> list[int]:
    """The critic's prompt and the tokens that come before its letter."""
    empty = tokenizer.encode("<think></think>", parse_special=True)
    return [*encode_prompt(tokenizer, comparison_messages(one)), *empty]


@torch.no_grad()
def judge(model: K2Model, tokenizer: K2Tokenizer, comparisons: Sequence[Comparison]) -> list[float]:
    """p(A) / (p(A) + p(B)) for each comparison.

    Raises:
        ValueError: the letters are not single tokens.
    """
    letters = [tokenizer.encode(letter) for letter in "AB"]
    if any(len(ids) != 1 for ids in letters):
        raise ValueError("the tokenizer has no single tokens for A and B")
    a, b = letters[0][0], letters[1][0]
    said: list[float] = []
    for start in range(0, len(comparisons), ROWS):
        rows = [_until_letter(tokenizer, one) for one in comparisons[start : start + ROWS]]
        longest = max(map(len, rows))
        tokens_BL = torch.tensor([row + [tokenizer.pad] * (longest - len(row)) for row in rows])
        hidden_BLC, _, _ = model.hidden(tokens_BL)
        last_BC = hidden_BLC[torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])]
        logits_B2 = model.lm_head(last_BC)[:, [a, b]].float()
        said += logits_B2.softmax(-1)[:, 0].tolist()
    return said


def lesson(tokenizer: K2Tokenizer, one: Comparison, first_is_better: bool) -> Example:
    """A comparison with a known outcome, for the critic to learn from."""
    answer = {"role": "assistant", "content": "A" if first_is_better else "B"}
    encoded = encode_chat(tokenizer, [*comparison_messages(one), answer])
    return Example(encoded.ids, encoded.loss_mask)


def accuracy(model: K2Model, tokenizer: K2Tokenizer, tasks: Sequence[Task], most: int) -> float:
    """Share of comparisons in which the right answer beats a wrong one, over both orders; a tie counts half.

    `payload["answer"]` against each of `payload["wrong"]`, of tasks in turn until there are `most` comparisons.
    """
    deepest = max(len(task.payload["wrong"]) for task in tasks)
    pairs = [
        (str(task.messages[-1]["content"]), str(task.payload["answer"]), str(task.payload["wrong"][place]))
        for place in range(deepest)
        for task in tasks
        if place < len(task.payload["wrong"])
    ][:most]
    both = [Comparison(q, *order) for q, right, wrong in pairs for order in ((right, wrong), (wrong, right))]
    said = judge(model, tokenizer, both)
    margins = [said[2 * k] - said[2 * k + 1] for k in range(len(pairs))]
    return sum(1.0 if margin > 0 else 0.5 if margin == 0 else 0.0 for margin in margins) / len(margins)
