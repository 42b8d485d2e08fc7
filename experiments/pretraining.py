"""K2's claims about pre-training, measured at a size for one core.

    python -m experiments.pretraining --steps 240 --seeds 5

(a) MuonClip against AdamW, both at a tuned rate: loss at equal tokens, tokens that AdamW needs for the same loss.
(b) The largest attention logit per head without clip and with τ = 30 and 100, at a rate where it grows.
(c) Sparsity 8 against 48 at fixed active parameters, each at its own tuned rate. (d) Half the heads: loss against
FLOPs. (e) Loss spikes. Run it where the stages corpus, tokenizer and tokens have run. Results go to
`docs/experiments/pretraining.json` and to MLflow. Arms share data, seeds, schedule and weight decay; only what an arm
names differs, so differences are paired by seed. Finished runs are kept in `work/experiments/pretraining` and not
trained again.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from k2model.config import K2Config
from k2model.flops import train_flops_per_token
from k2model.model import K2Model
from k2model.moe import update_expert_bias
from k2model.training.muonclip import MuonClip
from k2model.training.qk_clip import AttentionWeights, qk_clip_
from k2model.training.token_shards import Batch, TokenStream, read_index
from stages.harness.files import fingerprint, write_json
from stages.pretrain.guard import LossGuard
from stages.tracking.groups import RunGroup

TOKENS = Path("data/tokens")
OUT = Path("docs/experiments/pretraining.json")
KEPT = Path("work/experiments/pretraining")
LENGTH, ROWS = 64, 16
VALIDATION_ROWS = 256
CURVE_POINTS = 40
TUNING_SEED = 99  # no reported run uses it
CLIP_SEEDS = 3
STEEP = 0.16  # many times the tuned rate: logits pass 100 within 240 steps
MOONLIGHT_TOKENS = 1 / 0.52
HEADS_COST = 0.012  # the upper end of K2's 0.5 to 1.2 %
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}  # Student's t, two-sided, by seeds


@dataclass(frozen=True)
class Arm:
    """What one training run is made of."""

    name: str
    optimizer: str = "muonclip"
    lr: float = 0.01
    tau: float = 100.0
    experts: int = 16
    heads: int = 2
    steps: int = 240


@dataclass
class Found:
    """One finished run.

    validation: nats per token at the end. losses, logits: per step. heads: largest logit per head, at some steps.
    clipped: share of heads that QK-Clip ever touched. spikes: losses above 6 robust deviations.
    """

    validation: float
    losses: list[float]
    logits: list[float]
    heads: list[list[float]]
    clipped: float
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


def rate(arm: Arm, step: int) -> float:
    """Warm-up, constant, linear decay over the last third."""
    warm, decay = max(1, arm.steps // 16), max(1, arm.steps // 3)
    if step < warm:
        return arm.lr * (step + 1) / warm
    return arm.lr * min(1.0, (arm.steps - step) / decay)


def batch_at(stream: TokenStream, step: int, rows: int) -> Batch:
    """Rows from places spread over the whole split: neighbours in the stream are often one document."""
    apart = stream.epoch_tokens // rows
    parts = [stream.batch(row * apart + step * LENGTH, 1, LENGTH) for row in range(rows)]
    return Batch(*(torch.cat([getattr(p, n) for p in parts]) for n in ("tokens_BL", "targets_BL", "segments_BL")))


@torch.no_grad()
def validate(model: K2Model) -> float:
    batch = batch_at(TokenStream(TOKENS, "validation", None), 0, VALIDATION_ROWS)
    return float(model(batch.tokens_BL, batch.targets_BL, segment_ids_BL=batch.segments_BL).loss)


def optimizer_of(arm: Arm, model: K2Model) -> tuple[Callable[[float], None], list[AttentionWeights]]:
    """The update as a function of the learning rate, and what QK-Clip rescales (nothing under AdamW)."""
    if arm.optimizer == "adamw":
        adam = torch.optim.AdamW(model.parameters(), lr=arm.lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)

        def adam_step(lr: float) -> None:
            adam.param_groups[0]["lr"] = lr
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()

        return adam_step, []
    muon = MuonClip(model.named_parameters(), lr=arm.lr)

    def muon_step(lr: float) -> None:
        muon.set_lr(lr)
        muon.step()

    c = model.config
    shape = (c.num_attention_heads, c.qk_nope_head_dim, c.qk_rope_head_dim)
    names = [f"model.layers.{k}.self_attn" for k in range(c.num_hidden_layers)]
    weights = [
        AttentionWeights(muon.copies(f"{n}.q_b_proj.weight"), muon.copies(f"{n}.kv_b_proj.weight"), *shape)
        for n in names
    ]
    return muon_step, weights


def train(arm: Arm, seed: int) -> Found:
    """One run; the data and the initial weights follow from the seed alone."""
    torch.manual_seed(seed)
    model = K2Model(config_of(arm), seed=seed)
    stream = TokenStream(TOKENS, "train", seed)
    step_at, attention = optimizer_of(arm, model)
    guard = LossGuard(32, 6.0)
    losses: list[float] = []
    heads: list[torch.Tensor] = []
    spikes = 0
    for step in range(arm.steps):
        batch = batch_at(stream, step, ROWS)
        output = model(batch.tokens_BL, batch.targets_BL, segment_ids_BL=batch.segments_BL)
        model.zero_grad()
        output.loss.backward()
        step_at(rate(arm, step))
        if attention and arm.tau > 0:
            qk_clip_(attention, output.max_logit_LH, arm.tau)
        for gate, load_E in zip(model.gates(), output.expert_load_LE, strict=True):
            update_expert_bias(gate.e_score_correction_bias, load_E, 0.001, centred=True)
        losses.append(float(output.loss.detach()))
        heads.append(output.max_logit_LH.flatten())
        spikes += guard.problem(losses[-1], 1.0) is not None
        guard.accept(losses[-1])
    logit_SH = torch.stack(heads)
    clipped = float((logit_SH > arm.tau).any(0).float().mean()) if attention and arm.tau > 0 else 0.0
    shown = logit_SH[:: max(1, arm.steps // CURVE_POINTS)]
    rounded = [[round(value, 2) for value in row] for row in shown.tolist()]
    return Found(validate(model), losses, logit_SH.max(1).values.tolist(), rounded, clipped, spikes)


def kept(arm: Arm, seed: int) -> Found:
    """`train`, or what an earlier start found."""
    told = {k: v for k, v in asdict(arm).items() if k != "name"}
    key = fingerprint({"arm": told, "seed": seed, "tokens": read_index(TOKENS), "rows": ROWS, "length": LENGTH})
    path = KEPT / f"{key}.json"
    if path.exists():
        return Found(**json.loads(path.read_text()))
    found = train(arm, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(found))
    return found


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and Student's 95 % interval."""
    mean = statistics.fmean(values)
    half = T95[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return mean, mean - half, mean + half


def told(claim: str, k2: str, ours: str, found: tuple[float, float, float], good: bool, bad: bool) -> dict[str, str]:
    """A row of the report's table of claims."""
    verdict = "reproduces" if good else "does not reproduce" if bad else "not settled at this size"
    _, low, high = found
    return {"claim": claim, "k2": k2, "ours": ours, "interval": f"{low:.3f} to {high:.3f}", "verdict": verdict}


class Experiment:
    """Runs arms over seeds and remembers them."""

    def __init__(self, steps: int, seeds: int, say: Callable[[str], None]) -> None:
        self.steps, self.seeds, self.say = steps, list(range(seeds)), say
        self.runs: dict[str, list[Found]] = {}
        self.arms: dict[str, Arm] = {}

    def run(self, arm: Arm, seeds: int | None = None) -> list[Found]:
        found = [kept(arm, seed) for seed in self.seeds[:seeds]]
        self.runs[arm.name], self.arms[arm.name] = found, arm
        self.say(f"{arm.name}: validation {[round(f.validation, 4) for f in found]}")
        return found

    def tuned(self, arm: Arm) -> float:
        """The best rate for an arm on a grid of factors of two, widened until the best is inside it."""
        tried: dict[float, float] = {}

        def loss_at(lr: float) -> float:
            if lr not in tried:
                tried[lr] = kept(replace(arm, lr=lr), TUNING_SEED).validation
            return tried[lr]

        best = arm.lr
        while (better := min((best / 2, best, best * 2), key=loss_at)) != best:
            best = better
        self.say(f"tuning {arm.name}: {tried}")
        return best

    def differences(self, a: str, b: str) -> list[float]:
        """Validation loss of a less that of b, by seed."""
        pairs = zip(self.runs[a], self.runs[b], strict=False)
        return [x.validation - y.validation for x, y in pairs]


def optimizers(e: Experiment, muon_lr: float, adam_lr: float) -> list[dict[str, str]]:
    """Claims (a) and (e)."""
    muon = e.run(Arm("muonclip", lr=muon_lr, steps=e.steps))
    once = e.run(Arm("adamw", "adamw", adam_lr, steps=e.steps))
    twice = e.run(Arm("adamw, twice the tokens", "adamw", adam_lr, steps=2 * e.steps))
    gain = interval(e.differences("adamw", "muonclip"))
    # Loss falls about linearly in log(tokens) between the two lengths.
    doublings = interval(
        [
            (a.validation - m.validation) / max(a.validation - b.validation, 1e-6)
            for a, b, m in zip(once, twice, muon, strict=True)
        ]
    )
    tokens, least, most = (2**value for value in doublings)
    per_thousand = [interval([1000 * f.spikes / e.steps for f in runs]) for runs in (muon, once)]
    total = sum(found.spikes for found in muon)
    return [
        told(
            "MuonClip's loss is below tuned AdamW's at equal tokens",
            "token efficiency, no figure",
            f"{gain[0]:+.3f} nats better",
            gain,
            gain[1] > 0,
            gain[2] < 0,
        ),
        told(
            "Tokens that AdamW needs for MuonClip's loss",
            "Moonlight: 1.92 times (52 % of the FLOPs)",
            f"{tokens:.2f} times",
            (tokens, least, most),
            least >= 1.5 and most >= MOONLIGHT_TOKENS,
            most < 1.5,
        ),
        told(
            "No loss spikes with MuonClip",
            "0 in 15.5T tokens",
            f"{total} in {len(muon) * e.steps} steps; AdamW {per_thousand[1][0]:.2f} per 1,000",
            per_thousand[0],
            total == 0,
            per_thousand[0][1] > 0,
        ),
    ]


def clip(e: Experiment) -> list[dict[str, str]]:
    """Claim (b)."""
    taus = {"no clip": 0.0, "tau 30": 30.0, "tau 100": 100.0}
    for name, tau in taus.items():
        e.run(Arm(name, lr=STEEP, tau=tau, steps=e.steps), CLIP_SEEDS)
    largest = {name: [max(found.logits) for found in e.runs[name]] for name in taus}
    settled = {name: [max(found.logits[len(found.logits) // 2 :]) for found in e.runs[name]] for name in taus}
    free = interval(largest["no clip"])
    held = all(max(settled[name]) < 1.5 * taus[name] for name in ("tau 30", "tau 100"))
    shown = ", ".join(f"{name} {statistics.fmean(values):.0f}" for name, values in largest.items())
    later = ", ".join(f"{name} {statistics.fmean(values):.0f}" for name, values in settled.items())
    rows = [
        told(
            "Without clip the largest logit grows; τ holds it",
            "beyond 1000 without; 100 with",
            f"largest: {shown}; in the second half: {later}",
            free,
            free[1] > 100 and held,
            free[0] > 100 and not held,
        )
    ]
    for name in ("tau 30", "tau 100"):
        harm = interval(e.differences(name, "no clip"))
        acted = statistics.fmean(found.clipped for found in e.runs[name])
        rows.append(
            told(
                f"QK-Clip at τ = {taus[name]:.0f} does not cost loss",
                "no difference (τ = 30)",
                f"{harm[0]:+.4f} nats; {acted:.0%} of the heads were clipped at some step",
                harm,
                acted > 0 and harm[2] < 0.02,
                acted > 0 and harm[1] > 0.02,
            )
        )
    return rows


def shapes(e: Experiment, muon_lr: float) -> list[dict[str, str]]:
    """Claims (c) and (d); the arm `muonclip` has sparsity 8 and two heads."""
    sparse = Arm("sparsity 48", lr=muon_lr, experts=96, steps=e.steps)
    e.run(replace(sparse, lr=e.tuned(sparse)))
    e.run(Arm("heads 4", lr=muon_lr, heads=4, steps=e.steps))
    fall = interval(e.differences("muonclip", "sparsity 48"))
    cost = interval(e.differences("muonclip", "heads 4"))
    flops = [train_flops_per_token(config_of(Arm("", heads=heads)), LENGTH) for heads in (4, 2)]
    little = HEADS_COST * statistics.fmean(found.validation for found in e.runs["heads 4"])
    return [
        told(
            "Sparsity 8 → 48 at fixed active parameters lowers the loss",
            "1.69× fewer FLOPs for the same loss",
            f"{fall[0]:+.4f} nats lower",
            fall,
            fall[1] > 0,
            fall[2] < 0,
        ),
        told(
            "Half the heads cost little loss",
            "0.5 to 1.2 % of the loss",
            f"{cost[0]:+.4f} nats ({cost[0] / little * HEADS_COST:+.2%}) for {1 - flops[1] / flops[0]:.1%} fewer FLOPs",
            cost,
            cost[2] < little,
            cost[1] > little,
        ),
    ]


def smooth(values: Sequence[float]) -> list[float]:
    """Running mean over eight steps."""
    return [statistics.fmean(values[max(0, k - 7) : k + 1]) for k in range(len(values))]


def shown(name: str, runs: list[Found]) -> dict[str, Any]:
    """What the results file says of an arm."""
    every = max(1, len(runs[0].losses) // CURVE_POINTS)
    value: dict[str, Any] = {
        "validation": [round(found.validation, 6) for found in runs],
        "largest_logit": [round(max(found.logits), 3) for found in runs],
        "heads_clipped": [round(found.clipped, 4) for found in runs],
        "spikes": [found.spikes for found in runs],
        "loss_curve_first_seed": [round(one, 4) for one in smooth(runs[0].losses)][::every],
    }
    if name in ("no clip", "tau 30", "tau 100"):
        value["largest_logit_per_head_first_seed"] = runs[0].heads
    return value


def charts(e: Experiment) -> list[dict[str, Any]]:
    """What the report draws: losses of both optimizers, largest logits and losses of the clip arms, logits per head."""

    def curve(name: str, told: str, unit: int) -> dict[str, Any]:
        runs = e.runs[name]
        mean = [statistics.fmean(values) for values in zip(*(getattr(one, told) for one in runs), strict=True)]
        steps = range(0, len(mean), max(1, len(mean) // CURVE_POINTS))
        mean = smooth(mean) if told == "losses" else mean
        return {"name": name, "x": [step * unit for step in steps], "y": [round(mean[step], 4) for step in steps]}

    optimizers, taus = ("muonclip", "adamw", "adamw, twice the tokens"), ("no clip", "tau 30", "tau 100")
    steep = f"rate {STEEP}, mean of {len(e.runs['no clip'])} seeds"
    heads = e.runs["no clip"][0].heads
    every = max(1, e.steps // CURVE_POINTS)
    per_head = [
        {"name": f"head {k}", "x": list(range(0, e.steps, every))[: len(heads)], "y": [row[k] for row in heads]}
        for k in range(len(heads[0]))
    ]
    tokens = LENGTH * ROWS
    return [
        {
            "title": f"Training loss at the tuned rates, mean of {len(e.seeds)} seeds",
            "x": "tokens",
            "y": "nats per token",
            "series": [curve(name, "losses", tokens) for name in optimizers],
        },
        {
            "title": f"Largest attention logit, {steep}",
            "x": "step",
            "y": "logit",
            "series": [curve(name, "logits", 1) for name in taus],
        },
        {
            "title": f"Training loss beside it, {steep}",
            "x": "step",
            "y": "nats per token",
            "series": [curve(name, "losses", 1) for name in taus],
        },
        {
            "title": f"Largest logit of each head without clip, rate {STEEP}, first seed",
            "x": "step",
            "y": "logit",
            "series": per_head,
        },
    ]


def measure(e: Experiment) -> dict[str, Any]:
    """All arms; the claims with verdicts."""
    muon_lr = e.tuned(Arm("muonclip", lr=0.01, steps=e.steps))
    adam_lr = e.tuned(Arm("adamw", "adamw", 0.004, steps=e.steps))
    claims = optimizers(e, muon_lr, adam_lr) + clip(e) + shapes(e, muon_lr)
    return {
        "settings": {
            "preset": "smoke, 16 experts",
            "steps": e.steps,
            "tokens_per_step": LENGTH * ROWS,
            "seeds": len(e.seeds),
            "seeds_of_clip_arms": min(CLIP_SEEDS, len(e.seeds)),
            "validation_tokens": VALIDATION_ROWS * LENGTH,
        },
        "learning_rates": {name: arm.lr for name, arm in e.arms.items()},
        "arms": {name: shown(name, runs) for name, runs in e.runs.items()},
        "claims": claims,
        "charts": charts(e),
    }


def log(e: Experiment) -> None:
    """One MLflow parent, a child for each arm and seed."""
    runs = RunGroup.open("pretraining claims", Path(), "experiment")
    for name, seeds in e.runs.items():
        for seed, found in enumerate(seeds):
            child = runs.start(f"{name}, seed {seed}", asdict(e.arms[name]) | {"seed": seed}, stage="arm", arm=name)
            metrics = {"validation_loss": found.validation, "heads_clipped": found.clipped, "spikes": found.spikes}
            curves = {"train/loss": dict(enumerate(found.losses))}
            if math.isfinite(max(found.logits)):
                curves["train/max_logit"] = dict(enumerate(found.logits))
            runs.finish(child, metrics, curves)
    runs.end(True, OUT)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures K2's pre-training claims at a size for one core.")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=5, choices=sorted(T95))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    experiment = Experiment(args.steps, args.seeds, lambda line: print(line, flush=True))
    found = measure(experiment)
    write_json(OUT, found)
    log(experiment)
    for claim in found["claims"]:
        print(f"{claim['verdict']:24s} {claim['claim']}: {claim['ours']} ({claim['interval']})")


if __name__ == "__main__":
    main()
