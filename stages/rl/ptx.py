"""The quality data of the PTX loss (K2 report §3.2.3): what RL itself does not train and should not unlearn."""

from collections.abc import Sequence

from gym.decontaminate import Index
from k2model.chat.tokenizer import K2Tokenizer
from stages.posttraining.conversations import Conversation, Fitted, encode
from stages.posttraining.mixture import Mixture, Pool, demonstrate
from stages.rl.params import RlParams


def quality_data(
    tokenizer: K2Tokenizer,
    p: RlParams,
    difficulty: float,
    kept: Sequence[Conversation],
    seed: int,
    index: Index | None = None,
) -> tuple[Mixture, Fitted]:
    """Rows of kept trajectories, and as many rows of demonstrations of families outside the RL loop.

    Returns:
        The rows, and how many trajectories were left out.

    Raises:
        InputError: there is nothing to learn from.
    """
    examples, _, fitted = encode(tokenizer, kept, p.ptx_length)
    shown, _ = demonstrate(tokenizer, p.ptx_demonstrations, difficulty, p.ptx_length, seed, index)
    pools = [Pool("trajectory", examples, 0.5), Pool("demonstration", shown, 0.5)]
    return Mixture(pools, p.ptx_length, seed), fitted
