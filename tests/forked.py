"""Processes forked from one that has imported torch, DeepSpeed and MLflow: seconds less for each."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests import imported

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([imported.__name__])


def start(target: Callable[..., None], arguments: Sequence[tuple[Any, ...]], log: Path) -> list[BaseProcess]:
    """A process for each tuple of arguments; what they say is appended to `log`."""
    running: list[BaseProcess] = [CONTEXT.Process(target=_run, args=(target, each, log)) for each in arguments]
    for process in running:
        process.start()
    return running


def _run(target: Callable[..., None], arguments: tuple[Any, ...], log: Path) -> None:
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    target(*arguments)


def run_module(
    folder: Path, words: Sequence[str], env: Mapping[str, str], timeout: float
) -> "subprocess.CompletedProcess[str]":
    """`python -m WORDS` in `folder`, with this environment and no other."""
    with tempfile.TemporaryDirectory() as said:
        streams = Path(said, "1"), Path(said, "2")
        process = CONTEXT.Process(target=_module, args=(folder, words, dict(env), streams))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            kill([process])
            raise subprocess.TimeoutExpired(words, timeout)
        return subprocess.CompletedProcess(words, process.exitcode, *(stream.read_text() for stream in streams))


def _module(folder: Path, words: Sequence[str], env: dict[str, str], streams: Sequence[Path]) -> None:
    for number, stream in enumerate(streams, 1):
        with stream.open("w") as file:
            os.dup2(file.fileno(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ |= env
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def finish(running: Sequence[BaseProcess], seconds: float = 300) -> None:
    """Waits until all have ended well."""
    try:
        for process in running:
            process.join(seconds)
        assert [process.exitcode for process in running] == [0] * len(running)
    finally:
        kill(running)


def kill(running: Sequence[BaseProcess]) -> None:
    """SIGKILL to each that still runs."""
    for process in running:
        process.kill()
        process.join()
