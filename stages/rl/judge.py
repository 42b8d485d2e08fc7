"""The critic as a function: which of two answers the policy itself writes down when it is asked for the better one.

Writing the answer instead of a letter lets the critic use what the policy knows about the question: what it learns by
acting makes it a better critic, and the other way round.
"""

from collections.abc import Sequence

import torch

from gym.tasksets.task import Task
from k2model.chat.messages import encode_chat, encode_prompt
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from stages.posttraining.packing import Example
from stages.rl.critic import Comparison, comparison_messages
from stages.rl.rollout import Rollout
from stages.rl.rows import group_rows

ROWS = 64


@torch.no_grad()
def judge(model: K2Model, tokenizer: K2Tokenizer, comparisons: Sequence[Comparison]) -> list[float]:
    """The probability that the first answer is the better one: σ of the difference between the log-probabilities of
    writing down the first and the second, each per token."""
    said: list[float] = []
    for start in range(0, len(comparisons), ROWS):
        groups = []
        for one in comparisons[start : start + ROWS]:
            prompt = encode_prompt(tokenizer, comparison_messages(one))
            prompt += tokenizer.encode("<think></think>", parse_special=True)
            groups.append([_written(tokenizer, prompt, answer) for answer in (one.first, one.second)])
        rows = group_rows(groups, tokenizer.pad)
        logp_BL, _ = model.log_probs(
            rows.tokens_BL, rows.targets_BL, positions_BL=rows.positions_BL, segment_ids_BL=rows.segments_BL2
        )
        mean_N = rows.by_rollout(logp_BL).sum(-1) / rows.mask_NA.sum(-1)
        said += torch.sigmoid(mean_N[0::2] - mean_N[1::2]).tolist()
    return said


def _written(tokenizer: K2Tokenizer, prompt: Sequence[int], answer: str) -> Rollout:
    """The prompt and the answer to its end, as if the policy had sampled it."""
    written = [*tokenizer.encode(answer), tokenizer.im_end]
    rollout = Rollout("", 0, len(written))
    rollout.add(prompt)
    rollout.add(written, [0.0] * len(written))
    return rollout


def lesson(tokenizer: K2Tokenizer, one: Comparison, first_is_better: bool) -> Example:
    """A comparison with a known outcome, for the critic to learn from."""
    answer = {"role": "assistant", "content": one.first if first_is_better else one.second}
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
