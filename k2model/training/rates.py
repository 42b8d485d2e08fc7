"""How fast each part of the network learns: shares of the step's learning rate, 0 freezes the part.

A network that was converted from another one keeps what it knows when its attention learns first and the feed-forward
layers, which hold the facts, learn slowly or not at all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from k2model.errors import ConfigError


@dataclass(frozen=True)
class Rates:
    """attention: with the layers' norms. feed_forward: dense, shared and routed, with routers. embeddings: and head.

    first_layer: what lies below it is frozen, the embedding too; the backward pass ends there.
    """

    attention: float = 1.0
    feed_forward: float = 1.0
    embeddings: float = 1.0
    first_layer: int = 0

    def of(self, name: str) -> float:
        """The share of the parameter with this name in a checkpoint."""
        layer = re.search(r"\.layers\.(\d+)\.", name)
        if self.first_layer and ("embed_tokens." in name or (layer and int(layer[1]) < self.first_layer)):
            return 0.0
        if ".mlp." in name:
            return self.feed_forward
        return self.embeddings if "embed_tokens." in name or "lm_head." in name else self.attention

    def freeze(self, model: nn.Module) -> None:
        """Parameters with rate 0 need no gradient; all others do.

        Raises:
            ConfigError: nothing is left to train.
        """
        for name, param in model.named_parameters():
            param.requires_grad_(self.of(name) > 0)
        if not any(param.requires_grad for param in model.parameters()):
            raise ConfigError("rates: every part has rate 0, nothing is left to train")


def limit_rows(model: nn.Module, rows: Sequence[int]) -> None:
    """Gradients of the embedding's and the head's other rows become zero: without weight decay they keep their bits."""

    def only_rows(grad_VC: Tensor) -> Tensor:
        chosen = torch.tensor(rows, device=grad_VC.device)
        return torch.zeros_like(grad_VC).index_copy_(0, chosen, grad_VC[chosen])

    for name, param in model.named_parameters():
        if name.endswith(("embed_tokens.weight", "lm_head.weight")) and param.requires_grad:
            param.register_hook(only_rows)
