"""How fast each part of the network learns: shares of the step's learning rate, 0 freezes the part.

A network that was converted from another one keeps what it knows when its attention learns first and the feed-forward
layers, which hold the facts, learn slowly or not at all.
"""

from dataclasses import dataclass

from torch import nn

from k2model.errors import ConfigError


@dataclass(frozen=True)
class Rates:
    """attention: with the layers' norms. feed_forward: dense, shared and routed, with routers. embeddings: and head."""

    attention: float = 1.0
    feed_forward: float = 1.0
    embeddings: float = 1.0

    def of(self, name: str) -> float:
        """The share of the parameter with this name in a checkpoint."""
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
