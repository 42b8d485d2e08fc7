"""What a conversion has to know about a dense network's activations, from a few thousand tokens of text.

Axes: D layers, H query heads, G key/value heads, P rotary pairs, C hidden width, F feed-forward neurons, T tokens.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from k2model.formats.dense import DenseModel

ROUTER_TOKENS = 4  # one of so many is kept for the routers' clusters
TINY = 1e-12


@dataclass(frozen=True)
class LayerStatistics:
    """Moments over the calibration's tokens, in float64.

    keys_PGG: complex second moments of the keys' rotary pairs between key heads. query_energy_PG: mean squared norm
    of the pairs of the queries that read each key head. mean_C, moment_CC: of the attention's input after its norm.
    q_scale_H, k_scale_G: the constants that stand for norms of heads, 1 without them. importance_F: mean |h| of each
    neuron times the norm of its outgoing weights. router_TC: inputs of the feed-forward network.
    """

    keys_PGG: Tensor
    query_energy_PG: Tensor
    mean_C: Tensor
    moment_CC: Tensor
    q_scale_H: Tensor
    k_scale_G: Tensor
    importance_F: Tensor
    router_TC: Tensor


def calibrate(model: DenseModel, batches: Iterable[Tensor]) -> list[LayerStatistics]:
    """Statistics of every layer over rows of tokens [B, L]; the same batches give the same bytes.

    Raises:
        ValueError: no batch.
    """
    sums = [_Sums(model, layer) for layer in range(model.config.layers)]
    observer = _Observer(sums)
    for tokens_BL in batches:
        model.hidden(tokens_BL, observer)
    if not sums[0].tokens:
        raise ValueError("no text to calibrate on")
    return [own.statistics() for own in sums]


class _Observer:
    def __init__(self, sums: list["_Sums"]) -> None:
        self.sums = sums

    def attention(
        self, layer: int, x_BLC: Tensor, normed_BLC: Tensor, q_BLHD: Tensor, k_BLGD: Tensor, attended_BLC: Tensor
    ) -> None:
        self.sums[layer].attention(*(tensor.flatten(0, 1) for tensor in (normed_BLC, q_BLHD, k_BLGD)))

    def feed_forward(self, layer: int, normed_BLC: Tensor, inner_BLF: Tensor) -> None:
        self.sums[layer].feed_forward(normed_BLC.flatten(0, 1), inner_BLF.flatten(0, 1))


class _Sums:
    """Running sums of one layer."""

    def __init__(self, model: DenseModel, layer: int) -> None:
        c = model.config
        self.model, self.layer, self.tokens = model, layer, 0
        pairs = c.head_dim // 2
        self.keys_PGG = torch.zeros(pairs, c.kv_heads, c.kv_heads, dtype=torch.complex128)
        self.query_PG = torch.zeros(pairs, c.kv_heads, dtype=torch.float64)
        self.sum_C = torch.zeros(c.hidden, dtype=torch.float64)
        self.moment_CC = torch.zeros(c.hidden, c.hidden, dtype=torch.float64)
        self.normed_q_H, self.raw_q_H = torch.zeros(2, c.heads, dtype=torch.float64)
        self.normed_k_G, self.raw_k_G = torch.zeros(2, c.kv_heads, dtype=torch.float64)
        self.inner_F = torch.zeros(c.ffn, dtype=torch.float64)
        self.router: list[Tensor] = []

    def attention(self, normed_TC: Tensor, q_THD: Tensor, k_TGD: Tensor) -> None:
        c = self.model.config
        self.tokens += len(normed_TC)
        k_TGP = complex_pairs(k_TGD)
        self.keys_PGG += torch.einsum("tgp,thp->pgh", k_TGP, k_TGP.conj())
        energy_THP = complex_pairs(q_THD).abs().square()
        self.query_PG += energy_THP.unflatten(1, (c.kv_heads, -1)).mean(2).sum(0).T
        self.sum_C += normed_TC.double().sum(0)
        self.moment_CC += (normed_TC.T @ normed_TC).double()
        w = self.model.weights
        if w.q_norm:
            raw_TYD = F.linear(normed_TC, w.qkv[self.layer]).unflatten(-1, (-1, c.head_dim)).double()
            raw_q_THD, raw_k_TGD = raw_TYD[:, : c.heads], raw_TYD[:, c.heads : c.heads + c.kv_heads]
            gain_q_D, gain_k_D = w.q_norm[self.layer].double(), w.k_norm[self.layer].double()
            # Least squares of gain · raw / rms on gain · raw.
            self.normed_q_H += (q_THD.double() * raw_q_THD * gain_q_D).sum((0, 2))
            self.raw_q_H += (raw_q_THD * gain_q_D).square().sum((0, 2))
            self.normed_k_G += (k_TGD.double() * raw_k_TGD * gain_k_D).sum((0, 2))
            self.raw_k_G += (raw_k_TGD * gain_k_D).square().sum((0, 2))

    def feed_forward(self, normed_TC: Tensor, inner_TF: Tensor) -> None:
        self.inner_F += inner_TF.abs().double().sum(0)
        self.router.append(normed_TC[::ROUTER_TOKENS].clone())

    def statistics(self) -> LayerStatistics:
        w, n = self.model.weights, self.tokens
        ones_H, ones_G = torch.ones_like(self.raw_q_H), torch.ones_like(self.raw_k_G)
        return LayerStatistics(
            keys_PGG=self.keys_PGG / n,
            query_energy_PG=self.query_PG / n,
            mean_C=self.sum_C / n,
            moment_CC=self.moment_CC / n,
            q_scale_H=self.normed_q_H / self.raw_q_H.clamp_min(TINY) if w.q_norm else ones_H,
            k_scale_G=self.normed_k_G / self.raw_k_G.clamp_min(TINY) if w.k_norm else ones_G,
            importance_F=self.inner_F / n * w.down[self.layer].norm(dim=0).double(),
            router_TC=torch.cat(self.router).double(),
        )


def complex_pairs(heads: Tensor) -> Tensor:
    """[..., D] with pairs half a head apart as complex [..., D / 2], float64."""
    first, second = heads.double().chunk(2, dim=-1)
    return torch.complex(first, second)
