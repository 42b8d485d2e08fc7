"""Processes of a training run, forked from one that has imported torch and DeepSpeed: seconds less for each."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
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
