"""Real gloo processes: any layout trains the weights of one float64 process, and any goes on from any other's state."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from k2model.errors import ConfigError
from k2model.formats.checkpoint import named_tensors, save_checkpoint
from k2model.training.engine import TrainEngine
from k2model.training.layout import stored_dtype
from k2model.training.options import Layout, OptimizerOptions
from k2model.training.plan import state_memory
from tests import forked
from tests.k2model.training import alone, train_ranks
from tests.k2model.training.train_ranks import ADAMW, MUON, PROMPTS, Task, sampled, scored

STEPS = 3
# ranks × layout. Recomputation and AdamW ride along where they must be right: with the exchange inside, with pieces.
LAYOUTS = {
    "1": (1, Layout(recompute="parts"), MUON),
    "1 zero 3": (1, Layout(zero=3, recompute="layer"), MUON),
    "1 bf16": (1, Layout("bfloat16", 3), MUON),
    "1 adamw": (1, Layout(), ADAMW),
    "2": (2, Layout(), MUON),
    "2 zero 1": (2, Layout(zero=1), MUON),
    "2 zero 2": (2, Layout(zero=2, recompute="parts"), MUON),
    "2 zero 3": (2, Layout(zero=3), MUON),
    "2 ep 2": (2, Layout(expert_parallel=2), MUON),
    "2 zero 1 ep 2": (2, Layout(zero=1, expert_parallel=2, recompute="layer"), MUON),
    "2 zero 2 ep 2": (2, Layout(zero=2, expert_parallel=2), MUON),
    "2 zero 3 ep 2": (2, Layout(zero=3, expert_parallel=2, recompute="parts"), MUON),
    "2 bf16 ep 2": (2, Layout("bfloat16", 3, 2), MUON),
    "2 adamw zero 1": (2, Layout(zero=1), ADAMW),
    "2 adamw zero 2 ep 2": (2, Layout(zero=2, expert_parallel=2), ADAMW),
    "2 adamw zero 3": (2, Layout(zero=3), ADAMW),
    "4 zero 3 ep 2": (4, Layout(zero=3, expert_parallel=2), MUON),
}
# Who saves, and who goes on: docs/evidence/engine.md has more pairs, run by hand.
GOES_ON = {
    "1": ["2 zero 3 ep 2"],
    "2 ep 2": ["4 zero 3 ep 2"],
    "2 zero 1": ["2 zero 1", "1"],
    "2 zero 3 ep 2": ["2 zero 3 ep 2", "1", "2 zero 1"],
}


@dataclass(frozen=True)
class Ran:
    """Loss, gradient norm and clipped heads of each step; weights; what each rank had to say."""

    rows: list[list[float]]
    weights: dict[str, Tensor]
    facts: list[dict[str, Any]]


class Runs:
    """Trains tasks by as many processes as they want, those of one number of ranks in the same processes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0
        self.start = folder / "start"
        save_checkpoint(alone.start(), self.start)

    def __call__(self, tasks: Mapping[str, tuple[int, dict[str, Any]]]) -> dict[str, Ran]:
        made = {n: Task(start=self.start, out=self.folder / f"{self.number}-{n}", **kw) for n, (_, kw) in tasks.items()}
        for ranks in sorted({ranks for ranks, _ in tasks.values()}):
            self.number += 1
            chosen = [made[name] for name, (wanted, _) in tasks.items() if wanted == ranks]
            each = [(rank, ranks, str(self.folder / f"store{self.number}"), chosen) for rank in range(ranks)]
            forked.finish(forked.start(train_ranks.run, each, self.folder / "log"))
        found = {}
        for name, (ranks, _) in tasks.items():
            parts = [torch.load(f"{made[name].out}.{rank}", weights_only=False) for rank in range(ranks)]
            found[name] = Ran(parts[0][0], parts[0][1], [part[2] for part in parts])
        return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("layouts"))


@pytest.fixture(scope="module")
def trained(runs: Runs) -> dict[str, Ran]:
    """Every layout's three steps."""
    return runs(
        {
            name: (ranks, {"layout": layout, "options": o, "steps": STEPS})
            for name, (ranks, layout, o) in LAYOUTS.items()
        }
    )


def agree(
    ran: Ran, rows: list[list[float]], weights: Mapping[str, Tensor], *, rounded: bool = False, adamw: bool = False
) -> None:
    """Same losses, norms, clips and weights as far as float32, or bfloat16's rounding, can tell."""
    # AdamW's first steps have one size, however small a gradient: last bits decide where it is nearly none.
    of_loss, of_weight = (3e-2, 5e-2) if rounded else (1e-5, 5e-4 if adamw else 2e-4)
    for got, want in zip(ran.rows, rows, strict=True):
        assert got[0] == pytest.approx(want[0], abs=of_loss)
        assert got[1] == pytest.approx(want[1], rel=of_loss)
        assert rounded or got[2] == want[2]
    for name, want in weights.items():
        if rounded and name.endswith("e_score_correction_bias"):
            continue  # moves by a sign
        got = ran.weights[name].double()
        assert (got - want.double()).norm() <= of_weight * max(float(want.double().norm()), 1e-3), name


def stored(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under the names of a checkpoint, experts as one matrix each."""
    model = alone.start().double()
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    with torch.no_grad():
        for name, tensor in weights.items():
            tensors[name].copy_(tensor)
    return {name: tensor.clone() for name, tensor in named_tensors(model)}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_trains_the_weights_of_one_float64_process(trained: dict[str, Ran], name: str) -> None:
    """K2's rule and AdamW, QK-Clip, correction biases from global counts; norms of gradients before any clip."""
    options = LAYOUTS[name][2]
    rows, weights = alone.train(STEPS, matrices=options.matrices, clip_norm=options.clip_norm)
    assert rows[-1][2] > 0 or options is ADAMW, "QK-Clip is part of what must agree"
    agree(trained[name], rows, stored(weights), rounded="bf16" in name, adamw="adamw" in name)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_no_matrix_falls_out_of_muon_and_no_rank_holds_anothers_experts(trained: dict[str, Ran], name: str) -> None:
    ranks, layout, options = LAYOUTS[name]
    facts = trained[name].facts
    matrices = sum(
        1 if p.ndim == 2 else len(p)
        for n, p in alone.start().named_parameters()
        if p.ndim > 1 and "embed_tokens" not in n and "lm_head" not in n
    )
    orthogonalised = sum(one["calls"] for one in facts)
    if options is ADAMW:
        assert orthogonalised == 0
    elif layout.zero == 3 or ranks == 1:
        assert orthogonalised == STEPS * matrices  # each by one rank
    elif layout.zero == 0:
        assert orthogonalised >= STEPS * matrices  # each by every rank that holds it
    else:
        # A stack of experts on the border of two partitions is orthogonalised by both.
        assert STEPS * matrices <= orthogonalised < 2 * STEPS * matrices
    if layout.expert_parallel > 1:
        each = alone.CONFIG.n_routed_experts // layout.expert_parallel
        assert all(one["held"] == {each} for one in facts)
    chosen = alone.CONFIG.num_moe_layers * alone.CONFIG.num_experts_per_tok
    tokens = alone.MICRO * alone.ROWS * (alone.LENGTH - 1)
    assert all(one["load"] == chosen * tokens for one in facts), "recomputed passes count once"


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_states_take_the_bytes_of_the_plan(trained: dict[str, Ran], name: str) -> None:
    ranks, layout, options = LAYOUTS[name]
    # Without instructions for bfloat16 its values are stored as float32.
    width = stored_dtype(layout, torch.device("cpu")).itemsize
    planned = state_memory(alone.CONFIG, layout, ranks, matrices=options.matrices, stored=width)
    for kind in ("weights", "gradients", "master", "moments"):
        measured = max(one["bytes"][kind] for one in trained[name].facts)
        assert measured == pytest.approx(getattr(planned, kind), rel=0.1, abs=2000), kind


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_samples_and_scores_as_its_weights_do_alone(trained: dict[str, Ran], name: str) -> None:
    """Also where no rank holds them all, and ranks need different numbers of calls."""
    model = alone.start()
    targets = dict(named_tensors(model))
    with torch.no_grad():
        for key, tensor in trained[name].weights.items():
            targets[key].copy_(tensor)
    within = 0.1 if "bf16" in name else 1e-4  # products in bfloat16 where the processor has instructions for them
    for facts in trained[name].facts:
        torch.testing.assert_close(facts["logp"], scored(model), rtol=1e-4, atol=within)
        assert "bf16" in name or facts["sampled"] == sampled(model, PROMPTS)


@pytest.mark.slow
def test_a_checkpoint_goes_on_under_any_other_layout(runs: Runs, trained: dict[str, Ran]) -> None:
    """Saved after two steps, gone on with to the third: other ranks, another stage, another expert parallel size."""
    rows, weights = alone.train(STEPS)
    folder = {name: runs.folder / f"saved by {name}" for name in GOES_ON}

    def task(name: str, by: str, **kw: Any) -> tuple[int, dict[str, Any]]:
        return LAYOUTS[name][0], {"layout": LAYOUTS[name][1], "checkpoints": folder[by], **kw}

    runs({name: task(name, name, steps=STEPS - 1, save=True) for name in GOES_ON})
    later = runs({f"{by} to {name}": task(name, by, steps=STEPS) for by, names in GOES_ON.items() for name in names})
    for ran in later.values():
        agree(ran, rows[-1:], stored(weights))
    for name in (name for name, names in GOES_ON.items() if name in names):
        for key, tensor in trained[name].weights.items():
            assert torch.equal(later[f"{name} to {name}"].weights[key], tensor), f"same layout, same bits: {name} {key}"


@pytest.mark.parametrize(
    ("layout", "options", "line"),
    [
        (Layout("bfloat16"), OptimizerOptions(), "compute: bfloat16 with zero 0: .* need zero 3"),
        (Layout("bfloat16", 1), OptimizerOptions(), "compute: bfloat16 with zero 1"),
        (Layout("bfloat16", 2), OptimizerOptions(), "compute: bfloat16 with zero 2"),
        (Layout(), OptimizerOptions(clip_norm=1.0), "clip_norm: 1 with matrices muon"),
        (Layout(expert_parallel=2), OptimizerOptions(), "expert_parallel: 2 does not divide the 1 ranks"),
    ],
)
def test_what_deepspeed_does_wrongly_is_refused_in_one_line(
    layout: Layout, options: OptimizerOptions, line: str
) -> None:
    with pytest.raises(ConfigError, match=line):
        TrainEngine(alone.start(), options, micro_batches=1, layout=layout)
