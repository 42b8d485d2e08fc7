"""From the critic's verdicts on pairs to the reward of each answer.

The map: w_ij, the critic's probability that answer i beats answer j, is taken as a soft count of wins. Bradley–Terry
strengths s maximise Σ w_ij log σ(s_i − s_j) − ε Σ s_i²; the reward of i is the mean of σ(s_i − s_j) over the other
answers, in [0, 1], 0.5 for all when the critic sees no difference.
"""

import numpy as np
import numpy.typing as npt

RIDGE = 0.01
Matrix = npt.NDArray[np.float64]


def strengths(wins: Matrix, iterations: int = 50) -> npt.NDArray[np.float64]:
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
    s = strengths(wins)
    p = 1.0 / (1.0 + np.exp(s[None, :] - s[:, None]))
    np.fill_diagonal(p, 0.0)
    chance: npt.NDArray[np.float64] = p.sum(1) / (count - 1)
    return chance
