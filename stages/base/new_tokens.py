"""Rows of the embedding and of the head for tokens that the base doesn't know.

A new row starts from a token or a phrase of like meaning; rows of the head are then fitted on the hidden states of a
few conversations, since otherwise the first steps of training are spent on 17 rows.

Axes: V vocabulary, C hidden width, T targets, S new tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

import torch
from tokenizers import Tokenizer
from torch import Tensor

from agents.conversations.samples import samples
from k2model.chat.messages import encode_chat
from k2model.chat.tokenizer import K2Tokenizer
from k2model.formats.dense import DenseWeights
from k2model.model import K2Model
from stages.posttraining.packing import Example, pack

# The first that the base has as a token of its own, else the last one's text.
LIKE = {
    "[BOS]": ("<|endoftext|>", "<|begin_of_text|>", "<s>", "\n"),
    "[EOS]": ("<|endoftext|>", "<|end_of_text|>", "</s>", "\n\n"),
    "[EOT]": ("<|endoftext|>", "<|end_of_text|>", "</s>", "\n\n"),
    "[UNK]": ("<|endoftext|>", "<|end_of_text|>", "<unk>", "\n"),
    "[PAD]": ("<|endoftext|>", "<|end_of_text|>", "<pad>", "\n"),
    "<|im_end|>": ("<|im_end|>", "<|eot_id|>", "\n\n"),
    "<|im_user|>": ("<|im_start|>", "<|start_header_id|>", "\n\nuser"),
    "<|im_assistant|>": ("<|im_start|>", "<|start_header_id|>", "\n\nassistant"),
    "<|im_system|>": ("<|im_start|>", "<|start_header_id|>", "\n\nsystem"),
    "<|im_middle|>": ("\n",),
    "<|tool_calls_section_begin|>": ("\n<tool_calls>",),
    "<|tool_calls_section_end|>": ("</tool_calls>",),
    "<|tool_call_begin|>": ("<tool_call>",),
    "<|tool_call_argument_begin|>": (" arguments: ",),
    "<|tool_call_end|>": ("</tool_call>",),
    "<think>": ("<think>",),
    "</think>": ("</think>\n",),
}
CONVERSATIONS, DRAWN = 8, 32  # the first that the network has positions for
CHUNK = 512  # positions whose logits are alive at once
FIT_STEPS = 300
FIT_LR = 0.02


def seat_rows(weights: DenseWeights, base: Tokenizer, tokenizer: K2Tokenizer, new: Mapping[str, int]) -> DenseWeights:
    """The dense network's weights with the vocabulary of `tokenizer`."""
    vocab = max(tokenizer.vocab_size, len(weights.embed))
    embed = seat_embedding(weights.embed, base, new, vocab)
    return replace(weights, embed=embed, head=seat_head(weights.head, vocab))


@torch.no_grad()
def seat_embedding(rows_VC: Tensor, base: Tokenizer, new: Mapping[str, int], vocab: int) -> Tensor:
    """Rows [V, C] for `vocab` tokens: a `new` one's is that of what means the like.

    Where nothing does, as for rare bytes and for rows without a token, it is the mean row.
    """
    rows = seat_head(rows_VC, vocab)
    length = rows_VC.float().norm(dim=1).median()
    for name, number in new.items():
        if name in LIKE:
            row_C = rows_VC[_like(base, name)].float().mean(0)
            rows[number] = (row_C / row_C.norm() * length).to(rows.dtype)
    return rows


@torch.no_grad()
def seat_head(rows_VC: Tensor, vocab: int) -> Tensor:
    """Rows [V, C] for `vocab` tokens: those that are there, then the mean row.

    Until `fit_head`, a new token has the row of an unused token or the mean one, and so hardly any probability.
    """
    mean_1C = rows_VC.float().mean(0, keepdim=True).to(rows_VC.dtype)
    return torch.cat((rows_VC, mean_1C.expand(vocab - len(rows_VC), -1)))


def _like(base: Tokenizer, name: str) -> list[int]:
    for text in LIKE[name]:
        number = base.token_to_id(text)
        if number is not None:
            return [int(number)]
    return list(base.encode(LIKE[name][-1], add_special_tokens=False).ids)


def fit_head(
    model: K2Model, tokenizer: K2Tokenizer, new: Mapping[str, int], text: Sequence[Tensor], seed: int
) -> tuple[float, float]:
    """Fits the head's rows of the new tokens on a few conversations; nothing else of the model changes.

    Args:
        text: tokens [B, L] of documents, in which none of the new tokens is to be expected.

    Returns:
        The loss over conversations and text before and after, in nats per token.
    """
    ids_S = torch.tensor(list(new.values()))
    hidden, targets = [], []
    drawn = (encode_chat(tokenizer, each.messages, each.tools) for each in samples(DRAWN, seed))
    fitting = (encoded for encoded in drawn if len(encoded.ids) <= model.config.max_position_embeddings)
    for encoded in islice(fitting, CONVERSATIONS):
        batch = pack([[Example(encoded.ids, encoded.loss_mask)]], len(encoded.ids) - 1, tokenizer.pad)
        kept_BL = batch.targets_BL != -100
        hidden.append(_hidden(model, batch.tokens_BL)[kept_BL])
        targets.append(batch.targets_BL[kept_BL])
    for tokens_BL in text:
        hidden.append(_hidden(model, tokens_BL)[:, :-1].flatten(0, 1))
        targets.append(tokens_BL[:, 1:].flatten())
    hidden_TC, targets_T = torch.cat(hidden), torch.cat(targets)
    head_VC = model.lm_head.weight.detach()
    place_T = (targets_T[:, None] == ids_S).float().argmax(1)
    is_new_T = torch.isin(targets_T, ids_S)
    others_T, own_T = _others(hidden_TC, targets_T, head_VC, ids_S)
    rows_SC = head_VC[ids_S].clone().requires_grad_(True)
    optimizer = torch.optim.Adam([rows_SC], lr=FIT_LR)
    losses: list[float] = []
    for _ in range(FIT_STEPS):
        new_TS = hidden_TC @ rows_SC.T
        total_T = torch.logaddexp(others_T, new_TS.logsumexp(1))
        wanted_T = torch.where(is_new_T, new_TS.gather(1, place_T[:, None]).squeeze(1), own_T)
        loss = (total_T - wanted_T).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    head_VC[ids_S] = rows_SC.detach()
    return losses[0], losses[-1]


@torch.no_grad()
def _hidden(model: K2Model, tokens_BL: Tensor) -> Tensor:
    return model.hidden(tokens_BL)[0]


def _others(hidden_TC: Tensor, targets_T: Tensor, head_VC: Tensor, ids_S: Tensor) -> tuple[Tensor, Tensor]:
    """(log-sum-exp of all known tokens' logits, the target's logit), [T]; the latter means nothing for a new one."""
    sums, own = [], []
    for rows_TC, wanted_T in zip(hidden_TC.split(CHUNK), targets_T.split(CHUNK), strict=True):
        logits_TV = rows_TC @ head_VC.T
        own.append(logits_TV.gather(1, wanted_T[:, None]).squeeze(1))
        logits_TV[:, ids_S] = float("-inf")
        sums.append(logits_TV.logsumexp(1))
    return torch.cat(sums), torch.cat(own)
