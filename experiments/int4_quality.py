"""What rounding costs a network that knows something, and what quantization-aware training wins back.

    python -m experiments.int4_quality --start models/pretrain

Two grids: K2 Thinking's own (routed experts, 4 bits in groups of 32) and a harder one (every linear, 3 bits in groups
of 64). On each: round to nearest, GPTQ (errors passed on), QAT, on the harder one also QAT that learns the bfloat16
network's distribution instead of the text. All are measured on the same pieces of held-out text; pairs are pieces.
`start` is the network as it came, `bf16` went through the same steps as QAT without a grid: rounding to nearest and
GPTQ start from it. Lines of docs/experiments/int4_quality.jsonl are not measured again; arms may run in several
processes.

Rules, written before any run:
- QAT loses nothing on K2's grid: loss less that of `bf16`; it reproduces when the 95 % interval lies below +0.005 nats
  a token, does not when it lies above.
- rounding to nearest hurts on the harder grid: its loss less that of `bf16`, interval above +0.02 nats.
- QAT wins back most of it: 1 − (QAT − bf16) / (nearest − bf16), interval over resampled pieces above 0.7.
- distillation is better than plain QAT on the harder grid: difference, interval below 0.
One network and one order of the text: the intervals are over text, not over seeds.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from experiments.ledger import conclude
from experiments.results import RunsFile
from experiments.rounding import Grid, on_grid, round_weights, round_with_errors_passed_on, rounded_weights
from gym.intervals import bootstrap_mean
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.formats.quant import to_bfloat16
from k2model.model import K2Model
from k2model.training.token_shards import TokenStream
from stages.harness.files import fingerprint
from stages.harness.section import load_common
from stages.harness.seeds import seed32

RUNS = RunsFile(Path("docs/experiments/int4_quality.jsonl"))
KEPT, TOKENS = Path("work/experiments/int4_quality"), Path("data/tokens")
GRIDS = {"k2": Grid(4, 32, False), "hard": Grid(3, 64, True)}
ARMS = ("bf16", "k2/nearest", "k2/qat", "hard/nearest", "hard/qat", "hard/distilled", "k2/gptq", "hard/gptq", "start")
LENGTH, STEPS, ROWS = 512, 24, 2
RATE, WARM = 1e-4, 2
CALIBRATION_ROWS = 24
SEED = 0  # of the resampled pieces
CODE = (Path("experiments/int4_quality.py"), Path("experiments/rounding.py"))


def learning_rate(step: int) -> float:
    """Linear warm-up, then linear to a tenth; `step` counts from 0."""
    return RATE * min((step + 1) / WARM, 1 - 0.9 * max(0, step - WARM) / (STEPS - WARM))


def tune(start: Path, grid: Grid | None, seed: int, teacher: K2Model | None) -> K2Model:
    """The network after `STEPS` of AdamW on every linear, with the grid's weights in each forward pass.

    Args:
        teacher: its distribution is learned (KL, forward) instead of the next tokens.
    """
    model = load_checkpoint(start).train()
    trained = list(rounded_weights(model, GRIDS["hard"]).values())
    for parameter in model.parameters():
        parameter.requires_grad_(any(parameter is own for own in trained))
    optimizer = torch.optim.AdamW(trained, lr=RATE, betas=(0.9, 0.95), weight_decay=0.0)
    stream = TokenStream(TOKENS, "train", seed)
    for step in range(STEPS):
        began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        batch = stream.batch(step * ROWS * LENGTH, ROWS, LENGTH)
        with on_grid(model, grid):
            if teacher is None:
                loss = model(batch.tokens_BL, batch.targets_BL, segment_ids_BL=batch.segments_BL).loss
            else:
                with torch.no_grad():
                    wanted = teacher(batch.tokens_BL, segment_ids_BL=batch.segments_BL).logits_BLV.log_softmax(-1)
                given = model(batch.tokens_BL, segment_ids_BL=batch.segments_BL).logits_BLV.log_softmax(-1)
                loss = F.kl_div(given.flatten(0, 1), wanted.flatten(0, 1), reduction="batchmean", log_target=True)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(f"step {step + 1}/{STEPS} loss {loss.item():.4f} {time.perf_counter() - began:.1f} s", flush=True)
    return model.eval()


@torch.no_grad()
def each_piece(model: K2Model, pieces: int) -> list[float]:
    """Nats per token of held-out pieces spread evenly over the validation split."""
    stream = TokenStream(TOKENS, "validation", None)
    if stream.epoch_tokens < pieces * LENGTH:
        raise SystemExit(f"{TOKENS}: {stream.epoch_tokens:,} held-out tokens, {pieces * LENGTH:,} are wanted")
    model.eval()
    found = []
    for piece in range(pieces):
        batch = stream.batch(piece * (stream.epoch_tokens // pieces), 1, LENGTH)
        found.append(float(model(batch.tokens_BL, batch.targets_BL, segment_ids_BL=batch.segments_BL).loss))
    return found


def calibration(model: K2Model, seed: int) -> Callable[[], None]:
    """Runs the network over training text that no step has seen."""

    def run() -> None:
        stream = TokenStream(TOKENS, "train", seed)
        for row in range(CALIBRATION_ROWS):
            batch = stream.batch((STEPS * ROWS + row) * LENGTH, 1, LENGTH)
            model.eval()(batch.tokens_BL, segment_ids_BL=batch.segments_BL)

    return run


def made(arm: str, start: Path, seed: int) -> K2Model:
    """The network of an arm."""
    if arm == "start":
        return to_bfloat16(load_checkpoint(start), torch.float32)
    name, _, way = arm.partition("/")
    grid = GRIDS.get(name)
    if way in ("nearest", "gptq"):
        model = load_checkpoint(KEPT / "bf16")
        assert grid is not None
        if way == "nearest":
            round_weights(model, grid)
        else:
            round_with_errors_passed_on(model, grid, calibration(model, seed))
        return to_bfloat16(model, torch.float32)
    teacher = to_bfloat16(load_checkpoint(start), torch.float32).eval() if way == "distilled" else None
    model = tune(start, grid, seed, teacher)
    if arm == "bf16":
        save_checkpoint(model, KEPT / "bf16")
    if grid is not None:
        round_weights(model, grid)
    return to_bfloat16(model, torch.float32)


def figures(lines: list[dict[str, object]]) -> list[dict[str, object]]:
    """Differences in nats a token with 95 % intervals over resampled pieces, and the share that QAT wins back."""
    losses = {str(line["arm"]): np.asarray(line["each"]) for line in lines if line.get("record") == "run"}
    if "bf16" not in losses:
        return []
    cost = {arm: each - losses["bf16"] for arm, each in losses.items() if arm != "bf16"}
    gaps = {f"{arm} - bf16": lost for arm, lost in cost.items()}
    if {"hard/qat", "hard/distilled"} <= cost.keys():
        gaps["hard/distilled - hard/qat"] = losses["hard/distilled"] - losses["hard/qat"]
    found = {of: (float(gap.mean()), *bootstrap_mean(gap.tolist(), SEED)) for of, gap in gaps.items()}
    draws = np.random.default_rng(SEED).integers(0, len(losses["bf16"]), (2000, len(losses["bf16"])))
    for arm, left in cost.items():
        name, _, way = arm.partition("/")
        lost = cost.get(f"{name}/nearest")
        if way in ("qat", "distilled", "gptq") and lost is not None:
            shares = 1 - left[draws].mean(axis=1) / lost[draws].mean(axis=1)
            low, high = np.quantile(shares, [0.025, 0.975])
            found[f"share won back by {arm}"] = (float(1 - left.mean() / lost.mean()), float(low), float(high))
    return [
        {"of": of, "mean": round(value, 5), "low": round(low, 5), "high": round(high, 5)}
        for of, (value, low, high) in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, default=Path("models/pretrain"))
    parser.add_argument("--arms", default=",".join(ARMS), help="in this order; nearest and gptq want bf16 before")
    parser.add_argument("--pieces", type=int, default=150, help=f"of {LENGTH} held-out tokens")
    args = parser.parse_args()
    if unknown := set(args.arms.split(",")) - set(ARMS):
        parser.error(f"--arms: no {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}")
    common = load_common()
    torch.set_num_threads(common.threads)
    seed = seed32(common.seed, "int4_quality")
    code = fingerprint([path.read_text(encoding="utf-8") for path in CODE])
    for arm in args.arms.split(","):
        key = {"record": "run", "arm": arm, "pieces": args.pieces, "start": str(args.start)}
        if RUNS.has(key):
            continue
        began = time.perf_counter()
        torch.manual_seed(seed)
        each = each_piece(made(arm, args.start, seed), args.pieces)
        tuned = {"steps": STEPS, "tokens": STEPS * ROWS * LENGTH, "rate": RATE, "code": code}
        shown = {"loss": round(float(np.mean(each)), 5), "seconds": round(time.perf_counter() - began)}
        RUNS.add(key | tuned | shown | {"each": [round(value, 6) for value in each]})
    RUNS.conclude(figure=lambda lines: figures(list(lines)))
    for line in RUNS.lines():
        if line["record"] == "figure":
            print(f"{line['of']}: {line['mean']:+.4f} [{line['low']:+.4f}, {line['high']:+.4f}]")
    conclude("int4_quality")


if __name__ == "__main__":
    main()
