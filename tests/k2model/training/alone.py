"""The K2 report's Algorithm 1 in one process, in float64, without DeepSpeed: what every layout must equal.

Forward and backward run in float32 on the weights rounded to it.
"""

import math

import torch
from torch import Tensor

from k2model.config import K2Config
from k2model.model import K2Model
from kernels.newton_schulz import newton_schulz_reference

MICRO, ROWS, LENGTH = 4, 2, 33
LR, DECAY, MU, BETAS, EPS, BIAS_RATE, TAU = 0.01, 0.1, 0.95, (0.9, 0.95), 1e-8, 0.001, 0.6
# Scores of the routers far apart: else a rounding flips a choice of experts, and any two runs differ.
CONFIG = K2Config.preset("smoke", initializer_range=0.1)


def start() -> K2Model:
    return K2Model(CONFIG, seed=1)


def data(step: int) -> Tensor:
    """The micro-batches of a step, [MICRO, ROWS, LENGTH]."""
    generator = torch.Generator().manual_seed(step)
    return torch.randint(0, CONFIG.vocab_size, (MICRO, ROWS, LENGTH), generator=generator)


def train(steps: int, *, matrices: str = "muon", clip_norm: float = 0.0) -> tuple[list[list[float]], dict[str, Tensor]]:
    """Loss, gradient norm and clipped heads of each step; the last weights in float64."""
    model = start()
    exact = {name: p.detach().double() for name, p in model.named_parameters()}
    first = {name: torch.zeros_like(w) for name, w in exact.items()}
    second = {name: torch.zeros_like(w) for name, w in exact.items()}
    rows = []
    for step in range(1, steps + 1):
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(exact[name])
        model.zero_grad()
        outputs = [model(tokens[:, :-1], tokens[:, 1:]) for tokens in data(step - 1)]
        loss = torch.stack([output.loss for output in outputs]).mean()
        loss.backward()
        grads = {name: p.grad.double() for name, p in model.named_parameters()}
        norm = float(torch.sqrt(sum(g.square().sum() for g in grads.values())))
        scale = min(1.0, clip_norm / (norm + 1e-6)) if clip_norm else 1.0
        for name, w in exact.items():
            g = grads[name] * scale
            if matrices == "adamw" or w.ndim == 1 or "embed_tokens" in name or "lm_head" in name:
                first[name] = BETAS[0] * first[name] + (1 - BETAS[0]) * g
                second[name] = BETAS[1] * second[name] + (1 - BETAS[1]) * g * g
                update = (first[name] / (1 - BETAS[0] ** step)) / ((second[name] / (1 - BETAS[1] ** step)).sqrt() + EPS)
            else:
                first[name] = MU * first[name] + g
                moved = g + MU * first[name]
                parts = moved if moved.ndim == 3 else moved[None]
                done = [newton_schulz_reference(one) * 0.2 * math.sqrt(max(one.shape)) for one in parts]
                update = torch.stack(done).view_as(w)
            exact[name] = w - LR * (update + DECAY * w)
        top = torch.stack([output.max_logit_LH for output in outputs]).amax(0).double()
        rows.append([float(loss.detach()), norm, qk_clip(exact, top)])
        with torch.no_grad():
            model.update_expert_biases(sum(output.expert_load_LE for output in outputs), BIAS_RATE)
    biases = {name: b.double() for name, b in model.named_buffers()}
    return rows, exact | biases


def qk_clip(weights: dict[str, Tensor], max_logit_LH: Tensor) -> int:
    """One head after the other; how many were clipped."""
    c, clipped = CONFIG, 0
    for layer, heads in enumerate(max_logit_LH.tolist()):
        at = f"model.layers.{layer}.self_attn"
        q = weights[f"{at}.q_b_proj.weight"].view(c.num_attention_heads, c.qk_nope_head_dim + c.qk_rope_head_dim, -1)
        kv = weights[f"{at}.kv_b_proj.weight"].view(c.num_attention_heads, c.qk_nope_head_dim + c.v_head_dim, -1)
        for head, largest in enumerate(heads):
            if largest > TAU:
                gamma = TAU / largest
                q[head, : c.qk_nope_head_dim] *= math.sqrt(gamma)
                q[head, c.qk_nope_head_dim :] *= gamma
                kv[head, : c.qk_nope_head_dim] *= math.sqrt(gamma)
                clipped += 1
    return clipped
