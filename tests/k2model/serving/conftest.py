"""A checkpoint of random weights, and a real server process over it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
import torch

from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer, save_tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import save_checkpoint
from k2model.model import K2Model

ROOT = Path(__file__).parents[3]
CONTEXT = 600  # tokens of the server's context


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("serve") / "tiny"
    config = K2Config.preset("smoke", vocab_size=320, max_position_embeddings=1024)
    model = K2Model(config, seed=2)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3.0) if p.ndim > 1 else None
    save_checkpoint(model, path)
    text = ["The cat sat on the mat. " * 20, '{"city": "Oslo", "days": 3}' * 20]
    save_tokenizer(train_tokenizer(text, 290), path, chat_template="", max_length=1024)
    # The manifest was written before the tokenizer was added; a folder without one is loaded unchecked.
    (path / "manifest.json").unlink()
    return path


@pytest.fixture(scope="session")
def tokenizer(folder: Path) -> K2Tokenizer:
    return load_tokenizer(folder)


Start = Callable[..., "tuple[subprocess.Popen[str], str]"]


@pytest.fixture(scope="session")
def start_server(folder: Path) -> Iterator[Start]:
    """`start_server("--max-batch", "4", folder=…)`: (process, URL) of a server of its own that answers."""
    running: list[subprocess.Popen[str]] = []

    def start(*options: str, folder: Path = folder) -> tuple[subprocess.Popen[str], str]:
        command = [
            sys.executable,
            "-m",
            "k2model.serving.server",
            str(folder),
            "--port",
            "0",
            "--threads",
            "1",
            *options,
        ]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert " is served at " in line, line
        return process, line.split()[-1].removesuffix("/v1")

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def url(start_server: Start) -> str:
    return start_server("--max-batch", "4", "--max-length", str(CONTEXT))[1]


@pytest.fixture(scope="session")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)
