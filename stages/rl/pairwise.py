"""Self-critique: the policy compares answers pairwise, by which of two it writes down when asked for the better one.

Writing the answer instead of a letter lets the critic use what the policy knows about the question: what it learns by
acting makes it a better critic, and the other way round. A violated prescriptive rubric decides a comparison before the
critic is asked.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from k2model.chat.messages import encode_chat, encode_prompt
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from k2model.training.process_group import to_device
from stages.posttraining.comparison import Comparison
from stages.posttraining.packing import Example
from stages.rl.bradley_terry import Matrix
from stages.rl.rollout import Rollout
from stages.rl.rows import group_rows
from stages.rl.rubrics import violations

ROWS = 64
# The probability that the first answer is the better one; None where there is no verdict.
Judge = Callable[[Sequence[Comparison]], Sequence[float | None]]


@torch.no_grad()
def judge(model: K2Model, tokenizer: K2Tokenizer, comparisons: Sequence[Comparison]) -> list[float | None]:
    """The probability that the first answer is the better one: σ of the difference between the log-probabilities of
    writing down the first and the second, each per token; None for a comparison longer than the context."""
    chances: list[float | None] = [None] * len(comparisons)
    fitting: list[tuple[int, list[Rollout]]] = []
    for number, comparison in enumerate(comparisons):
        prompt = encode_prompt(tokenizer, comparison.messages())
        prompt += tokenizer.encode("<think></think>", parse_special=True)
        group = [_written(tokenizer, prompt, answer) for answer in (comparison.first, comparison.second)]
        # The row holds the prompt once and both answers.
        if sum(len(rollout.tokens) for rollout in group) - len(prompt) <= model.config.max_position_embeddings:
            fitting.append((number, group))
    for start in range(0, len(fitting), ROWS):
        part = fitting[start : start + ROWS]
        rows = to_device(group_rows([group for _, group in part], tokenizer.pad), model.device)
        logp_BL, _ = model.log_probs(
            rows.tokens_BL, rows.targets_BL, positions_BL=rows.positions_BL, segment_ids_BL=rows.segments_BL2
        )
        mean_N = rows.by_rollout(logp_BL).sum(-1) / rows.mask_NA.sum(-1)
        for (number, _), chance in zip(part, torch.sigmoid(mean_N[0::2] - mean_N[1::2]).tolist(), strict=True):
            chances[number] = chance
    return chances


def _written(tokenizer: K2Tokenizer, prompt: Sequence[int], answer: str) -> Rollout:
    """The prompt and the answer to its end, as if the policy had sampled it."""
    written = [*tokenizer.encode(answer), tokenizer.im_end]
    rollout = Rollout("", "", 0, len(written))
    rollout.add(prompt)
    rollout.add(written, [0.0] * len(written))
    return rollout


def both_orders(judge: Judge, comparisons: Sequence[Comparison]) -> list[tuple[float, float] | None]:
    """For each comparison the probability that its first answer wins, shown first and shown second, asked in one batch.

    None where one of the two verdicts is missing: with a single one a prejudice for a place would not cancel.
    """
    chances = judge([asked for one in comparisons for asked in (one, one.swapped)])
    verdicts: list[tuple[float, float] | None] = []
    for shown_first, other_first in zip(chances[0::2], chances[1::2], strict=True):
        if shown_first is None or other_first is None:
            verdicts.append(None)
        else:
            verdicts.append((shown_first, 1.0 - other_first))
    return verdicts


def win_matrix(question: str, answers: Sequence[str], rubric: str, judge: Judge, neighbours: int = 0) -> Matrix:
    """w[i, j]: the probability that answer i beats answer j, the mean over both orders of asking.

    w[i, j] + w[j, i] = 1, or both are 0 where the two never met; the diagonal is 0. Equal answers tie without a
    question. An answer that breaks a prescriptive rubric loses to one that breaks fewer.

    Args:
        neighbours: each answer meets so many that follow it, in a ring; 0: all meet.
    """
    count = len(answers)
    broken = [len(violations(answer)) for answer in answers]
    asked: list[tuple[int, int]] = []
    wins = np.zeros((count, count))
    for i in range(count):
        for j in range(i + 1, count):
            if answers[i] == answers[j]:
                wins[i, j] = wins[j, i] = 0.5
            elif broken[i] != broken[j]:
                wins[i, j], wins[j, i] = float(broken[i] < broken[j]), float(broken[j] < broken[i])
            elif not neighbours or min(j - i, count - j + i) <= neighbours:
                asked.append((i, j))
    verdicts = both_orders(judge, [Comparison(question, answers[i], answers[j], rubric) for i, j in asked])
    for (i, j), verdict in zip(asked, verdicts, strict=True):
        if verdict is not None:
            wins[i, j] = sum(verdict) / 2.0
            wins[j, i] = 1.0 - wins[i, j]
    return wins


def lessons(tokenizer: K2Tokenizer, outcomes: Sequence[Comparison], longest: int) -> list[Example]:
    """What the critic learns from comparisons whose first answer is the better one, each in both orders.

    Args:
        longest: positions of a row; a longer comparison is left out.
    """
    examples = []
    for outcome in outcomes:
        answer = {"role": "assistant", "content": outcome.first}
        for asked in (outcome, outcome.swapped):
            encoded = encode_chat(tokenizer, [*asked.messages(), answer])
            examples.append(Example(encoded.ids, encoded.loss_mask))
    return [example for example in examples if example.inputs <= longest]
