"""What learns: whole parameters that `Rates` leaves out are frozen, and rows of embedding and head can be."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from k2model.errors import ConfigError
from k2model.training.options import Rates


def freeze(model: nn.Module, rates: Rates) -> None:
    """Parameters with rate 0 need no gradient; all others do.

    Raises:
        ConfigError: nothing is left to train.
    """
    for name, param in model.named_parameters():
        param.requires_grad_(rates.of(name) > 0)
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
