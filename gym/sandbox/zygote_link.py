"""The wire between a worker and its zygote: a length, then JSON."""

import json
import socket
import struct
from typing import Any


def send(link: socket.socket, value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    link.sendall(struct.pack(">I", len(body)) + body)


def _exactly(link: socket.socket, count: int) -> bytes | None:
    parts = []
    while count:
        part = link.recv(min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def receive(link: socket.socket) -> dict[str, Any] | None:
    """The next value; None when the other side is gone."""
    head = _exactly(link, 4)
    body = None if head is None else _exactly(link, struct.unpack(">I", head)[0])
    if body is None:
        return None
    value: dict[str, Any] = json.loads(body)
    return value
