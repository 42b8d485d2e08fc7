"""One rank of a training stage in a checkout, forked: what torchrun would start, without its imports."""

import importlib
import os
import socket
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests import forked
from tests.conftest import checkout_env


def run(checkout: Path, stage: str, arguments: list[str], rank: int, ranks: int, port: int) -> None:
    os.chdir(checkout)
    os.environ |= checkout_env()
    if ranks > 1:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_PORT": port}
        os.environ |= {key: str(value) for key, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}
    sys.argv = [f"stages.{stage}", *arguments]
    importlib.import_module(f"stages.{stage}.__main__").main()


def start(checkout: Path, stage: str, arguments: list[str], ranks: int, log: Path) -> list[BaseProcess]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return forked.start(run, [(checkout, stage, arguments, rank, ranks, port) for rank in range(ranks)], log)
