"""K2's objective: the squared, mean-centred, sequence-level log-ratio loss.

L = E_x[ 1/K Σ_i ( r(x, y_i) − r̄(x) − τ log π_θ(y_i|x)/π_old(y_i|x) )² ]        (K2 report §3.2.3)
"""

from torch import Tensor

from stages.rl.objectives.batch import PolicyBatch


def loss(batch: PolicyBatch, tau: float) -> Tensor:
    """The equation as it stands; divided by 2τ its gradient at π_θ = π_old is −(r − r̄) ∇log π.

    A rollout of another engine counts by its truncated importance ratio.
    """
    log_ratio_N = batch.log_ratio_NL.sum(-1)
    return (batch.sequence_weight_N() * (batch.centred_reward_N() - tau * log_ratio_N).square()).mean()
