"""An OpenAI-compatible server over a checkpoint; concurrent requests share the engine's batch.

    python -m k2model.serving.server models/sft --port 8000 [--tokenizer data/tokenizer]

/v1/models, /v1/chat/completions, /v1/completions (text or token ids) and /v1/responses, all with streaming; /health,
/metrics; /update_weights_from_disk takes new weights of the same network between requests (rollouts in RL). Where
tools are declared the enforcer (`k2model.inference.grammar`) is on: a call that is made is valid. What is done with
each parameter stands in `k2model.serving.parameters`. SIGTERM and Ctrl-C end the server within seconds.
"""

import argparse
import asyncio
import os
import socket
import sys
from pathlib import Path
from types import FrameType

import torch
import uvicorn

from k2model.errors import CheckpointError, ConfigError
from k2model.serving.app import make_app
from k2model.serving.service import Service, open_service

GRACE = 3.0  # seconds in which running requests may end by themselves
CLEANUP = 2.0  # seconds more for their last events, and for the engine's last step


class _Server(uvicorn.Server):
    """Ends within `GRACE` + 2 · `CLEANUP` seconds of SIGTERM or Ctrl-C, at once at the second."""

    def __init__(self, service: Service, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for sock in sockets or ():
            host, port, *_ = sock.getsockname()
            print(
                f"{self._service.name} is served at http://{f'[{host}]' if ':' in host else host}:{port}/v1", flush=True
            )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.refuse()
        ending = asyncio.get_running_loop().call_later(GRACE, self._service.stop)
        await super().shutdown(sockets)
        ending.cancel()


def _check(args: argparse.Namespace) -> None:
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


def _bind(host: str, port: int) -> socket.socket:
    """A socket that doesn't listen yet: while the checkpoint loads, callers are refused instead of kept waiting."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        raise ConfigError(f"--host, --port: {host}:{port}: {error.strerror or error}") from None
    return sock


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m k2model.serving.server", description="OpenAI-compatible server.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--tokenizer", type=Path, help="folder of tokenizer.json (the checkpoint's)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--name", default="", help="the model's name in the API (the folder's)")
    parser.add_argument("--max-batch", type=int, default=32, help="requests that are decoded at once")
    parser.add_argument("--max-length", type=int, help="tokens of prompt and answer (the model's context)")
    parser.add_argument("--threads", type=int, help="CPU threads (torch's default)")
    args = parser.parse_args()
    try:
        _check(args)
        sock = _bind(args.host, args.port)
        if args.threads:
            torch.set_num_threads(args.threads)
        service = open_service(
            args.checkpoint, args.tokenizer, name=args.name, max_batch=args.max_batch, max_length=args.max_length
        )
    except (CheckpointError, ConfigError) as error:
        print(error, file=sys.stderr)
        return 2
    config = uvicorn.Config(
        make_app(service), log_level="warning", timeout_graceful_shutdown=int(GRACE + CLEANUP), lifespan="off"
    )
    _Server(service, config).run(sockets=[sock])
    service.close(CLEANUP)
    sys.stdout.flush()
    sys.stderr.flush()
    # Python would wait for threads that are still at work on a step or a schema.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
