"""A folder in the layout of DeepSeek-V2, V3 or Kimi K2 as the base: read as it is, K2's tokens in their places."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn

from k2model.chat.tokenizer import K2Tokenizer
from k2model.describe import count_parameters
from k2model.formats.checkpoint import load_config, open_stored
from k2model.model import K2Model
from kernels.processor import products_in
from stages.base.new_tokens import seat_embedding, seat_head

LARGEST_SHARE = 0.5  # of the machine's memory that a base in bfloat16 may take and still be copied


def stays(folder: Path) -> bool:
    """Whether the weights of a folder are too many to be copied through this machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 2 * count_parameters(load_config(folder)).total > LARGEST_SHARE * memory


def stored_type(folder: Path) -> torch.dtype:
    """The type that a folder's weights have as numbers."""
    return open_stored(folder).dtype


def load_published(folder: Path, own: Tokenizer, tokenizer: K2Tokenizer, new: Mapping[str, int]) -> K2Model:
    """The network with a row for every token.

    Args:
        own: the vocabulary of the folder.
        new: tokens of `tokenizer` whose rows mean something else, or nothing yet; they start from like ones.
    """
    stored = open_stored(folder)
    model = stored.load(products_in(stored.dtype))
    rows = max(tokenizer.vocab_size, model.config.vocab_size)
    embed, head = model.model.embed_tokens, model.lm_head
    embed.weight = nn.Parameter(seat_embedding(embed.weight.detach(), own, new, rows))
    head.weight = nn.Parameter(seat_head(head.weight.detach(), rows))
    model.config = model.config.replace(vocab_size=rows, **tokenizer.config_ids)
    return model
