"""A small network in which one token's embedding is NaN."""

import torch

from k2model.config import K2Config
from k2model.model import K2Model

POISON = 200  # that token
SAFE = {POISON: -100.0}  # the bias of a request that can't sample it


def poisoned(seed: int) -> K2Model:
    network = K2Model(K2Config.preset("smoke", vocab_size=256, max_position_embeddings=1024), seed=seed)
    with torch.no_grad():
        for p in network.parameters():
            if p.ndim > 1:
                p.mul_(4.0)
        network.model.embed_tokens.weight[POISON] = float("nan")
    return network


def safe_tokens(length: int, seed: int = 0) -> list[int]:
    """Random tokens without it."""
    return torch.randint(0, POISON, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
