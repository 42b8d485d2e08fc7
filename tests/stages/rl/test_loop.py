"""The loop on a tiny network: resumed runs equal whole ones, partial rollouts wait, the critic's loop can be opened."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gym.tasksets.open import open_taskset
from gym.verifiers.result import Result, Status
from k2model.chat.messages import encode_prompt
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.model import K2Model
from stages.harness.hooks import Hooks
from stages.posttraining.comparison import Comparison
from stages.posttraining.mixture import Mixture, Pool
from stages.posttraining.packing import Example
from stages.rl import update
from stages.rl.episodes import ToolUse, tool_tasks
from stages.rl.families import Families, open_families
from stages.rl.limits import Limits
from stages.rl.loop import Loop, RlSetup
from stages.rl.pairwise import judge, lessons
from stages.rl.params import RlParams
from stages.rl.rollout import Rollout
from stages.rl.sampling import Finished
from stages.rl.scoring import outcomes
from tests.stages.optimizers import ONE_PROCESS, muonclip

torch.set_num_threads(1)
CRITIC = {
    "judge": "self", "open_prompts": 1, "neighbours": 0, "coefficient": 0.2, "pairs": 2, "window": 20, "held_pairs": 4,
    "held_open_pairs": 0,
}  # fmt: skip


LIMITS = Limits(context_tokens=1024, turn_tokens=160, max_turns=6)


@pytest.fixture(scope="module")
def tokenizer() -> K2Tokenizer:
    text = "Is 7 even or odd? small big yes no A B. Which answer is better? " * 40
    return K2Tokenizer(train_tokenizer([text, '{"id": "X1"} functions.set:0 ' * 40], 320))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, tokenizer: K2Tokenizer) -> Path:
    config = K2Config.preset("smoke", vocab_size=tokenizer.vocab_size, max_position_embeddings=4096)
    path = tmp_path_factory.mktemp("start") / "model"
    save_checkpoint(K2Model(config, seed=3), path)
    return path


def _params(**changes: Any) -> RlParams:
    base: dict[str, Any] = {
        "iterations": 3,
        "context_tokens": 1024,
        "turn_tokens": 160,
        "max_turns": 6,
        "pool": 8,
        "prompts": 4,
        "samples": 3,
        "updates": 4,
        "micro_groups": 1,
        **ONE_PROCESS,
        "lr": 0.001,
        "final_lr": 0.001,
        "optimizer": muonclip(0.0),
        "reset_optimizer": False,
        "rollout_tokens": 10_000,
        "objective": {"name": "k2", "tau": 0.1, "alpha": -1.0, "beta": 1.0, "epsilon": 0.2, "importance_cap": 0.0},
        "temperature": {"first": 1.2, "last": 0.8},
        "budget": {"scale": 2.0, "penalty": 0.2},
        "length_reward": 0.5,
        "repeat_penalty": 0.1,
        "toggle": {"every": 2, "accuracy": 0.5, "percentile": 90.0},
        "ptx": 0.1,
        "ptx_rows": 1,
        "ptx_length": 64,
        "ptx_demonstrations": {},
        "critic": CRITIC,
        "held_tasks": 4,
        "eval_every": 2,
        "max_batch": 16,
        "rollouts": {"backend": "colocated", "url": "", "max_failed_share": 0.2, "max_mismatch": 0.2},
        "fake_quant": False,
        "checkpoint_every": 1,
    }
    return RlParams.model_validate(base | changes)


def _setup(
    params: RlParams, start: Path, work: Path, tokenizer: K2Tokenizer, families: Families | None = None
) -> RlSetup:
    ptx = Mixture([Pool("trajectory", [Example(list(range(20, 60)), [True] * 40)], 1.0)], 64, 0)
    return RlSetup(params, start, work, 5, tokenizer, ptx, families or _families(["parity", "size"]), 0.0)


def _families(names: Sequence[str]) -> Families:
    return Families({name: open_taskset(name) for name in names})


def _weights(loop: Loop) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in loop.engine.tensors()}


class Killed(Exception):
    pass


@pytest.mark.parametrize("rollout_tokens", [10_000, 200])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(
    start: Path, tokenizer: K2Tokenizer, tmp_path: Path, rollout_tokens: int
) -> None:
    params = _params(rollout_tokens=rollout_tokens)
    whole = Loop(_setup(params, start, tmp_path / "whole", tokenizer), Hooks())
    curve = whole.run()
    assert [row["iteration"] for row in curve] == [0, 1, 2, 3]

    def die(metrics: Mapping[str, float], step: int) -> None:
        if step == 2:
            raise Killed

    stopped = Loop(_setup(params, start, tmp_path / "stopped", tokenizer), Hooks(log=die))
    with pytest.raises(Killed):
        stopped.run()
    stopped.engine.settle()
    said: list[str] = []
    again = Loop(_setup(params, start, tmp_path / "stopped", tokenizer), Hooks(say=said.append))
    assert again.run() == curve
    assert said == ["resumed at iteration 1 of 3"]
    assert any("loss" in row for row in curve)  # something was learned
    for name, tensor in _weights(whole).items():
        assert torch.equal(tensor, _weights(again)[name]), name
    assert again.rollouts.read(3) == whole.rollouts.read(3)


def test_unfinished_rollouts_wait_and_keep_their_tokens(start: Path, tokenizer: K2Tokenizer, tmp_path: Path) -> None:
    params = _params(rollout_tokens=20, budget={"scale": 2.0, "penalty": 0.2}, iterations=1)
    loop = Loop(_setup(params, start, tmp_path, tokenizer), Hooks())
    loop.run()
    waiting = loop.state.waiting
    assert waiting
    cut = next(rollout for group in waiting for rollout in group if rollout.open)
    assert cut.stop == ""
    assert cut.spent == len(cut.open)
    assert len(cut.tokens) == len(cut.sampled) == len(cut.logprobs)


def test_the_sampler_and_the_trainer_agree_on_log_probabilities(
    start: Path, tokenizer: K2Tokenizer, tmp_path: Path
) -> None:
    params = _params(iterations=2, toggle={"every": 0, "accuracy": 0.5, "percentile": 90.0})
    curve = Loop(_setup(params, start, tmp_path, tokenizer), Hooks()).run()
    found = [row["mismatch"] for row in curve if "mismatch" in row]
    assert found
    assert found[0] < 1e-4


def test_the_policys_own_log_probabilities_are_found_where_another_engine_samples(
    start: Path, tokenizer: K2Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected = _params(iterations=1).model_dump()
    corrected["objective"]["importance_cap"] = 2.0
    taken: list[Rollout] = []
    rows = update.group_rows

    def noted(groups: Sequence[Sequence[Rollout]], pad_id: int) -> Any:
        taken.extend(rollout for group in groups for rollout in group)
        return rows(groups, pad_id)

    monkeypatch.setattr(update, "group_rows", noted)
    Loop(_setup(RlParams.model_validate(corrected), start, tmp_path, tokenizer), Hooks()).run()
    assert taken
    for rollout in taken:
        assert len(rollout.own) == len(rollout.tokens)
        assert rollout.own == pytest.approx(rollout.logprobs, abs=1e-4)  # of one network, whoever asks it
        assert all((value != 0.0) == own for value, own in zip(rollout.own, rollout.sampled, strict=True))


def test_tool_conversations_are_rolled_out_and_judged(tokenizer: K2Tokenizer, tmp_path: Path) -> None:
    texts = [json.dumps(ToolUse(tokenizer, task).case.declarations) for task in tool_tasks(LIMITS, 40, 1, "train")]
    words = K2Tokenizer(train_tokenizer(texts, 2000))  # in which a prompt with tools leaves room
    config = K2Config.preset("smoke", vocab_size=words.vocab_size, max_position_embeddings=1024)
    save_checkpoint(K2Model(config, seed=3), tmp_path / "model")
    params = _params(iterations=1, budget={"scale": 0.1, "penalty": 0.0})
    with open_families(["parity", "worlds"], tmp_path / "none.parquet", LIMITS) as families:
        loop = Loop(_setup(params, tmp_path / "model", tmp_path / "work", words, families), Hooks())
        curve = loop.run()
    tools = [row for row in loop.rollouts.read(1) if row["taskset"] == "worlds"]
    assert len(tools) == 3
    assert all(row["stop"] in ("done", "budget") and row["tokens"] for row in tools)
    assert all(row["status"] == ("scored" if row["stop"] == "done" else "no_answer") for row in tools)
    assert [row["held_success_worlds"] for row in curve] == [0.0, 0.0]  # of a network that knows nothing


def test_rewards_are_the_sum_of_their_parts_and_statuses_are_kept(
    start: Path, tokenizer: K2Tokenizer, tmp_path: Path
) -> None:
    loop = Loop(_setup(_params(iterations=1), start, tmp_path, tokenizer), Hooks())
    loop.run()
    for row in json.loads(json.dumps(loop.rollouts.read(1))):
        parts = row["reward_task"] + row["reward_length"] + row["reward_budget"] + row["reward_repeat"]
        assert row["reward"] == pytest.approx(parts)
        assert row["status"] in ("scored", "no_answer")


def test_what_a_rollout_says_does_not_depend_on_the_batch(start: Path, tokenizer: K2Tokenizer, tmp_path: Path) -> None:
    small = Loop(_setup(_params(iterations=1, max_batch=2), start, tmp_path / "a", tokenizer), Hooks())
    large = Loop(_setup(_params(iterations=1), start, tmp_path / "b", tokenizer), Hooks())
    small.run()
    large.run()
    assert [row["text"] for row in small.rollouts.read(1)] == [row["text"] for row in large.rollouts.read(1)]


def test_every_kind_of_verifiable_task_goes_through_the_loop(
    start: Path, tokenizer: K2Tokenizer, tmp_path: Path
) -> None:
    names = ["arithmetic_words", "reasoning/chain_sum", "code", "instructions"]
    budget = {"scale": 0.04, "penalty": 0.2}
    params = _params(iterations=1, prompts=8, held_tasks=2, eval_every=1, budget=budget)
    with open_families(names, tmp_path / "none.parquet", LIMITS) as families:
        setup = replace(_setup(params, start, tmp_path, tokenizer, families), ptx=None)
        loop = Loop(setup, Hooks())
        curve = loop.run()
    records = loop.rollouts.read(1)
    assert {row["taskset"] for row in records} == {*names, "open_ended"}
    assert {f"held_success_{name}" for name in names} <= set(curve[-1])
    assert all(row["status"] in ("scored", "no_answer") for row in records)


def test_the_critics_measures_are_in_the_curve(start: Path, tokenizer: K2Tokenizer, tmp_path: Path) -> None:
    params = _params(iterations=1, eval_every=1, critic=CRITIC | {"held_open_pairs": 3})
    before, after = Loop(_setup(params, start, tmp_path, tokenizer), Hooks()).run()
    names = {"held_critic_agreement", "held_critic_position_bias", "held_critic_length_bias", "held_critic_missing"}
    assert names < set(before)
    assert names < set(after)
    assert after["unjudged"] == 0


def test_the_critic_learns_from_verified_answers_in_both_orders(start: Path, tokenizer: K2Tokenizer) -> None:
    task = open_taskset("parity").tasks(1, 0, 0.0)[0]
    right, wrong = Result(1.0, Status.SCORED, ""), Result(0.0, Status.SCORED, "")
    rollouts = [Rollout(str(k), "parity", 0, 9) for k in range(4)]
    group = Finished("parity", task, rollouts, [right, wrong, wrong, right], ["even", "odd", "odd", "even"])
    found = outcomes(group)
    assert found == [Comparison(str(task.messages[-1]["content"]), "even", "odd")]
    texts = [tokenizer.decode(list(example.ids)) for example in lessons(tokenizer, found, 1024)]
    assert ["A: even" in text for text in texts] == [True, False]
    assert all(text.split("</think>")[1].startswith("even") for text in texts)
    assert outcomes(replace(group, verdicts=[right] * 4)) == [], "nothing was wrong"
    assert outcomes(replace(group, family="open_ended")) == []


def test_outcomes_are_kept_only_with_the_critics_loop_closed(
    start: Path, tokenizer: K2Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.rl.loop.outcomes", lambda group: [Comparison(group.family, "a", "b")] * 9)
    critic = CRITIC | {"window": 5, "held_pairs": 0, "held_open_pairs": 0}
    for coefficient, kept in ((0.2, 5), (0.0, 0)):
        params = _params(critic=critic | {"coefficient": coefficient}, iterations=1)
        loop = Loop(_setup(params, start, tmp_path / str(coefficient), tokenizer), Hooks())
        loop.run()
        assert len(loop.state.judged) == kept
        assert len(loop._lessons(0)) == 2 * min(2, kept)


def test_the_critic_is_the_likelihood_of_writing_an_answer_down(start: Path, tokenizer: K2Tokenizer) -> None:
    model = load_checkpoint(start).eval()
    comparison = Comparison("Is 7 even or odd?", "odd", "even", "be right")
    (chance,) = judge(model, tokenizer, [comparison])
    prompt = encode_prompt(tokenizer, comparison.messages()) + tokenizer.encode("<think></think>", parse_special=True)
    means = []
    for answer in (comparison.first, comparison.second):
        written = [*tokenizer.encode(answer), tokenizer.im_end]
        tokens_BL = torch.tensor([[*prompt, *written]])
        with torch.no_grad():
            logp_LV = model(tokens_BL).logits_BLV[0].float().log_softmax(-1)
        picked = [float(logp_LV[len(prompt) - 1 + k, token]) for k, token in enumerate(written)]
        means.append(sum(picked) / len(picked))
    assert chance == pytest.approx(1 / (1 + math.exp(means[1] - means[0])), abs=1e-5)
