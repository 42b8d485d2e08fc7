"""Attention with grouped keys → MLA with one shared rotary key.

A K2 layer has one rotated key for all heads; a dense layer has one for each of its G key heads, with the same P
frequencies. Per frequency, the G keys are rotated by the unitary matrix of their principal components, weighted by the
energy of the queries that read them; queries take the inverse adjoint, so the scores stay (TransMLA, arXiv:2502.07864,
does the like in real numbers). The shared key has `components` slots per frequency: a grid of rotary frequencies whose
every `components`-th one is exactly a dense pair's. There the first component turns; the others turn one slot above or
below, a little too fast or too slow. What has no slot stays unrotated, in the part of a head that isn't rotary.

Values, and keys that aren't rotated, are read from the latent: an orthonormal basis of what they read of the input,
filled up with the input's principal directions, so that the latent's RMS norm divides by nearly the same for all.

Axes: H query heads, G key/value heads, P rotary pairs, S slots, C hidden width, K latent, N nope width, R rotary
width, V value width, D dense head width, U unrotated complex components.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from k2model.formats.dense import DenseModel
from k2model.formats.upcycle.calibrate import LayerStatistics, complex_pairs

RIDGE = 1e-4  # of the mean diagonal, for the direction that reads a constant
SPARE_STD = 0.02  # of the queries of spare unrotated width, whose keys are zero: so both can learn
FIT_STEPS = 150


@dataclass(frozen=True)
class AttentionSizes:
    """Of the converted layer. `components` rotate per frequency, at most one for each key head."""

    latent: int
    components: int
    spare: int

    def rotary(self, head_dim: int) -> int:
        return self.components * head_dim

    def nope(self, head_dim: int, kv_heads: int) -> int:
        return self.spare + (kv_heads - self.components) * head_dim


def slots(pairs: int, components: int) -> Tensor:
    """[P, components]: the slot of each component of each pair; slot s turns with frequency base^(−s / (P·components)).

    Components stand at their pair's own slot, then one above, one below, two above, …; the places that the ends leave
    over go to what has no neighbour.
    """
    offsets = [0]
    for distance in range(1, components):
        offsets += [distance, -distance]
    taken = torch.full((pairs, components), -1)
    free = set(range(pairs * components))
    for component in range(components):
        for pair in range(pairs):
            slot = pair * components + offsets[component]
            if slot in free:
                taken[pair, component] = slot
                free.remove(slot)
    for pair, component in (taken < 0).nonzero().tolist():
        nearest = min(free, key=lambda slot: (abs(slot - pair * components), slot))
        taken[pair, component] = nearest
        free.remove(nearest)
    return taken


@torch.no_grad()
def convert_attention(
    dense: DenseModel, layer: int, statistics: LayerStatistics, sizes: AttentionSizes, generator: torch.Generator
) -> dict[str, Tensor]:
    """The tensors of one MLA layer, by their names below `self_attn.`, float64."""
    c, w = dense.config, dense.weights
    heads, groups, width, r = c.heads, c.kv_heads, c.head_dim, sizes.components
    pairs, of_head_H = width // 2, torch.arange(heads) // (heads // groups)
    q_HPC, k_GPC, v_GVC = _projections(dense, layer, statistics)
    turn_PGG = _principal(statistics)
    back_PGG = torch.linalg.inv(turn_PGG).conj().transpose(1, 2)
    k_PGC = torch.einsum("pcg,gpx->pcx", turn_PGG, k_GPC)
    q_HPGC = torch.einsum("pch,hpx->hpcx", back_PGG[:, :, of_head_H], q_HPC)

    place_S = slots(pairs, r).flatten()
    rotary = sizes.rotary(width)
    nope = sizes.nope(width, groups)
    k_rope_RC, q_rope_HRC = torch.zeros(rotary, c.hidden).double(), torch.zeros(heads, rotary, c.hidden).double()
    _seat(k_rope_RC, place_S, k_PGC[:, :r].flatten(0, 1))
    for head in range(heads):
        _seat(q_rope_HRC[head], place_S, q_HPGC[head, :, :r].flatten(0, 1))
    rest_UC, q_rest_HUC = k_PGC[:, r:].flatten(0, 1), q_HPGC[:, :, r:].flatten(1, 2)
    k_rest, q_rest = torch.view_as_real(rest_UC), torch.view_as_real(q_rest_HUC)

    q_HDC = torch.zeros(heads, nope + rotary, c.hidden, dtype=torch.float64)
    if sizes.spare:
        noise = torch.randn(heads, sizes.spare, c.hidden, generator=generator, dtype=torch.float64)
        q_HDC[:, : sizes.spare] = SPARE_STD * noise
    q_HDC[:, sizes.spare : nope] = q_rest.movedim(-1, 2).flatten(1, 2)
    q_HDC[:, nope:] = q_rope_HRC
    q_HDC *= dense.softmax_scale * (nope + rotary) ** 0.5  # a K2 layer divides by √(nope + rope)

    read_MC = torch.cat((v_GVC.flatten(0, 1), k_rest.movedim(-1, 1).flatten(0, 1)))
    latent_KC, read_MK = fit_latent(read_MC, w.attn_norm[layer].double(), sizes.latent, statistics)
    kv_b = torch.zeros(heads, nope + width, sizes.latent, dtype=torch.float64)
    # The latent gets the size of the layer's input, so that what reads it has weights of the dense layer's size: with a
    # latent of RMS 1 those of the first layer are 0.002, and a step that suits all others breaks them.
    size = float(statistics.moment_CC.diagonal().mean()) ** 0.5
    read_MK = read_MK / size
    values = groups * width
    kv_b[:, sizes.spare : nope] = read_MK[values:]
    kv_b[:, nope:] = read_MK[:values].unflatten(0, (groups, width))[of_head_H]
    return {
        "q_proj.weight": q_HDC.flatten(0, 1),
        "kv_a_proj_with_mqa.weight": torch.cat((latent_KC, k_rope_RC)),
        "kv_a_layernorm.weight": torch.full((sizes.latent,), size, dtype=torch.float64),
        "kv_b_proj.weight": kv_b.flatten(0, 1),
        "o_proj.weight": w.out[layer].double(),
    }


def _projections(dense: DenseModel, layer: int, statistics: LayerStatistics) -> tuple[Tensor, Tensor, Tensor]:
    """(q_HPC complex, k_GPC complex, v_GVC) with biases and norms of heads folded in, as far as a matrix can.

    A bias is added by the direction of the input that is closest to a constant; a norm of heads becomes its mean scale.
    """
    c, w = dense.config, dense.weights
    qkv_YDC = w.qkv[layer].double().unflatten(0, (-1, c.head_dim))
    if w.qkv_bias:
        ridge = RIDGE * statistics.moment_CC.diagonal().mean() * torch.eye(c.hidden, dtype=torch.float64)
        constant_C = torch.linalg.solve(statistics.moment_CC + ridge, statistics.mean_C)
        qkv_YDC = qkv_YDC + w.qkv_bias[layer].double().unflatten(0, (-1, c.head_dim))[..., None] * constant_C
    q_HDC, k_GDC, v_GVC = qkv_YDC.split([c.heads, c.kv_heads, c.kv_heads])
    if w.q_norm:
        q_HDC = q_HDC * (statistics.q_scale_H[:, None] * w.q_norm[layer].double())[..., None]
        k_GDC = k_GDC * (statistics.k_scale_G[:, None] * w.k_norm[layer].double())[..., None]
    return complex_pairs(q_HDC.mT).mT, complex_pairs(k_GDC.mT).mT, v_GVC


def _principal(statistics: LayerStatistics) -> Tensor:
    """[P, G, G] complex: takes the keys of the G heads to their components, the strongest first."""
    weight_PG = statistics.query_energy_PG.sqrt() + 1e-9
    weight_PG = weight_PG / weight_PG.mean(1, keepdim=True)
    weighted_PGG = statistics.keys_PGG * weight_PG[:, :, None] * weight_PG[:, None]
    _, vectors_PGG = torch.linalg.eigh(weighted_PGG)
    return vectors_PGG.flip(2).conj().transpose(1, 2) * weight_PG[:, None]


def _seat(rows_RC: Tensor, place_S: Tensor, complex_SC: Tensor) -> None:
    """Writes complex rows to their slots as neighbouring (real, imaginary) rows."""
    rows_RC.unflatten(0, (-1, 2))[place_S] = torch.view_as_real(complex_SC).movedim(-1, 1)


def fit_latent(read_MC: Tensor, gain_C: Tensor, latent: int, statistics: LayerStatistics) -> tuple[Tensor, Tensor]:
    """(latent_KC, read_MK): read_MK · norm(latent_KC · n) is close to read_MC · n for the normed inputs n.

    With a latent as wide as the input it is exact: the latent is the input without its gain, whose RMS is one.
    """
    width = len(gain_C)
    inverse_C = torch.where(gain_C.abs() > 1e-6, 1 / gain_C, torch.zeros_like(gain_C))
    plain_MC = read_MC * gain_C  # reads n / gain, whose RMS is 1
    if latent >= width:
        rows_KC = torch.zeros(latent, width, dtype=torch.float64)
        rows_KC[:width] = torch.eye(width, dtype=torch.float64)
    else:
        moment_CC = statistics.moment_CC * inverse_C * inverse_C[:, None]
        rows_KC = _latent_rows(plain_MC, moment_CC, latent)
    rms = float((rows_KC @ statistics_root(statistics, inverse_C)).square().sum() / latent) ** 0.5
    rows_KC = rows_KC / rms
    return rows_KC * inverse_C, plain_MC @ torch.linalg.pinv(rows_KC)


def statistics_root(statistics: LayerStatistics, inverse_C: Tensor) -> Tensor:
    """A square root of the second moments of the input without its gain, [C, C]."""
    values_C, vectors_CC = torch.linalg.eigh(statistics.moment_CC * inverse_C * inverse_C[:, None])
    return vectors_CC * values_C.clamp_min(0).sqrt()


def _latent_rows(plain_MC: Tensor, moment_CC: Tensor, latent: int) -> Tensor:
    """[K, C] orthonormal rows: what is read first, then the directions in which the rest of the input varies most."""
    rank = int(torch.linalg.matrix_rank(plain_MC))
    _, _, right_CC = torch.linalg.svd(plain_MC, full_matrices=False)
    basis = right_CC[: min(rank, latent)]
    beside_CC = torch.eye(plain_MC.shape[1], dtype=torch.float64) - basis.T @ basis
    _, vectors_CC = torch.linalg.eigh(beside_CC @ moment_CC @ beside_CC)
    return torch.cat((basis, vectors_CC.flip(1).T[: latent - len(basis)]))
