"""Self-critique: the policy compares answers pairwise, by which of two it writes down when asked for the better one.

Writing the answer instead of a letter lets the critic use what the policy knows about the question: what it learns by
acting makes it a better critic, and the other way round. A violated prescriptive rubric decides a comparison before the
critic is asked.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from gym.tasksets.task import Task
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
Judge = Callable[[Sequence[Comparison]], Sequence[float]]  # the probability that the first answer is the better one


@torch.no_grad()
def judge(model: K2Model, tokenizer: K2Tokenizer, comparisons: Sequence[Comparison]) -> list[float]:
    """The probability that the first answer is the better one: σ of the difference between the log-probabilities of
    writing down the first and the second, each per token; 0.5 for a comparison that is longer than the context."""
    chances = [0.5] * len(comparisons)
    fitting: list[tuple[int, list[Rollout]]] = []
    for number, comparison in enumerate(comparisons):
        prompt = encode_prompt(tokenizer, comparison.messages())
        prompt += tokenizer.encode("<think></think>", parse_special=True)
        group = [_written(tokenizer, prompt, answer) for answer in (comparison.first, comparison.second)]
        if max(len(rollout.tokens) for rollout in group) <= model.config.max_position_embeddings:
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


def win_matrix(question: str, answers: Sequence[str], rubric: str, judge: Judge) -> Matrix:
    """w[i, j]: the probability that answer i beats answer j, the mean over both orders of asking.

    w[i, j] + w[j, i] = 1, the diagonal is 0. Equal answers tie without a question. An answer that breaks a
    prescriptive rubric loses to one that breaks fewer.
    """
    count = len(answers)
    broken = [len(violations(answer)) for answer in answers]
    asked: list[tuple[int, int]] = []
    wins = np.zeros((count, count))
    for i in range(count):
        for j in range(i + 1, count):
            if answers[i] == answers[j]:
                wins[i, j] = 0.5
            elif broken[i] != broken[j]:
                wins[i, j] = float(broken[i] < broken[j])
            else:
                asked.append((i, j))
    both = [Comparison(question, answers[a], answers[b], rubric) for i, j in asked for a, b in ((i, j), (j, i))]
    chances = judge(both)
    for number, (i, j) in enumerate(asked):
        wins[i, j] = (chances[2 * number] + 1.0 - chances[2 * number + 1]) / 2.0
    lower = np.tril_indices(count, -1)
    wins[lower] = 1.0 - wins.T[lower]
    return wins


def lessons(tokenizer: K2Tokenizer, outcomes: Sequence[Comparison], longest: int) -> list[Example]:
    """What the critic learns from comparisons whose first answer is the better one, each in both orders.

    Args:
        longest: positions of a row; a longer comparison is left out.
    """
    examples = []
    for outcome in outcomes:
        answer = {"role": "assistant", "content": outcome.first}
        swapped = Comparison(outcome.question, outcome.second, outcome.first, outcome.rubric)
        for asked in (outcome, swapped):
            encoded = encode_chat(tokenizer, [*asked.messages(), answer])
            examples.append(Example(encoded.ids, encoded.loss_mask))
    return [example for example in examples if example.inputs <= longest]


def accuracy(model: K2Model, tokenizer: K2Tokenizer, tasks: Sequence[Task], most: int) -> float:
    """Share of comparisons in which the right answer beats a wrong one, over both orders; a tie counts half.

    `payload["answer"]` against each of `payload["wrong"]`, of tasks in turn until there are `most` comparisons.
    """
    deepest = max(len(task.payload["wrong"]) for task in tasks)
    pairs = [
        (str(task.messages[-1]["content"]), str(task.payload["answer"]), str(task.payload["wrong"][depth]))
        for depth in range(deepest)
        for task in tasks
        if depth < len(task.payload["wrong"])
    ][:most]
    both = [Comparison(q, *order) for q, right, wrong in pairs for order in ((right, wrong), (wrong, right))]
    chances = judge(model, tokenizer, both)
    margins = [chances[2 * k] - chances[2 * k + 1] for k in range(len(pairs))]
    return sum(1.0 if margin > 0 else 0.5 if margin == 0 else 0.0 for margin in margins) / len(margins)
