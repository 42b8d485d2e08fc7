"""The loop raises what the critic pays for, and nothing when the same verdicts are dealt out at random."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import save_checkpoint
from k2model.model import K2Model
from stages.harness.hooks import Hooks
from stages.posttraining.comparison import Comparison
from stages.rl.loop import Loop, RlSetup
from stages.rl.pairwise import Judge
from tests.stages.rl.test_loop import CRITIC, _families, _params

ITERATIONS, EDGE = 14, 4  # the first and the last EDGE iterations are compared
SEEDS = (5, 6, 8)
ONE_SIDED = 2.92  # Student's t for 95 % and three seeds
MARKS = "0123456789w"  # no special token has one in its name


def _paid(answer: str) -> bool:
    return any(mark in answer for mark in MARKS)


def _scripted(asked: Sequence[Comparison]) -> list[float]:
    """Prefers the answer that has a mark; of two that both have one or both lack it, none."""
    return [0.5 + 0.45 * (_paid(one.first) - _paid(one.second)) for one in asked]


def _dealt_out() -> Callable[[Sequence[Comparison]], list[float]]:
    """The same verdicts, each for a comparison drawn at random."""
    rng = np.random.default_rng(7)
    return lambda asked: rng.permutation(_scripted(asked)).tolist()


def _shares(work: Path, judge: Judge, seed: int) -> tuple[float, float]:
    """Of answers with what is paid for, in the first and in the last iterations of a run on a tiny random network."""
    tokenizer = K2Tokenizer(train_tokenizer(["Is 7 even or odd? small big yes no. Which answer is better? " * 40], 310))
    config = K2Config.preset("smoke", vocab_size=tokenizer.vocab_size, max_position_embeddings=4096)
    save_checkpoint(K2Model(config, seed=3), work / "model")
    params = _params(
        iterations=ITERATIONS,
        pool=400,
        samples=16,
        updates=1,
        micro_groups=4,
        lr=0.1,
        final_lr=0.05,
        temperature={"first": 1.0, "last": 1.0},
        budget={"scale": 0.1, "penalty": 0.0},
        length_reward=0.0,
        repeat_penalty=0.0,
        toggle={"every": 0, "accuracy": 0.5, "percentile": 90.0},
        ptx=0.0,
        critic=CRITIC | {"open_prompts": 4, "coefficient": 0.0, "held_pairs": 0},
        held_tasks=1,
        eval_every=ITERATIONS,
        checkpoint_every=ITERATIONS,
        max_batch=64,
    )
    families = _families(["parity"])
    setup = RlSetup(params, work / "model", work / "run", seed, tokenizer, None, families, 0.0, judge=judge)
    loop = Loop(setup, Hooks())
    loop.run()
    rows = loop.rollouts.read(ITERATIONS)
    assert {row["taskset"] for row in rows} == {"open_ended"}
    before = [_paid(row["text"]) for row in rows if row["iteration"] < EDGE]
    after = [_paid(row["text"]) for row in rows if row["iteration"] >= ITERATIONS - EDGE]
    return sum(before) / len(before), sum(after) / len(after)


def test_what_the_judge_pays_for_rises_and_not_with_its_verdicts_shuffled(tmp_path: Path) -> None:
    gains = {}
    for name, judge in (("scripted", _scripted), ("shuffled", _dealt_out())):
        shares = [_shares(tmp_path / f"{name}{seed}", judge, seed) for seed in SEEDS]
        assert all(0.1 < before < 0.9 for before, _ in shares), "the start shows it at times"
        gains[name] = np.array([after - before for before, after in shares])
    assert (gains["scripted"] > 0.2).all(), gains
    t = {name: gain.mean() / (gain.std(ddof=1) / len(SEEDS) ** 0.5) for name, gain in gains.items()}
    assert t["scripted"] > ONE_SIDED > t["shuffled"], gains
    assert gains["shuffled"].mean() < 0.1, gains
