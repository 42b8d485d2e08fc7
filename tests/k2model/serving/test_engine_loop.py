"""The engine's thread and its callers: who leaves, who fails, how it ends."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from k2model.config import K2Config
from k2model.errors import ConfigError
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.formats.int4_checkpoint import load_any, save_int4_checkpoint
from k2model.formats.quant import to_bfloat16
from k2model.inference.generate import Engine
from k2model.inference.request import Request, RequestFailed
from k2model.model import K2Model
from k2model.serving.app import make_app
from k2model.serving.engine_loop import EngineEnded, EngineThread
from k2model.serving.service import open_service

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> K2Model:
    network = K2Model(K2Config.preset("smoke", vocab_size=256, max_position_embeddings=2048), seed=1)
    with torch.no_grad():
        for p in network.parameters():
            if p.ndim > 1:
                p.mul_(4.0)
    return network


@pytest.fixture
def thread(model: K2Model) -> Iterator[EngineThread]:
    engine = Engine(model, max_batch=3, max_length=2048, prefill_chunk=32, prefill_tokens=32)
    running = EngineThread(engine)
    yield running
    assert running.stop()


def _prompt(length: int, seed: int = 0) -> list[int]:
    return torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


async def _ids(thread: EngineThread, request: Request) -> list[int]:
    return [token async for news in thread.stream(request) for token in news.ids]


async def _until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def _idle(thread: EngineThread) -> bool:
    engine = thread.engine
    return not (engine.busy or thread._callers) and thread._inbox.empty() and len(engine.free) == 3


@asynccontextmanager
async def _held(thread: EngineThread, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[threading.Event]:
    """The engine is inside one step until the block ends."""
    inside, go_on = threading.Event(), threading.Event()
    step = thread.engine.step

    def slow() -> Any:
        inside.set()
        assert go_on.wait(30)
        return step()

    monkeypatch.setattr(thread.engine, "step", slow)
    first = asyncio.create_task(_ids(thread, Request(_prompt(3), 4)))
    await asyncio.to_thread(inside.wait, 20)
    yield go_on
    go_on.set()
    monkeypatch.setattr(thread.engine, "step", step)
    await first


def test_callers_who_leave_while_a_step_runs_are_never_submitted(
    thread: EngineThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with _held(thread, monkeypatch):
            tasks = [asyncio.create_task(_ids(thread, Request(_prompt(900, k), 1000))) for k in range(5)]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        sampled = thread.engine.sampled
        await _until(lambda: _idle(thread))
        assert thread.engine.sampled - sampled < 5

    asyncio.run(main())


@pytest.mark.parametrize("when", ["waiting", "reading", "decoding"])
def test_a_caller_who_leaves_is_taken_out_wherever_the_request_is(thread: EngineThread, when: str) -> None:
    async def main() -> None:
        engine = thread.engine
        rows = 3 if when == "waiting" else 0
        others = [asyncio.create_task(_ids(thread, Request(_prompt(4, k), 150, 0.0))) for k in range(rows)]
        await _until(lambda: len(engine.active) == rows)
        length = {"waiting": 5, "reading": 2000, "decoding": 5}[when]
        task = asyncio.create_task(_ids(thread, Request(_prompt(length, 9), 2048 - length, 0.0)))
        if when == "waiting":
            await _until(lambda: len(engine.waiting) == 1)
        else:
            await _until(lambda: len(engine.active) == 1 and bool(engine._reading) == (when == "reading"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _until(lambda: not engine.waiting and len(engine.active) <= rows, 2.0)
        assert [len(ids) for ids in await asyncio.gather(*others)] == [150] * rows
        await _until(lambda: _idle(thread))

    asyncio.run(main())


class Fails:
    """A constraint that raises at its third token."""

    def __init__(self, error: Exception) -> None:
        self.error, self.count = error, 0

    def allowed(self) -> torch.Tensor:
        return torch.ones(256, dtype=torch.bool)

    def accept(self, token: int) -> None:
        self.count += 1
        if self.count == 3:
            raise self.error

    def finished(self) -> bool:
        return False

    def forced(self) -> bool:
        return False


def test_one_bad_request_of_many_gets_its_own_error_and_the_others_their_own_tokens(
    thread: EngineThread, model: K2Model
) -> None:
    good = [Request(_prompt(6 + k, k), 40, seed=k) for k in range(6)]
    alone = [Engine(model, max_batch=1).generate([request])[0].ids for request in good]
    bad: list[tuple[Request, type[Exception], str]] = [
        (Request(_prompt(5), 20, constraint=Fails(ConfigError("tools: no way out"))), ConfigError, "tools: no way out"),
        (Request(_prompt(5), 20, constraint=Fails(KeyError("x"))), RequestFailed, "KeyError: 'x'"),
        (Request([1, 999], 20), ConfigError, "token 999 is outside"),
        (Request(_prompt(2048), 20), ConfigError, "a prompt of 2048 tokens"),
        (Request(["a"], 20), Exception, "token 'a' is outside"),  # type: ignore[list-item]
    ]

    async def main() -> list[Any]:
        order = [request for pair in zip(good, [request for request, _, _ in bad]) for request in pair] + good[5:]
        tasks = [_ids(thread, request) for request in order]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await _until(lambda: _idle(thread))
        return answers

    answers = asyncio.run(main())
    assert [answers[k] for k in (0, 2, 4, 6, 8, 10)] == alone
    for error, (_, kind, message) in zip([answers[k] for k in (1, 3, 5, 7, 9)], bad, strict=True):
        assert isinstance(error, kind)
        assert message in str(error)
    assert thread.ended is None


def test_an_engine_that_fails_tells_everybody_and_takes_nothing_more(
    model: K2Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    thread = EngineThread(Engine(model, max_batch=1, max_length=2048))

    async def main() -> None:
        tasks = [asyncio.create_task(_ids(thread, Request(_prompt(5, k), 2000))) for k in range(3)]
        await _until(lambda: len(thread.engine.active) == 1 and len(thread.engine.waiting) == 2)

        def step() -> Any:
            raise MemoryError("no more")

        monkeypatch.setattr(thread.engine, "step", step)
        answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert [(type(answer), str(answer)) for answer in answers] == [
            (EngineEnded, "the engine failed: MemoryError: no more")
        ] * 3
        assert thread.ended == "the engine failed: MemoryError: no more"
        with pytest.raises(EngineEnded, match="MemoryError: no more"):
            await asyncio.wait_for(_ids(thread, Request([1], 1)), 5)
        with pytest.raises(EngineEnded, match="MemoryError: no more"):
            await asyncio.wait_for(thread.between_requests(lambda: None), 5)

    asyncio.run(main())
    assert thread.stop()
    assert "MemoryError" in caplog.text


@pytest.mark.parametrize("stuck", [False, True])
def test_stop_ends_the_thread_and_its_callers_whatever_runs(
    model: K2Model, monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    thread = EngineThread(Engine(model, max_batch=2, max_length=2048, prefill_chunk=32, prefill_tokens=32))
    go_on = threading.Event()

    async def main() -> None:
        tasks = [asyncio.create_task(_ids(thread, Request(_prompt(2000, k), 40))) for k in range(4)]
        await _until(lambda: len(thread.engine.active) == 2 and len(thread.engine.waiting) == 2)
        if stuck:
            monkeypatch.setattr(thread.engine, "step", lambda: go_on.wait(30) and [])
            await asyncio.sleep(0.1)
        started = time.monotonic()
        ended = await asyncio.to_thread(thread.stop, 1.0)
        answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert time.monotonic() - started < 3
        assert ended is not stuck
        assert {(type(answer), str(answer)) for answer in answers} == {(EngineEnded, "the engine was stopped")}
        with pytest.raises(EngineEnded, match="the engine was stopped"):
            await _ids(thread, Request([1], 1))

    asyncio.run(main())
    go_on.set()
    assert thread.stop()
    assert not thread.engine.busy


def test_an_idle_engine_stops_and_stopping_twice_is_no_error(model: K2Model) -> None:
    thread = EngineThread(Engine(model, max_batch=1, max_length=64))
    assert thread.stop()
    assert thread.stop()
    assert thread.ended == "the engine was stopped"


def test_an_event_loop_that_ends_leaves_no_work_and_the_engine_serves_the_next(thread: EngineThread) -> None:
    abandoned = asyncio.new_event_loop()

    async def begin() -> None:
        stream = thread.stream(Request(_prompt(4), 2000))
        await anext(stream)
        abandoned.stop()
        await asyncio.sleep(60)

    task: Any = abandoned.create_task(begin())
    task._log_destroy_pending = False
    abandoned.run_forever()
    abandoned.close()  # without a word to the engine

    async def main() -> None:
        await _until(lambda: _idle(thread), 5)
        assert len(await _ids(thread, Request(_prompt(4), 7))) == 7

    asyncio.run(main())
    del task


def test_weights_change_between_requests_only(thread: EngineThread, model: K2Model) -> None:
    request = Request(_prompt(9), 12, temperature=0.0)
    mine = {name: value.clone() for name, value in model.state_dict().items()}
    other = K2Model(model.config, seed=5)

    async def main() -> None:
        before = await _ids(thread, request)
        stream = thread.stream(Request(_prompt(9), 1500))
        async with aclosing(stream):
            await anext(stream)
            with pytest.raises(ConfigError, match="requests are in flight"):
                await thread.between_requests(lambda: None)
        await _until(lambda: _idle(thread))
        await thread.between_requests(lambda: model.load_state_dict(other.state_dict()))
        assert await _ids(thread, request) == Engine(other).generate([request])[0].ids != before
        with pytest.raises(KeyError, match="no such weight"):
            await thread.between_requests(lambda: {}["no such weight"])
        await thread.between_requests(lambda: model.load_state_dict(mine))
        assert await _ids(thread, request) == before

    asyncio.run(main())


def test_what_the_old_weights_read_is_not_reused(folder: Path, tmp_path: Path) -> None:
    other = K2Model(load_checkpoint(folder).config, seed=5)
    save_checkpoint(other, tmp_path / "other")
    service = open_service(folder, max_batch=2, max_length=200)
    prompt = list(range(60))

    async def main() -> list[tuple[list[int], int]]:
        app = httpx.ASGITransport(make_app(service))
        async with httpx.AsyncClient(transport=app, base_url="http://test") as client:

            async def ask() -> tuple[list[int], int]:
                body = {"model": "tiny", "prompt": prompt, "max_tokens": 9, "temperature": 0}
                answer = (await client.post("/v1/completions", json=body)).json()
                return answer["choices"][0]["token_ids"], answer["usage"]["prompt_tokens_details"]["cached_tokens"]

            told = [await ask(), await ask()]
            pushed = await client.post("/update_weights_from_disk", json={"model_path": str(tmp_path / "other")})
            assert pushed.status_code == 200
            return [*told, await ask(), await ask()]

    told = asyncio.run(main())
    service.close()
    request = Request(prompt, 9, temperature=0.0)
    before, after = (Engine(model).generate([request])[0].ids for model in (load_checkpoint(folder), other))
    assert told == [(before, 0), (before, 59), (after, 0), (after, 59)]
    assert before != after


@pytest.mark.parametrize("dense_bits", [16, 8])
def test_an_int4_server_takes_over_experts_too(tmp_path: Path, folder: Path, dense_bits: int) -> None:
    config = load_checkpoint(folder).config
    for name, seed in (("one", 5), ("two", 6)):
        save_int4_checkpoint(to_bfloat16(K2Model(config, seed=seed)), tmp_path / name)
    service = open_service(tmp_path / "one", folder, max_batch=2, max_length=200, dense_bits=dense_bits)
    asyncio.run(service.load(tmp_path / "two"))
    mine, wanted = service.engine.model, load_any(tmp_path / "two", dense_bits=dense_bits)
    service.close()
    buffers = dict(wanted.named_buffers())
    assert any(name.endswith("gate_proj_words") for name in buffers)
    assert all(torch.equal(tensor, buffers[name]) for name, tensor in mine.named_buffers())
    assert all(torch.equal(p, q) for p, q in zip(mine.parameters(), wanted.parameters(), strict=True))


def test_an_idle_engine_takes_no_processor_time(thread: EngineThread) -> None:
    async def main() -> None:
        await _ids(thread, Request(_prompt(5), 5))
        await _until(lambda: _idle(thread))
        started = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - started < 0.1

    asyncio.run(main())


def test_the_server_says_that_its_engine_failed_and_refuses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = open_service(folder, max_batch=2, max_length=200)

    async def main() -> list[tuple[int, str]]:
        app = httpx.ASGITransport(make_app(service), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=app, base_url="http://test") as client:

            async def ask() -> httpx.Response:
                return await client.post("/v1/completions", json={"model": "tiny", "prompt": "cat", "max_tokens": 9})

            assert (await client.get("/health")).status_code == (await ask()).status_code == 200

            def step() -> Any:
                raise MemoryError("no more")

            monkeypatch.setattr(service.engine, "step", step)
            answers = await asyncio.wait_for(asyncio.gather(ask(), ask()), 20)
            answers += [await ask(), await client.get("/health")]
        return [(answer.status_code, answer.json()["error"]["message"]) for answer in answers]

    assert asyncio.run(main()) == [(503, "the engine failed: MemoryError: no more")] * 4
    service.close()
