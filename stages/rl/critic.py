"""Self-critique: the policy compares answers pairwise against rubrics, and a stated map makes rewards of that.

The map: w_ij, the critic's probability that answer i beats answer j (mean over both orders; a violated prescriptive
rubric decides a comparison before the critic is asked), is taken as a soft count of wins. Bradley–Terry strengths s
maximise Σ w_ij log σ(s_i − s_j) − ε Σ s_i²; the reward of i is the mean of σ(s_i − s_j) over the other answers, in
[0, 1], 0.5 for all when the critic sees no difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.rl.rubrics import violations

RIDGE = 0.01
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One question to the critic: is `first` the better answer to `question`?"""

    question: str
    first: str
    second: str
    rubric: str = ""


Judge = Callable[[Sequence[Comparison]], Sequence[float]]


def comparison_messages(one: Comparison) -> list[dict[str, str]]:
    """The critic's prompt; it writes the better answer down."""
    rubric = f"Rubric: {one.rubric}\n" if one.rubric else ""
    text = f"Which answer is better?\n{rubric}Question: {one.question}\nA: {one.first}\nB: {one.second}"
    return [{"role": "system", "content": "critic"}, {"role": "user", "content": text}]


def win_matrix(question: str, answers: Sequence[str], rubric: str, judge: Judge) -> Matrix:
    """w[i, j]: the probability that answer i beats answer j; w[i, j] + w[j, i] = 1, the diagonal is 0.

    Equal answers tie without a question. An answer that breaks a prescriptive rubric loses to one that breaks fewer.
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
    said = judge(both)
    for place, (i, j) in enumerate(asked):
        wins[i, j] = (said[2 * place] + 1.0 - said[2 * place + 1]) / 2.0
    lower = np.tril_indices(count, -1)
    wins[lower] = 1.0 - wins.T[lower]
    return wins


def bradley_terry(wins: Matrix, iterations: int = 50) -> npt.NDArray[np.float64]:
    """Strengths (mean 0) that maximise the ridge-penalised likelihood of soft wins, by Newton's method."""
    count = len(wins)
    played = wins + wins.T
    s = np.zeros(count)
    for _ in range(iterations):
        p = 1.0 / (1.0 + np.exp(s[None, :] - s[:, None]))
        gradient = wins.sum(1) - (played * p).sum(1) - 2 * RIDGE * s
        curvature = played * p * (1 - p)
        hessian = np.diag(curvature.sum(1) + 2 * RIDGE) - curvature
        step = np.linalg.solve(hessian, gradient)
        s = s + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    return s - s.mean()


def rewards(wins: Matrix) -> npt.NDArray[np.float64]:
    """The reward of each answer, in [0, 1]: its mean chance against the others under Bradley–Terry."""
    count = len(wins)
    if count < 2:
        return np.full(count, 0.5)
    s = bradley_terry(wins)
    p = 1.0 / (1.0 + np.exp(s[None, :] - s[:, None]))
    np.fill_diagonal(p, 0.0)
    chance: npt.NDArray[np.float64] = p.sum(1) / (count - 1)
    return chance
