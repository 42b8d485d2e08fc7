"""K2.5's objective: token level, clipped, and masked wherever the log-ratio leaves [α, β].

    L = −E[ 1/N Σ_j Σ_i ( Clip(π_θ/π_old, α, β) (r − r̄) − τ (log π_θ/π_old)² ) ]        (K2.5 report §4.4.2, eq. 1)

N counts all tokens. Unlike PPO the mask does not look at the sign of the advantage.
"""

from torch import Tensor

from stages.rl.objectives.batch import PolicyBatch


def loss(batch: PolicyBatch, tau: float, alpha: float, beta: float) -> Tensor:
    """`alpha` and `beta` bound the log-ratio; the clipped ratio of a masked token carries no gradient."""
    log_ratio_NL = batch.log_ratio_NL
    inside_NL = (log_ratio_NL >= alpha) & (log_ratio_NL <= beta) & batch.mask_NL
    ratio_NL = log_ratio_NL.clamp(alpha, beta).exp()
    gain_NL = ratio_NL * batch.centred_reward_N()[:, None] - tau * log_ratio_NL.square()
    return -(batch.token_weight_NL() * gain_NL * inside_NL).sum() / batch.mask_NL.sum()
