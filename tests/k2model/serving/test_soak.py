"""Sixteen clients of a real server, a third of which misbehaves at random: the others get what they would get alone.

pytest tests/k2model/serving/test_soak.py -m soak -s        two minutes; the short version is part of every run
"""

import asyncio
import json
import random
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

CONTEXT = 4096
GOOD, BAD = 11, 5  # clients
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
ENDLESS = {
    "type": "function",
    "function": {
        "name": "endless",
        "parameters": {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/node"}},
            "required": ["next"],
            "$defs": {
                "node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}
            },
        },
    },
}
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


def _ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _good() -> list[tuple[str, dict[str, Any]]]:
    """(route, body) of everything that the good clients ask for: each is answered alike whenever it is asked."""
    required = {"tools": [WEATHER], "tool_choice": "required"}
    chats: list[dict[str, Any]] = [
        {"messages": _ask(f"What does cat {k} do?"), "max_tokens": 24 + k, "seed": k} | options
        for k, options in enumerate(
            [
                {"temperature": 0},
                {"temperature": 0.8},
                {"temperature": 1.1, "top_p": 0.9},
                {"temperature": 0.9, "top_k": 5},
                {"temperature": 0.9, "min_p": 0.05, "frequency_penalty": 0.5, "presence_penalty": 0.2},
                {"temperature": 0, "logit_bias": {"40": 6.0}},
                {"n": 3},
                {"temperature": 0, "stop": ["a", "the"]},
                {"tools": [WEATHER], "temperature": 1.0},
                {"tools": [WEATHER], "temperature": 0, "tool_choice": "none"},
                required | {"max_tokens": 90, "temperature": 1.0},
                required | {"max_tokens": 110, "temperature": 0},
                required | {"max_tokens": 90, "temperature": 1e-42},
                {"logprobs": True, "top_logprobs": 2},
            ]
        )
    ]
    texts: list[dict[str, Any]] = [
        {"prompt": "The cat sat on the mat. " * length, "max_tokens": 20, "seed": 9, "temperature": temperature}
        for length in (1, 40, 150)
        for temperature in (0, 1)
    ]
    echo = {"prompt": "The cat sat on the mat.", "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0}
    return [(CHAT, body) for body in chats] + [(TEXT, body) for body in (*texts, echo)]


def _outcome(choices: list[dict[str, Any]]) -> list[Any]:
    return [(choice["token_ids"], choice["finish_reason"]) for choice in choices]


def _pieces(lines: list[str]) -> list[Any]:
    """What the pieces of a stream say together, as `_outcome` says it."""
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    assert lines[-1] == "data: [DONE]", lines[-1:]
    ids: dict[int, list[int]] = {}
    finish: dict[int, str] = {}
    for event in events:
        for choice in event["choices"]:
            ids.setdefault(choice["index"], []).extend(choice["token_ids"])
            if choice["finish_reason"]:
                finish[choice["index"]] = choice["finish_reason"]
    return [(ids[index], finish[index]) for index in sorted(ids)]


@dataclass
class Soak:
    """What happened so far."""

    url: str
    alone: list[list[Any]]
    until: float
    different: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of each good answer
    first: list[float] = field(default_factory=list)  # to the first piece of each good stream
    misdeeds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)  # of answered misdeeds

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


async def _behave(soak: Soak, client: httpx.AsyncClient, rng: random.Random) -> None:
    """Asks for good things until the time is over; every answer must be the one that the request gets alone."""
    good = _good()
    while time.monotonic() < soak.until:
        index = rng.randrange(len(good))
        route, body = good[index]
        stream = rng.random() < 0.5 and not body.get("echo")
        started = time.monotonic()
        try:
            if stream:
                lines: list[str] = []
                async with client.stream("POST", route, json=body | {"model": "tiny", "stream": True}) as response:
                    async for line in response.aiter_lines():
                        if not lines:
                            soak.first.append(time.monotonic() - started)
                        lines += [line] if line else []
                answer = _pieces(lines) if response.status_code == 200 else [response.status_code, lines]
            else:
                response = await client.post(route, json=body | {"model": "tiny"})
                answer = _outcome(response.json()["choices"]) if response.status_code == 200 else [response.text]
        except (httpx.HTTPError, AssertionError, KeyError, ValueError) as error:
            answer = [repr(error)]
        soak.seconds.append(time.monotonic() - started)
        if answer != soak.alone[index]:
            soak.different.append(f"{route} {body}: {answer} instead of {soak.alone[index]}")


def _head(route: str, length: int) -> bytes:
    return f"POST {route} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


Misdeed = Callable[[Soak, httpx.AsyncClient, random.Random], Awaitable[int | None]]


async def _leave_at_once(soak: Soak, client: httpx.AsyncClient, rng: random.Random) -> None:
    """Closes the connection before the first byte of the answer, politely or not."""
    body = json.dumps(
        {"model": "tiny", "messages": _ask("x" * rng.choice([5, 3000])), "stream": rng.random() < 0.5, "n": 2}
    ).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", soak.port)
    whole = _head(CHAT, len(body)) + body
    writer.write(whole[: rng.choice([len(whole), len(whole), len(whole) // 2, 20, 0])])
    await writer.drain()
    await asyncio.sleep(rng.choice([0, 0, 0.01, 0.1]))
    if rng.random() < 0.5:  # a reset instead of an end
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def _leave_a_stream(soak: Soak, client: httpx.AsyncClient, rng: random.Random) -> None:
    body = {"model": "tiny", "messages": _ask("Go on for ever."), "stream": True, "n": rng.choice([1, 4])}
    body |= rng.choice([{}, {"tools": [WEATHER]}])
    async with client.stream("POST", CHAT, json=body) as response:
        pieces = rng.randrange(12)
        async for _ in response.aiter_lines():
            pieces -= 1
            if pieces < 0:
                break


async def _read_slowly(soak: Soak, client: httpx.AsyncClient, rng: random.Random) -> None:
    body = json.dumps({"model": "tiny", "messages": _ask("Long."), "stream": True, "max_tokens": 600}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", soak.port, limit=64)
    writer.write(_head(CHAT, len(body)) + body)
    for _ in range(8):
        await reader.read(16)
        await asyncio.sleep(0.1)
    writer.close()


async def _huge_prompt(soak: Soak, client: httpx.AsyncClient, rng: random.Random) -> int | None:
    words = rng.choice([600, 2000, 20_000])
    body = {"model": "tiny", "prompt": "mat " * words, "max_tokens": 2}
    try:
        return (await client.post(TEXT, json=body, timeout=rng.choice([0.05, 0.3, 60]))).status_code
    except httpx.TimeoutException:
        return None


def _posted(*bodies: dict[str, Any]) -> Misdeed:
    async def post(soak: Soak, client: httpx.AsyncClient, rng: random.Random) -> int:
        body = {"model": "tiny", "messages": _ask("Weather?"), "max_tokens": 60} | rng.choice(bodies)
        return (await client.post(CHAT, content=json.dumps(body))).status_code

    return post


async def _bad_json(soak: Soak, client: httpx.AsyncClient, rng: random.Random) -> int:
    content = rng.choice(
        [b"", b"{", b"nul", b"[" * 20_000, b'{"model": "tiny", "messages": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"[]"]
    )
    return (await client.post(rng.choice([CHAT, TEXT]), content=content)).status_code


MISDEEDS: dict[str, Misdeed] = {
    "leaves at once": _leave_at_once,
    "leaves a stream": _leave_a_stream,
    "reads slowly": _read_slowly,
    "huge prompt": _huge_prompt,
    "bad JSON": _bad_json,
    "recursive schema": _posted({"tools": [ENDLESS], "tool_choice": "required"}, {"tools": [ENDLESS, WEATHER]}),
    "tiny temperature": _posted(
        *({"temperature": t, "tools": [WEATHER], "tool_choice": "required"} for t in (1e-42, 5e-324, 1e-40)),
        {"temperature": 1e-45},
    ),
    "stop strings in calls": _posted(
        *({"stop": stop, "tools": [WEATHER], "tool_choice": "required"} for stop in ("</", "think", '"', "city"))
    ),
    "wrong types": _posted(
        {"messages": 5},
        {"temperature": "hot"},
        {"temperature": 1e999},
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"max_tokens": 10**30},
        {"n": 0},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "no such type"}}}]},
        {"logit_bias": {"99999": 1}},
        {"logit_bias": {"cat": "mat"}},
        {"messages": _ask("\ud800")},
        {"seed": 10**40},
    ),
}


async def _misbehave(soak: Soak, client: httpx.AsyncClient, rng: random.Random, first: list[str]) -> None:
    """Begins with some of the misdeeds, so that a short soak has all of them, and goes on at random."""
    while first or time.monotonic() < soak.until:
        name = first.pop() if first else rng.choice(sorted(MISDEEDS))
        soak.misdeeds[name] += 1
        try:
            status = await MISDEEDS[name](soak, client, rng)
        except httpx.TransportError as error:
            soak.statuses[f"{name}: {error!r}"] += 1
            continue
        if status is not None:
            soak.statuses[f"{name}: {status}"] += 1


async def _alone(url: str, step: int = 1) -> list[list[Any]]:
    """Every `step`th good answer when nobody else asks."""
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        answers = []
        for route, body in _good()[::step]:
            response = await client.post(route, json=body | {"model": "tiny"})
            assert response.status_code == 200, response.text
            answers.append(_outcome(response.json()["choices"]))
        return answers


async def _soak(url: str, seconds: float, memory: Callable[[], float]) -> tuple[Soak, list[float]]:
    soak = Soak(url, await _alone(url), time.monotonic() + seconds)
    resident = []

    async def watch() -> None:
        while time.monotonic() < soak.until:
            resident.append(memory())
            await asyncio.sleep(seconds / 50)

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        good = [_behave(soak, client, random.Random(k)) for k in range(GOOD)]
        bad = [_misbehave(soak, client, random.Random(1000 + k), sorted(MISDEEDS)[k::BAD]) for k in range(BAD)]
        await asyncio.gather(*good, *bad, watch())
    return soak, resident


def _work(url: str) -> float:
    """Requests that the engine has."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(
        float(line.split()[1]) for line in lines if line.startswith(("k2_active_requests ", "k2_waiting_requests "))
    )


def _quantiles(values: list[float]) -> str:
    ranked = sorted(values)
    return ", ".join(f"p{q} {ranked[int(q / 100 * (len(ranked) - 1))]:.2f} s" for q in (50, 95, 99, 100))


@pytest.mark.parametrize("seconds", [12, pytest.param(120, marks=pytest.mark.soak)])
def test_a_third_of_the_clients_misbehaves_and_the_others_do_not_notice(
    start_server: Callable[..., tuple["subprocess.Popen[str]", str]], folder: Path, tmp_path: Path, seconds: int
) -> None:
    longer = tmp_path / "tiny"
    shutil.copytree(folder, longer)
    config = json.loads((longer / "config.json").read_text()) | {"max_position_embeddings": CONTEXT}
    (longer / "config.json").write_text(json.dumps(config))
    process, url = start_server("--max-batch", "8", folder=longer)
    server = psutil.Process(process.pid)

    soak, resident = asyncio.run(_soak(url, seconds, lambda: server.memory_info().rss / 2**20))

    idle_after = time.monotonic()
    while _work(url):
        assert time.monotonic() - idle_after < 10, "work is left behind"
        time.sleep(0.05)
    before = sum(server.cpu_times()[:2])
    time.sleep(1)
    processor = sum(server.cpu_times()[:2]) - before
    third = len(resident) // 3
    early, late = max(resident[third : 2 * third]), max(resident[2 * third :])
    print(f"\n{len(soak.seconds)} good answers in {seconds} s, {len(soak.different)} lost or different")
    print(f"  latency {_quantiles(soak.seconds)}; to the first piece of a stream {_quantiles(soak.first)}")
    print(f"  {sum(soak.misdeeds.values())} misdeeds: {dict(soak.misdeeds)}")
    print(f"  answered {dict(soak.statuses)}")
    print(
        f"  memory {early:.0f} MiB in the second third, {late:.0f} in the last; {processor:.2f} s processor time idle"
    )

    assert not soak.different
    assert len(soak.seconds) >= GOOD
    assert set(soak.misdeeds) == set(MISDEEDS)
    wrong = [status for status in soak.statuses if not status.endswith((": 200", ": 400"))]
    assert not wrong
    assert late < early * 1.1 + 20
    assert processor < 0.2
    assert server.num_fds() < 40
    assert httpx.get(f"{url}/health").status_code == 200
    assert asyncio.run(_alone(url, 4)) == soak.alone[::4]
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
