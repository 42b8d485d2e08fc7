"""An OpenAI-compatible server over a checkpoint; concurrent requests share the engine's batch.

    python -m k2model.serving.server models/sft --port 8000 [--tokenizer FOLDER]

/v1/models, /v1/chat/completions, /v1/completions (text or token ids) and /v1/responses, all with streaming; /health,
/metrics; /update_weights_from_disk takes new weights of the same network between requests (rollouts in RL); `/` is a
page to talk with the model. Where tools are declared the enforcer (`k2model.inference.grammar`) is on: a call that is
made is valid. What is done with each parameter stands in `k2model.serving.parameters`. SIGTERM and Ctrl-C end the
server within seconds.
"""

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

import torch
import uvicorn
from starlette.types import ASGIApp

from k2model.errors import CheckpointError, ConfigError
from k2model.serving.app import make_app
from k2model.serving.service import Service, open_service

PORT = 8000
GRACE = 3.0  # seconds in which running requests may end by themselves
CLEANUP = 2.0  # seconds more for their last events, and for the engine's last step


class Working(Protocol):
    """What answers behind an application, and has to end with it; all but `close` are called on the event loop."""

    def refuse(self) -> None:
        """Nothing new begins."""

    def stop(self) -> None:
        """Ends what runs."""

    def close(self, timeout: float) -> None:
        """Ends what is not part of the event loop, which has ended, within so many seconds."""


class _Server(uvicorn.Server):
    """Ends within `GRACE` + 2 · `CLEANUP` seconds of SIGTERM or Ctrl-C, at once at the second."""

    def __init__(self, config: uvicorn.Config, working: Working, announce: Callable[[str], str]) -> None:
        super().__init__(config)
        self._working, self._announce = working, announce

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for sock in sockets or ():
            host, port, *_ = sock.getsockname()
            print(self._announce(f"http://{f'[{host}]' if ':' in host else host}:{port}"), flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._working.refuse()
        ending = asyncio.get_running_loop().call_later(GRACE, self._working.stop)
        await super().shutdown(sockets)
        ending.cancel()


def check_options(args: argparse.Namespace) -> None:
    """Raises ConfigError for an option that can't work."""
    for option, low, high in (
        ("port", 0, 65535),
        ("max_batch", 1, None),
        ("max_length", 2, None),
        ("threads", 1, None),
    ):
        value = getattr(args, option)
        if value is not None and not low <= value <= (value if high is None else high):
            limits = f"at least {low}" if high is None else f"{low} to {high}"
            raise ConfigError(f"--{option.replace('_', '-')}: {value} is not {limits}")
    for name, folder in (("checkpoint", args.checkpoint), ("--tokenizer", args.tokenizer)):
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"{name}: {folder} is no folder")


def bind(host: str, port: int) -> socket.socket:
    """A socket that doesn't listen yet: while the checkpoint loads, callers are refused instead of kept waiting."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        raise ConfigError(f"--host, --port: {host}:{port}: {error.strerror or error}") from None
    return sock


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every server over a checkpoint."""
    parser.add_argument("--tokenizer", type=Path, help="folder of tokenizer.json (the checkpoint's)")
    parser.add_argument("--port", type=int, default=PORT, help="0 takes a free one")
    parser.add_argument("--max-length", type=int, help="tokens of prompt and answer (the model's context)")
    parser.add_argument("--threads", type=int, help="CPU threads (torch's default)")
    parser.add_argument(
        "--dense-bits",
        type=int,
        choices=(16, 8),
        default=16,
        help="of attention, shared experts, dense layers and head; 8 is not K2's rule, and reads half",
    )
    parser.add_argument(
        "--activation-bits",
        type=int,
        choices=(16, 8),
        default=16,
        help="of what INT4 experts read; 8 is faster and rounds",
    )


def service_of(args: argparse.Namespace) -> Service:
    """The service over the checkpoint that the command line names.

    Raises:
        CheckpointError, ConfigError: see `open_service`.
    """
    if args.threads:
        torch.set_num_threads(args.threads)
    return open_service(
        args.checkpoint,
        args.tokenizer,
        name=args.name,
        max_batch=args.max_batch,
        max_length=args.max_length,
        dense_bits=args.dense_bits,
        activation_bits=args.activation_bits,
    )


def run(app: ASGIApp, sock: socket.socket, announce: Callable[[str], str], working: Working) -> None:
    """Serves until SIGTERM or Ctrl-C.

    Args:
        announce: the line that says where, of the server's URL.
        working: ended with the server.
    """
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=int(GRACE + CLEANUP), lifespan="off")
    _Server(config, working, announce).run(sockets=[sock])
    working.close(CLEANUP)


def leave(status: int) -> NoReturn:
    """Ends the process; Python would wait for threads that are still at work on a step, a schema or a tool."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m k2model.serving.server", description="OpenAI-compatible server.")
    parser.add_argument("checkpoint", type=Path)
    add_options(parser)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--name", default="", help="the model's name in the API (the folder's)")
    parser.add_argument(
        "--max-batch",
        type=int,
        help="requests that are decoded at once (32, or as many as 4 GiB of cache hold)",
    )
    args = parser.parse_args()
    try:
        check_options(args)
        sock = bind(args.host, args.port)
        service = service_of(args)
    except (CheckpointError, ConfigError) as error:
        print(error, file=sys.stderr)
        return 2
    run(make_app(service), sock, lambda url: f"{service.name} is served at {url}/v1", service)
    leave(0)


if __name__ == "__main__":
    sys.exit(main())
