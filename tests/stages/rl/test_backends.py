"""Rollouts from the INT4 twin, and from a server that is given each iteration's weights."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import uvicorn

from gym.tasksets.open import open_taskset
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer, save_tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model
from k2model.serving.app import make_app
from k2model.serving.service import open_service
from stages.harness.hooks import Hooks
from stages.rl.backends import RolloutError, ServerBackend, ServerRollouts
from stages.rl.families import Families
from stages.rl.loop import Loop, RlSetup
from stages.rl.params import RlParams
from tests.stages.optimizers import ONE_PROCESS, muonclip

torch.set_num_threads(1)


def _by(backend: str, url: str = "") -> dict[str, Any]:
    return {"backend": backend, "url": url, "max_failed_share": 0.2, "max_mismatch": 0.2}


def _params(**changes: Any) -> RlParams:
    base: dict[str, Any] = {
        "iterations": 2, "context_tokens": 1024, "turn_tokens": 160, "max_turns": 6, "pool": 8, "prompts": 4,
        "samples": 6, "updates": 4, "micro_groups": 1, **ONE_PROCESS, "lr": 0.001, "final_lr": 0.001,
        "optimizer": muonclip(0.0),
        "reset_optimizer": False, "rollout_tokens": 10_000,
        "objective": {"name": "k2", "tau": 0.1, "alpha": -1.0, "beta": 1.0, "epsilon": 0.2, "importance_cap": 0.0},
        "temperature": {"first": 1.0, "last": 1.0}, "budget": {"scale": 8.0, "penalty": 0.2},
        "length_reward": 0.5, "repeat_penalty": 0.1, "toggle": {"every": 0, "accuracy": 0.5, "percentile": 90.0},
        "ptx": 0.0, "ptx_rows": 0, "ptx_length": 64,
        "ptx_demonstrations": {},
        "critic": {
            "judge": "self", "open_prompts": 0, "neighbours": 0, "coefficient": 0.0, "pairs": 0, "window": 1,
            "held_pairs": 0, "held_open_pairs": 0,
        },
        "held_tasks": 4,
        "eval_every": 2, "max_batch": 8, "checkpoint_every": 2,
        "rollouts": _by("colocated"), "fake_quant": False,
    }  # fmt: skip
    return RlParams.model_validate(base | changes)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "model"
    backend = train_tokenizer(["Is 7 even or odd? small big yes no A B. " * 40, "Which answer is better? " * 40], 300)
    config = K2Config.preset("smoke", vocab_size=K2Tokenizer(backend).vocab_size, max_position_embeddings=1024)
    save_checkpoint(K2Model(config, seed=3), path)
    save_tokenizer(backend, path, chat_template="", max_length=1024)
    (path / "manifest.json").unlink()
    return path


@pytest.fixture(scope="module")
def tokenizer(start: Path) -> K2Tokenizer:
    return load_tokenizer(start)


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """Our server over a folder; its address."""
    service = open_service(model, max_batch=4, max_length=600)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_app(service), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=10)
        service.thread.stop()


@pytest.fixture
def url(start: Path) -> Iterator[str]:
    with serving(start) as address:
        yield address


def _loop(params: RlParams, start: Path, work: Path, tokenizer: K2Tokenizer) -> Loop:
    families = Families({name: open_taskset(name) for name in ("parity", "size")})
    return Loop(RlSetup(params, start, work, 5, tokenizer, None, families, 0.0), Hooks())


def test_a_server_with_pushed_weights_trains_the_same_policy(
    start: Path, tokenizer: K2Tokenizer, tmp_path: Path, url: str
) -> None:
    here = _loop(_params(), start, tmp_path / "here", tokenizer)
    there = _loop(
        _params(rollouts=_by("server", url)),
        start,
        tmp_path / "there",
        tokenizer,
    )
    curve_here, curve_there = here.run(), there.run()
    assert [row["text"] for row in there.rollouts.read(2)] == [row["text"] for row in here.rollouts.read(2)]
    assert curve_there[-1]["mismatch"] < 1e-4
    assert curve_here[-1]["loss"] == pytest.approx(curve_there[-1]["loss"], abs=1e-4)
    pushed = load_checkpoint(tmp_path / "there" / "pushed").state_dict()
    first = load_checkpoint(start).state_dict()
    assert any(not torch.equal(tensor, first[name]) for name, tensor in pushed.items())


def test_interrupted_requests_keep_their_tokens(start: Path, tokenizer: K2Tokenizer, url: str) -> None:
    backend = ServerBackend(url, start.name, concurrency=2, timeout_s=60)
    prompt = tokenizer.encode("Is 7 even")
    handles = [backend.submit(Request(prompt, 400, temperature=0.0, seed=k)) for k in range(4)]
    while backend.sampled < 20:
        time.sleep(0.01)
    found = dict(backend.interrupt())
    assert sorted(found) == handles
    (whole,) = Engine(load_checkpoint(start), tokenizer, max_length=600).generate([Request(prompt, 400, 0.0)])
    for result in found.values():
        assert result.ids == whole.ids[: len(result.ids)]
        assert len(result.logprobs) == len(result.ids)
    assert sum(len(result.ids) for result in found.values()) == backend.sampled


def test_a_server_whose_log_probabilities_are_not_the_policys_ends_the_run(
    start: Path, tokenizer: K2Tokenizer, tmp_path: Path, url: str
) -> None:
    loop = _loop(_params(rollouts=_by("server", url) | {"max_mismatch": 1e-12}), start, tmp_path, tokenizer)
    with pytest.raises(RolloutError, match=r"nats a token off the policy's \(rl.rollouts.max_mismatch is 1e-12\)"):
        loop.run()
    assert not list(tmp_path.glob("checkpoints/*"))


def test_a_server_that_is_not_there_is_one_line(start: Path, tokenizer: K2Tokenizer, tmp_path: Path) -> None:
    loop = _loop(
        _params(rollouts=_by("server", "http://127.0.0.1:9")),
        start,
        tmp_path,
        tokenizer,
    )
    with pytest.raises(RolloutError, match="http://127.0.0.1:9/v1/models"):
        loop.run()


def test_another_networks_weights_are_refused(start: Path, tokenizer: K2Tokenizer, tmp_path: Path, url: str) -> None:
    other = K2Model(K2Config.preset("smoke", vocab_size=288, max_position_embeddings=1024), seed=1)
    with pytest.raises(RolloutError, match="holds another network"):
        pushed = ServerRollouts(url, tmp_path / "other")
        save_checkpoint(other, pushed.folder)
        pushed(other, tokenizer, 2, 600)


def test_int4_rollouts_come_from_the_weights_that_are_trained(
    start: Path, tokenizer: K2Tokenizer, tmp_path: Path
) -> None:
    both = _params(rollouts=_by("int4"), fake_quant=True)
    loop = _loop(both, start, tmp_path / "both", tokenizer)
    curve = loop.run()
    assert curve[-1]["mismatch"] < 1e-4
    apart = _loop(_params(rollouts=_by("int4")), start, tmp_path / "apart", tokenizer).run()
    assert apart[-1]["mismatch"] > 10 * curve[-1]["mismatch"]
