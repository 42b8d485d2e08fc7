"""K2's claims about pre-training, measured at a size for one core.

    python -m flows.experiments.pretraining --steps 80 --seeds 3

(a) MuonClip against AdamW with a tuned learning rate: loss at equal tokens, tokens that AdamW needs for the same loss.
(b) The largest attention logit without clip and with τ = 30 and 100, at a learning rate where it grows.
(c) Sparsity 8 against 48 at fixed active parameters. (d) Half the heads: loss against FLOPs. (e) Loss spikes.
Run it where the stages corpus, tokenizer and tokens have run. Results go to `docs/experiments/pretraining.json` and to
MLflow. Both optimizers share data, seeds, schedule and weight decay; only what an arm names differs.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from k2model.config import K2Config
from k2model.data import TokenStream, read_index
from k2model.flops import train_flops_per_token
from k2model.model import K2Model
from k2model.moe import update_expert_bias
from k2model.muonclip import MuonClip
from k2model.qk_clip import AttentionWeights, qk_clip_
from stages.files import write_json
from stages.pretrain.guard import LossGuard
from stages.track import Track

TOKENS = Path("data/tokens")
OUT = Path("docs/experiments/pretraining.json")
LENGTH, ROWS = 64, 16
VALIDATION_ROWS = 128
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's t, two-sided 95 %, by number of seeds


@dataclass(frozen=True)
class Arm:
    """What one training run is made of."""

    name: str
    optimizer: str = "muonclip"
    lr: float = 0.01
    tau: float = 100.0
    experts: int = 16
    heads: int = 2
    steps: int = 80


@dataclass
class Found:
    """validation: nats per token at the end; losses and logits by step."""

    validation: float
    losses: list[float]
    logits: list[float]
    spikes: int


def config_of(arm: Arm) -> K2Config:
    index = read_index(TOKENS)
    return K2Config.preset(
        "smoke",
        vocab_size=int(index["vocab_size"]),
        bos_token_id=int(index["bos"]),
        eos_token_id=int(index["eos"]),
        pad_token_id=int(index["pad"]),
        n_routed_experts=arm.experts,
        num_attention_heads=arm.heads,
    )


def _lr(arm: Arm, step: int) -> float:
    """Warm-up, constant, linear decay over the last third."""
    warm, decay = max(1, arm.steps // 16), max(1, arm.steps // 3)
    if step < warm:
        return arm.lr * (step + 1) / warm
    return arm.lr * min(1.0, (arm.steps - step) / decay)


@torch.no_grad()
def validate(model: K2Model, stream: TokenStream) -> float:
    batch = stream.batch(0, VALIDATION_ROWS, LENGTH)
    return float(model(batch.tokens_BL, batch.targets_BL, segment_ids_BL=batch.segments_BL).loss)


def train(arm: Arm, seed: int) -> Found:
    """One run; the data and the initial weights follow from the seed alone."""
    torch.manual_seed(seed)
    model = K2Model(config_of(arm), seed=seed)
    c = model.config
    stream = TokenStream(TOKENS, "train", seed)
    step_of: Callable[[float], None]
    if arm.optimizer == "muonclip":
        muon = MuonClip(model.named_parameters(), lr=arm.lr)
        attention = [
            AttentionWeights(
                muon.copies(f"model.layers.{k}.self_attn.q_b_proj.weight"),
                muon.copies(f"model.layers.{k}.self_attn.kv_b_proj.weight"),
                c.num_attention_heads,
                c.qk_nope_head_dim,
                c.qk_rope_head_dim,
            )
            for k in range(c.num_hidden_layers)
        ]

        def step_of(lr: float) -> None:
            muon.set_lr(lr)
            muon.step()
    else:
        adam = torch.optim.AdamW(model.parameters(), lr=arm.lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
        attention = []

        def step_of(lr: float) -> None:
            adam.param_groups[0]["lr"] = lr
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()

    guard = LossGuard(32, 6.0)
    losses: list[float] = []
    logits: list[float] = []
    spikes = 0
    for step in range(arm.steps):
        batch = stream.batch(step * ROWS * LENGTH, ROWS, LENGTH)
        output = model(batch.tokens_BL, batch.targets_BL, segment_ids_BL=batch.segments_BL)
        model.zero_grad()
        output.loss.backward()
        step_of(_lr(arm, step))
        if attention and arm.tau > 0:
            qk_clip_(attention, output.max_logit_LH, arm.tau)
        for gate, load_E in zip(model.gates(), output.expert_load_LE, strict=True):
            update_expert_bias(gate.e_score_correction_bias, load_E, 0.001, centred=True)
        losses.append(float(output.loss.detach()))
        logits.append(float(output.max_logit_LH.max()))
        spikes += guard.problem(losses[-1], 1.0) is not None
        guard.accept(losses[-1])
    return Found(validate(model, TokenStream(TOKENS, "validation", None)), losses, logits, spikes)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and Student's 95 % interval."""
    mean = statistics.fmean(values)
    half = T95[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return mean, mean - half, mean + half


def _claim(claim: str, k2: str, ours: str, values: Sequence[float], good: bool, bad: bool) -> dict[str, str]:
    _, low, high = interval(values)
    verdict = "reproduces" if good else "does not reproduce" if bad else "not settled at this size"
    return {"claim": claim, "k2": k2, "ours": ours, "interval": f"{low:.3f} to {high:.3f}", "verdict": verdict}


class Experiment:
    """Runs arms over seeds and remembers them."""

    def __init__(self, steps: int, seeds: int, say: Callable[[str], None]) -> None:
        self.steps, self.seeds, self.say = steps, list(range(seeds)), say
        self.runs: dict[str, list[Found]] = {}

    def run(self, arm: Arm, seeds: Sequence[int] | None = None) -> list[Found]:
        found = [train(arm, seed) for seed in (self.seeds if seeds is None else seeds)]
        self.runs[arm.name] = found
        self.say(f"{arm.name}: validation {statistics.fmean(f.validation for f in found):.4f}")
        return found

    def best_rate(self, optimizer: str, rates: Sequence[float], seed: int) -> float:
        """Tuned on a seed that no reported run uses."""
        tried = {
            lr: train(Arm(f"tune {optimizer} {lr}", optimizer, lr, steps=self.steps), seed).validation for lr in rates
        }
        self.say(f"tuning {optimizer}: {tried}")
        return min(tried, key=lambda lr: tried[lr])

    def differences(self, a: str, b: str) -> list[float]:
        return [x.validation - y.validation for x, y in zip(self.runs[a], self.runs[b], strict=True)]


def smooth(values: Sequence[float]) -> list[float]:
    """Running mean over eight steps."""
    return [statistics.fmean(values[max(0, k - 7) : k + 1]) for k in range(len(values))]


def measure(e: Experiment) -> dict[str, Any]:
    """All arms; the claims with verdicts."""
    claims = []
    muon_lr = e.best_rate("muonclip", (0.005, 0.01, 0.02, 0.04), 99)
    adam_lr = e.best_rate("adamw", (0.002, 0.005, 0.01, 0.02), 99)
    muon = e.run(Arm("muonclip", lr=muon_lr, steps=e.steps))
    e.run(Arm("adamw", "adamw", adam_lr, steps=e.steps))
    longer = e.run(Arm("adamw twice", "adamw", adam_lr, steps=2 * e.steps))
    gain = e.differences("adamw", "muonclip")
    mean, low, high = interval(gain)
    claims.append(
        _claim(
            "MuonClip's loss is below tuned AdamW's at equal tokens",
            "token efficiency, no figure",
            f"{mean:+.3f} nats better",
            gain,
            low > 0,
            high < 0,
        )
    )
    twice = [a.validation - m.validation for a, m in zip(longer, muon, strict=True)]
    mean, low, high = interval(twice)
    claims.append(
        _claim(
            "AdamW needs about twice the tokens for the same loss",
            "Moonlight: 52 % of the FLOPs",
            f"AdamW with 2× tokens is {mean:+.3f} nats from MuonClip with 1×",
            twice,
            low > 0 or abs(mean) < 0.05,
            high < -0.05,
        )
    )
    steep = 4 * muon_lr
    logits: dict[str, list[float]] = {}
    for name, tau in (("no clip", 0.0), ("tau 30", 30.0), ("tau 100", 100.0)):
        logits[name] = [max(found.logits) for found in e.run(Arm(name, lr=steep, tau=tau, steps=e.steps))]
    free = statistics.fmean(logits["no clip"])
    held = statistics.fmean(logits["tau 30"])
    bounded = held < 60 and free > 2 * held
    claims.append(
        _claim(
            "Without clip the largest logit grows; τ holds it",
            "beyond 1000 without; 100 with",
            f"no clip {free:.1f}, τ=30 {held:.1f}, τ=100 {statistics.fmean(logits['tau 100']):.1f}",
            logits["no clip"],
            bounded,
            free > 60 and not bounded,
        )
    )
    harm = e.differences("tau 30", "no clip")
    mean, low, high = interval(harm)
    acted = free > 30
    said = f"{mean:+.4f} nats" if acted else "the clip never acted"
    claims.append(_claim("QK-Clip does not cost loss", "no difference", said, harm, acted and high < 0.02, low > 0.02))
    e.run(Arm("sparsity 8", lr=muon_lr, experts=16, steps=e.steps))
    e.run(Arm("sparsity 48", lr=muon_lr, experts=96, steps=e.steps))
    fall = e.differences("sparsity 8", "sparsity 48")
    mean, low, high = interval(fall)
    claims.append(
        _claim(
            "Sparsity 8 → 48 at fixed active parameters lowers the loss",
            "1.69× fewer FLOPs for the same loss",
            f"{mean:+.3f} nats lower",
            fall,
            low > 0,
            high < 0,
        )
    )
    e.run(Arm("heads 4", lr=muon_lr, heads=4, steps=e.steps))
    e.run(Arm("heads 2", lr=muon_lr, heads=2, steps=e.steps))
    cost = e.differences("heads 2", "heads 4")
    mean, low, high = interval(cost)
    flops = [train_flops_per_token(config_of(Arm("", heads=heads)), LENGTH) for heads in (4, 2)]
    claims.append(
        _claim(
            "Half the heads cost little loss",
            "0.5 to 1.2 % of the loss",
            f"{mean:+.4f} nats for {1 - flops[1] / flops[0]:.1%} fewer FLOPs",
            cost,
            high < 0.012 * e.runs["heads 4"][0].validation,
            low > 0.012 * e.runs["heads 4"][0].validation,
        )
    )
    spikes = [float(found.spikes) for found in muon]
    claims.append(
        _claim(
            "No loss spikes with MuonClip",
            "0 in 15.5T tokens",
            f"{sum(spikes):.0f} in {len(muon) * e.steps} steps",
            spikes,
            sum(spikes) == 0,
            sum(spikes) > len(muon),
        )
    )
    return {
        "settings": {"steps": e.steps, "tokens_per_step": LENGTH * ROWS, "seeds": len(e.seeds), "preset": "smoke"},
        "learning_rates": {"muonclip": muon_lr, "adamw": adam_lr, "clip arms": steep},
        "arms": {
            name: {
                "validation": [round(found.validation, 6) for found in runs],
                "largest_logit": [round(max(found.logits), 3) for found in runs],
                "spikes": [found.spikes for found in runs],
                "loss_curve_first_seed": [round(value, 4) for value in smooth(runs[0].losses)][
                    :: max(1, e.steps // 40)
                ],
            }
            for name, runs in e.runs.items()
        },
        "claims": claims,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures K2's pre-training claims at a size for one core.")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    track = Track("experiment pretraining", Path(), Path("work"), vars(args), {}, system=False)
    experiment = Experiment(args.steps, args.seeds, lambda line: print(line, flush=True))
    found = measure(experiment)
    write_json(OUT, found)
    for name, runs in experiment.runs.items():
        for step, losses in enumerate(zip(*(one.losses for one in runs), strict=True)):
            track.log({f"{name}/loss": statistics.fmean(losses)}, step)
    track.artifact(OUT)
    track.end("FINISHED", {})
    for claim in found["claims"]:
        print(f"{claim['verdict']:24s} {claim['claim']}: {claim['ours']} ({claim['interval']})")


if __name__ == "__main__":
    main()
