"""A request that fails, leaves or is long changes nothing for the others."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from k2model.errors import ConfigError
from k2model.inference.generate import Engine
from k2model.inference.request import Generated, Request, RequestFailed
from k2model.model import K2Model
from tests.k2model.inference.poisoned import POISON, poisoned, safe_tokens

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> K2Model:
    return poisoned(1)


def _neighbours() -> list[Request]:
    """None of them can sample the poison."""
    safe: dict[str, Any] = {"logit_bias": {POISON: -100.0}}
    return [
        Request(safe_tokens(5, 1), 20, temperature=0.0, **safe),
        Request(safe_tokens(90, 2), 20, temperature=1.0, seed=3, **safe),
        Request(safe_tokens(33, 3), 20, temperature=0.7, top_p=0.8, seed=4, **safe),
        Request(safe_tokens(33, 3), 20, temperature=0.9, top_k=7, seed=5, **safe),
    ]


class Raises:
    """A constraint that fails at a token, in one of its ways."""

    def __init__(self, at: int, where: str, error: BaseException) -> None:
        self.at, self.where, self.error, self.count = at, where, error, 0

    def _maybe(self, where: str) -> None:
        if where == self.where and self.count >= self.at:
            raise self.error

    def allowed(self) -> torch.Tensor:
        self._maybe("allowed")
        return torch.full((256,), not (self.where == "nothing" and self.count >= self.at))

    def accept(self, token: int) -> None:
        self.count += 1
        self._maybe("accept")

    def finished(self) -> bool:
        self._maybe("finished")
        return False

    def forced(self) -> bool:
        return False


class Panic(BaseException):
    """What a Rust library raises when it panics is no Exception."""


def _run(engine: Engine, requests: list[Request]) -> tuple[dict[int, Generated], dict[int, RequestFailed]]:
    """(results, failures) by place."""
    place_of = {engine.submit(request): place for place, request in enumerate(requests)}
    results: dict[int, Generated] = {}
    failures: dict[int, RequestFailed] = {}
    while engine.busy:
        try:
            results |= {place_of[handle]: result for handle, result in engine.step()}
        except RequestFailed as failure:
            failures[place_of[failure.handle]] = failure
    return results, failures


def _idle(engine: Engine, rows: int) -> None:
    assert not (engine.active or engine.waiting or engine._reading or engine._finished or engine._failed)
    assert sorted(engine.free) == list(range(rows))
    assert bool(engine.cached.cache_LSTX.isfinite().all())


OFFENDERS: dict[str, tuple[Callable[[], Request], type[BaseException], str]] = {
    "mask raises": (
        lambda: Request(safe_tokens(9), 20, constraint=Raises(3, "allowed", KeyError("rule"))),
        KeyError,
        "KeyError: 'rule'",
    ),
    "first mask raises": (
        lambda: Request(safe_tokens(9), 20, constraint=Raises(0, "allowed", ConfigError("tools: endless"))),
        ConfigError,
        "tools: endless",
    ),
    "accept raises": (
        lambda: Request(safe_tokens(9), 20, constraint=Raises(4, "accept", ConfigError("token 3 is not allowed here"))),
        ConfigError,
        "token 3 is not allowed here",
    ),
    "library panics": (
        lambda: Request(safe_tokens(9), 20, constraint=Raises(2, "finished", Panic("index out of bounds"))),
        Panic,
        "Panic: index out of bounds",
    ),
    "nothing is allowed": (
        lambda: Request(safe_tokens(9), 20, constraint=Raises(5, "nothing", KeyError())),
        ConfigError,
        "request: its constraint allows no token",
    ),
    "prompt is NaN": (
        lambda: Request([*safe_tokens(40), POISON, 3], 20),
        FloatingPointError,
        "FloatingPointError: the model's logits are not finite",
    ),
    "the second token is NaN": (
        lambda: Request(safe_tokens(40), 20, temperature=0.0, logit_bias={POISON: 100.0}),
        FloatingPointError,
        "FloatingPointError: the model's logits are not finite",
    ),
}


@pytest.mark.parametrize("chunk", [16, 512])
@pytest.mark.parametrize("name", OFFENDERS)
def test_a_request_that_fails_fails_alone_and_leaves_nothing(model: K2Model, name: str, chunk: int) -> None:
    make, kind, message = OFFENDERS[name]
    neighbours = _neighbours()
    alone = [Engine(model, max_batch=1, max_length=200).generate([request])[0] for request in neighbours]
    for rows, bound in ((6, None), (2, 64)):
        engine = Engine(model, max_batch=rows, max_length=200, prefill_chunk=chunk, prefill_tokens=bound)
        results, failures = _run(engine, [make(), *neighbours[:2], make(), *neighbours[2:]])
        assert sorted(failures) == [0, 3]
        for failure in failures.values():
            assert isinstance(failure.__cause__, kind)
            assert str(failure) == message
        assert [results[place].ids for place in (1, 2, 4, 5)] == [result.ids for result in alone]
        _idle(engine, rows)
        again, none = _run(engine, neighbours)
        assert [again[place].ids for place in range(4)] == [result.ids for result in alone]
        assert not none


def test_a_forward_pass_that_fails_for_one_row_fails_that_one(model: K2Model, monkeypatch: pytest.MonkeyPatch) -> None:
    neighbours = _neighbours()
    alone = [Engine(model, max_batch=1, max_length=200).generate([request])[0] for request in neighbours]
    heavy = min(set(range(POISON)) - {token for result in alone for token in result.ids})
    engine = Engine(model, max_batch=6, max_length=200)
    plain = engine.cached.read

    def read(pieces: list[list[int]], starts: list[int], rows: list[int]) -> torch.Tensor:
        if any(piece[-1] == heavy for piece in pieces):
            raise RuntimeError("out of memory")
        return plain(pieces, starts, rows)

    monkeypatch.setattr(engine.cached, "read", read)
    endless = Request(safe_tokens(3), 5, temperature=0.0, logit_bias={heavy: 100.0})
    results, failures = _run(engine, [Request([1, heavy], 5), *neighbours[:3], endless, neighbours[3]])
    assert sorted(failures) == [0, 4]
    assert {str(failure) for failure in failures.values()} == {"RuntimeError: out of memory"}
    assert [results[place].ids for place in (1, 2, 3, 5)] == [result.ids for result in alone]
    _idle(engine, 6)


def test_generate_raises_for_a_failed_request_and_can_be_used_again(model: K2Model) -> None:
    engine = Engine(model, max_batch=2, max_length=200)
    bad = OFFENDERS["accept raises"][0]()
    with pytest.raises(RequestFailed, match="token 3 is not allowed here"):
        engine.generate([*_neighbours(), bad])
    _idle(engine, 2)
    alone = [Engine(model, max_batch=1, max_length=200).generate([request])[0].ids for request in _neighbours()]
    assert [result.ids for result in engine.generate(_neighbours())] == alone


@pytest.mark.parametrize("bound", [1, 20, 64, 200, None])
def test_pieces_of_a_prompt_give_the_same_tokens(model: K2Model, bound: int | None) -> None:
    requests = [*_neighbours(), Request(safe_tokens(150, 7), 10, temperature=0.0, logit_bias={POISON: -100.0})]
    whole = [Engine(model, max_batch=1, max_length=200).generate([request])[0] for request in requests]
    engine = Engine(model, max_batch=3, max_length=200, prefill_chunk=16, prefill_tokens=bound)
    pieces = engine.generate(requests)
    assert [result.ids for result in pieces] == [result.ids for result in whole]
    for mine, theirs in zip(pieces, whole, strict=True):
        assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)


def test_others_go_on_while_a_long_prompt_is_read(model: K2Model) -> None:
    engine = Engine(model, max_batch=3, max_length=1024, prefill_chunk=32, prefill_tokens=32)
    first = engine.submit(Request(safe_tokens(4, 1), 60, temperature=0.0, logit_bias={POISON: -100.0}))
    engine.step()
    long = engine.submit(Request(safe_tokens(900, 2), 2, temperature=0.0, logit_bias={POISON: -100.0}))
    short = engine.submit(Request(safe_tokens(6, 3), 2, temperature=0.0, logit_bias={POISON: -100.0}))
    done: dict[int, int] = {}
    counts = []
    for step in range(200):
        before = len(engine.partial()[first].ids) if first in engine.partial() else 60
        done |= {handle: step for handle, _ in engine.step()}
        counts.append((len(engine.partial()[first].ids) if first in engine.partial() else 60) - before)
        if len(done) == 3:
            break
    assert done[short] < 4 < done[long] == pytest.approx(900 / 32, abs=3)
    assert set(counts[:25]) == {1}


@pytest.mark.parametrize("when", ["waiting", "reading", "decoding"])
def test_a_cancelled_request_leaves_no_work_behind(model: K2Model, when: str) -> None:
    engine = Engine(model, max_batch=2, max_length=1024, prefill_chunk=32, prefill_tokens=32)
    others = _neighbours()[:2] if when == "waiting" else _neighbours()[:1]
    handles = [engine.submit(request) for request in others]
    for _ in range(6):
        engine.step()
    long = engine.submit(Request(safe_tokens(600, 2), 30))
    for _ in range({"waiting": 0, "reading": 3, "decoding": 24}[when]):
        handles = [handle for handle in handles if handle not in dict(engine.step())]
    engine.cancel(long)
    engine.cancel(long)
    assert long not in engine.partial()
    assert not engine.waiting
    while engine.busy:
        assert long not in dict(engine.step())
    _idle(engine, 2)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_of_equal_prompts_one_may_leave_while_they_are_read(model: K2Model, left: int) -> None:
    requests = [
        Request(safe_tokens(300, 5), 8, temperature=1.0, seed=seed, logit_bias={POISON: -100.0}) for seed in range(3)
    ]
    alone = [Engine(model, max_batch=1, max_length=400).generate([request])[0].ids for request in requests]
    engine = Engine(model, max_batch=4, max_length=400, prefill_chunk=32, prefill_tokens=32)
    handles = [engine.submit(request) for request in requests]
    for _ in range(4):
        engine.step()
    engine.cancel(handles[left])
    late = engine.submit(requests[left])
    results: dict[int, Generated] = {}
    while engine.busy:
        results |= dict(engine.step())
    assert sorted(results) == sorted({*handles, late} - {handles[left]})
    for handle, ids in zip([*handles, late], [*alone, alone[left]], strict=True):
        assert handle == handles[left] or results[handle].ids == ids
    _idle(engine, 4)


def test_prompt_logprobs_do_not_depend_on_pieces_or_on_who_asks(model: K2Model) -> None:
    prompt = safe_tokens(150, 7)
    asked = [Request(prompt, 2, temperature=0.0, prompt_logprobs=top) for top in (2, None, 0, 2)]
    engine = Engine(model, max_batch=4, max_length=200, prefill_chunk=32, prefill_tokens=40)
    results = engine.generate(asked)
    (whole,) = Engine(model, max_batch=1, max_length=200).generate([asked[0]])
    assert [len(result.prompt_logprobs) for result in results] == [149, 0, 149, 149]
    assert [len(result.prompt_top) for result in results] == [149, 0, 0, 149]
    assert results[0].prompt_logprobs == pytest.approx(whole.prompt_logprobs, abs=1e-4)
    assert len({tuple(result.ids) for result in results}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_batch": 0}, "max_batch: 0 is below 1"),
        ({"max_batch": -4}, "max_batch: -4 is below 1"),
        ({"max_length": 0}, "max_length: 0 is below 1"),
        ({"max_length": -1}, "max_length: -1 is below 1"),
        ({"max_length": 1025}, "max_length: 1025 exceeds max_position_embeddings 1024"),
        ({"prefill_chunk": 0}, "prefill_chunk: 0 is below 1"),
        ({"prefill_tokens": 0}, "prefill_tokens: 0 is below 1"),
    ],
    ids=str,
)
def test_options_that_cannot_work_are_refused(model: K2Model, options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Engine(model, **options)
