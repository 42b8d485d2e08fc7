"""The stage in a checkout of its own: the bytes of its shards, whatever the workers, and after SIGKILL."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from k2model.chat.tokenizer import load_tokenizer
from k2model.training.token_shards import TokenStream
from tests.conftest import checkout_env
from tests.stages.tokens.made import SMALL, fill


def _threads(checkout: Path, threads: int) -> None:
    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params["threads"] = threads
    params["tokens"]["shard_tokens"] = 20_000
    (checkout / "params.yaml").write_text(yaml.safe_dump(params))


def _outs(checkout: Path) -> dict[str, bytes]:
    files = [*(checkout / "data/tokens").iterdir(), checkout / "metrics/tokens.json"]
    return {path.name: path.read_bytes() for path in files}


def _wanted(checkout: Path) -> dict[str, list[str]]:
    """The texts of each split, by whole tables."""
    corpus = pq.read_table(checkout / "data/corpus.parquet").to_pylist()
    split = {row["doc_id"]: row["split"] for row in corpus}
    texts = {name: [row["text"] for row in corpus if row["split"] == name] for name in ("train", "validation")}
    rows = pq.read_table(checkout / "data/rephrased.parquet").to_pylist()
    texts["train"] += [row["text"] for row in rows if row["accepted"] and split[row["doc_id"]] == "train"]
    return texts


@pytest.mark.slow
def test_the_bytes_depend_neither_on_workers_nor_on_a_kill(smoke_checkout: Path, run_in: Callable[..., Any]) -> None:
    fill(smoke_checkout, 3000)
    _threads(smoke_checkout, 1)
    run_in(smoke_checkout, sys.executable, "-m", "stages.tokens")  # in one piece
    wanted = _outs(smoke_checkout)
    tokenizer = load_tokenizer(smoke_checkout / "data/tokenizer")
    for split, texts in _wanted(smoke_checkout).items():
        stream = TokenStream(smoke_checkout / "data/tokens", split, None)
        ids = [[tokenizer.bos, *tokenizer.encode(text), tokenizer.eos] for text in texts]
        assert [stream.document(number).tolist() for number in range(stream.documents)] == ids
    assert len(list((smoke_checkout / "data/tokens").glob("train-0*.bin"))) > 5

    _threads(smoke_checkout, 2)
    run_in(smoke_checkout, sys.executable, "-c", SMALL)
    assert _outs(smoke_checkout) == wanted

    command = [sys.executable, "-c", SMALL]
    with subprocess.Popen(command, cwd=smoke_checkout, env=checkout_env()) as process:
        while (kept := _kept(smoke_checkout)) < 2:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    kept = max(kept, _kept(smoke_checkout))
    (folder,) = smoke_checkout.glob("work/tokens/*/shards")
    finished = [folder / f"train-{number:05}.bin" for number in range(kept)]
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in finished}
    run_in(smoke_checkout, *command)
    assert _outs(smoke_checkout) == wanted
    after = [smoke_checkout / "data/tokens" / path.name for path in finished]
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in after} == before
    assert not list(smoke_checkout.glob("work/tokens/*/shards"))


def _kept(checkout: Path) -> int:
    """Shards of training text that a run which is killed now needn't write again."""
    for path in checkout.glob("work/tokens/*/progress.json"):
        return len(json.loads(path.read_text())["splits"]["train"]["shards"])
    return 0
