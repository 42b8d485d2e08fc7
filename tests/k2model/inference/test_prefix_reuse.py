"""Prefixes that are reused change no token, are read once, and are never of other weights."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from k2model.config import K2Config
from k2model.formats.quant import to_bfloat16
from k2model.inference.decode import prepare
from k2model.inference.generate import Engine
from k2model.inference.request import Generated, Request, RequestFailed
from k2model.model import K2Model
from kernels.int4 import native
from tests.k2model.inference.poisoned import POISON, SAFE, poisoned, safe_tokens

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> K2Model:
    return poisoned(1)


def _greedy(prompt: Sequence[int], max_tokens: int = 4, **options: Any) -> Request:
    return Request(prompt, max_tokens, temperature=0.0, **({"logit_bias": SAFE} | options))


def _alone(model: K2Model, request: Request) -> list[int]:
    """What an engine without a past generates."""
    return Engine(model, max_batch=1).generate([request])[0].ids


def _engine(model: K2Model, rows: int, bound: int | None = None, chunk: int = 32) -> Engine:
    return Engine(model, max_batch=rows, prefill_chunk=chunk, prefill_tokens=bound, reuse_prefixes=True)


def _drain(engine: Engine) -> dict[int, Generated]:
    done: dict[int, Generated] = {}
    while engine.busy:
        done |= dict(engine.step())
    return done


class Breaks:
    """A constraint that fails after some tokens."""

    def __init__(self, after: int) -> None:
        self.left = after

    def allowed(self) -> torch.Tensor:
        if not self.left:
            raise KeyError("rule")
        return torch.arange(256) != POISON

    def accept(self, token: int) -> None:
        self.left -= 1

    def finished(self) -> bool:
        return False

    def forced(self) -> bool:
        return False


@pytest.mark.parametrize(("rows", "bound"), [(1, None), (2, 48), (3, None), (5, 32)])
def test_random_dialogues_get_the_tokens_that_they_get_alone(
    model: K2Model, rows: int, bound: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(rows)
    engine = _engine(model, rows, bound)
    passed, plain = 0, engine.cached.read

    def read(pieces: list[list[int]], starts: list[int], rows: list[int]) -> torch.Tensor:
        nonlocal passed
        passed += sum(map(len, pieces))
        return plain(pieces, starts, rows)

    monkeypatch.setattr(engine.cached, "read", read)
    systems = [safe_tokens(size, size) for size in (70, 20, 120)]
    dialogues = [[*rng.choice(systems), *safe_tokens(rng.randrange(1, 30), 100 + n)] for n in range(9)]
    running: dict[int, tuple[int, Request]] = {}
    turns, failed, cancelled, whole = [0] * 9, 0, 0, 0

    def ask(n: int) -> None:
        kind = rng.random()
        request = _greedy(dialogues[n], rng.randrange(1, 12))
        if kind < 0.1:
            request = _greedy(dialogues[n], 8, constraint=Breaks(rng.randrange(4)))
        elif kind < 0.2:
            request = _greedy([*dialogues[n], POISON, *safe_tokens(20, n)])
        elif kind < 0.3:
            request = _greedy(dialogues[n], 3, prompt_logprobs=0)
        running[engine.submit(request)] = n, request

    for n in range(9):
        ask(n)
    while running:
        finished: list[tuple[int, Generated]] = []
        try:
            finished = engine.step()
        except RequestFailed as failure:
            n, request = running.pop(failure.handle)
            failed += 1
            assert request.constraint is not None or POISON in request.prompt
            ask(n)
        for handle, result in finished:
            n, request = running.pop(handle)
            assert result.ids == _alone(model, request)
            assert len(result.prompt_logprobs) == (0 if request.prompt_logprobs is None else len(request.prompt) - 1)
            whole += len(request.prompt)
            dialogues[n] = [*dialogues[n], *result.ids, *safe_tokens(rng.randrange(1, 40), 7 * n + turns[n])]
            turns[n] += 1
            if turns[n] < 5 and len(dialogues[n]) < 900:
                ask(n)
        if running and rng.random() < 0.02:
            handle = rng.choice(list(running))
            if not any(handle == done for done, _ in engine._finished):
                engine.cancel(handle)
                cancelled += 1
                ask(running.pop(handle)[0])
    assert not engine.busy and sorted(engine.free) == list(range(rows))
    assert bool(engine.cached.cache_LSTX.isfinite().all())
    assert failed and cancelled
    assert engine.read + engine.reused >= whole
    assert engine.reused > (0.3 * whole if rows > 1 else 0)
    assert engine.read <= passed <= engine.read + engine.sampled


def test_each_turn_of_a_dialogue_reads_what_is_new(model: K2Model) -> None:
    engine = _engine(model, 2)
    dialogue = safe_tokens(100, 1)
    for turn in range(4):
        read, reused = engine.read, engine.reused
        (result,) = engine.generate([_greedy(dialogue, 10)])
        assert result.ids == _alone(model, _greedy(dialogue, 10))
        new = 10 + 30 if turn else 100  # the answer before, which was not read yet, and what follows it
        assert (engine.read - read, engine.reused - reused) == (new, len(dialogue) - new)
        assert result.cached_tokens == len(dialogue) - new
        dialogue = [*dialogue, *result.ids, *safe_tokens(30, turn)]


@pytest.mark.skipif(native.isa() == "torch", reason="no kernels for this machine")
def test_in_bfloat16_no_answer_depends_on_what_was_decoded_before() -> None:
    """Keys that were decoded are rounded otherwise than keys that are read; only the latter are reused."""
    config = K2Config.preset("laptop", vocab_size=256, num_hidden_layers=3, max_position_embeddings=1024)
    network = prepare(to_bfloat16(K2Model(config, seed=1)).eval())
    reusing, plain = (Engine(network, max_batch=1, prefill_chunk=256, reuse_prefixes=reuse) for reuse in (True, False))
    dialogue = safe_tokens(300, 1)
    for turn in range(5):
        (with_it,), (without,) = (engine.generate([_greedy(dialogue, 20)]) for engine in (reusing, plain))
        assert with_it.ids == without.ids
        assert with_it.logprobs == pytest.approx(without.logprobs, abs=5e-5)  # otherwise up to 2e-3
        dialogue = [*dialogue, *with_it.ids, *safe_tokens(20, turn)]
    assert reusing.read < plain.read / 3


def test_a_prompt_again_reads_its_last_token(model: K2Model) -> None:
    engine = _engine(model, 2)
    first, again = (engine.generate([_greedy(safe_tokens(60, 2), 6)])[0] for _ in range(2))
    assert first.ids == again.ids
    assert (first.cached_tokens, again.cached_tokens, engine.read) == (0, 59, 61)
    (scored,) = engine.generate([_greedy(safe_tokens(60, 2), 6, prompt_logprobs=1)])
    assert scored.ids == first.ids and len(scored.prompt_logprobs) == 59
    assert (scored.cached_tokens, engine.read) == (0, 121)


def test_dialogues_in_turns_keep_their_rows(model: K2Model) -> None:
    """As many dialogues as rows: each finds its own history, although the last tokens are other ones each time."""
    engine = _engine(model, 4)
    dialogues = [[*safe_tokens(50, 1), *safe_tokens(40, 10 + n)] for n in range(4)]
    for turn in range(3):
        before = engine.read
        results = engine.generate([_greedy(ids, 20) for ids in dialogues])
        if turn:
            assert engine.read - before == 4 * 25
        dialogues = [[*ids[:-5], *safe_tokens(25, 100 * turn + n)] for n, ids in enumerate(dialogues)]
    assert len(results) == 4


def test_without_the_option_nothing_is_reused(model: K2Model) -> None:
    engine = Engine(model, max_batch=2)
    for _ in range(2):
        engine.generate([_greedy(safe_tokens(60, 2))])
    engine.generate([_greedy([*safe_tokens(60, 2), token]) for token in (1, 2)])
    assert (engine.read, engine.reused) == (120 + 2 * 61, 0)


@pytest.mark.parametrize("bound", [None, 32])
def test_a_shared_prefix_is_read_once_while_others_go_on(model: K2Model, bound: int | None) -> None:
    shared = safe_tokens(300, 1)
    asked = [_greedy([*shared, *safe_tokens(20, 10 + n)], 5) for n in range(8)]
    engine = _engine(model, 12, bound)
    siblings = [engine.submit(request) for request in asked]
    other = engine.submit(_greedy(safe_tokens(10, 3), 5))
    done = dict(engine.step())
    assert other in engine.partial()
    assert [slot.handle for slot in engine.waiting] == siblings[1:]
    done |= _drain(engine)
    assert [done[handle].ids for handle in siblings] == [_alone(model, request) for request in asked]
    assert [done[handle].cached_tokens for handle in siblings] == [0, *[300] * 7]
    assert engine.read == 300 + 8 * 20 + 10
    assert engine.reused == 7 * 300


def test_what_is_shared_is_enough_to_go_on(model: K2Model) -> None:
    """A sibling enters as soon as the prefix is read, before the rest of the prompt that it waits for."""
    engine = _engine(model, 3, 32)
    shared = safe_tokens(64, 1)
    long = engine.submit(_greedy([*shared, *safe_tokens(500, 2)], 1))
    short = engine.submit(_greedy([*shared, *safe_tokens(5, 3)], 2))
    done: list[int] = []
    while len(done) < 2:
        done += [handle for handle, _ in engine.step()]
    assert done == [short, long]
    assert engine.read == 64 + 500 + 5


@pytest.mark.parametrize("steps", [1, 3])
def test_whoever_waits_goes_on_when_the_first_one_leaves(model: K2Model, steps: int) -> None:
    engine = _engine(model, 4, 32)
    shared = safe_tokens(200, 1)
    asked = [_greedy([*shared, *safe_tokens(9, 10 + n)]) for n in range(3)]
    first, *others = [engine.submit(request) for request in asked]
    for _ in range(steps):
        engine.step()
    engine.cancel(first)
    engine.step()
    assert others[0] in engine.partial() and others[1] not in engine.partial()
    done = _drain(engine)
    assert [done[handle].ids for handle in others] == [_alone(model, request) for request in asked[1:]]
    assert [done[handle].cached_tokens for handle in others] == [32 * steps, 200]


def test_whoever_waits_goes_on_when_another_reads_on(model: K2Model) -> None:
    """Of two who asked the same the first leaves, after it has read more than the third waits for."""
    engine = _engine(model, 3, 32)
    shared = safe_tokens(200, 1)
    first, second = (engine.submit(_greedy([*shared, *safe_tokens(100, 2)])) for _ in range(2))
    third = engine.submit(_greedy([*shared, 5, 6]))
    for _ in range(7):
        engine.step()
    assert third in {slot.handle for slot in engine.waiting}
    engine.cancel(first)
    done = _drain(engine)
    assert sorted(done) == [second, third]
    assert done[third].ids == _alone(model, _greedy([*shared, 5, 6]))
    assert done[third].cached_tokens == 200
    assert engine.read == 300 + 2


def test_only_those_who_came_before_are_waited_for(model: K2Model) -> None:
    engine = _engine(model, 4, 32)
    shared = safe_tokens(200, 1)
    first = engine.submit(_greedy([*shared, 1, 2]))
    second = engine.submit(_greedy([*shared, 3, 4]))
    third = engine.submit(_greedy([*shared, 5, 6], prompt_logprobs=0))  # it reuses nothing, so it does not wait
    engine.step()
    assert set(engine.partial()) == {first, third}
    engine.cancel(first)
    engine.step()
    assert set(engine.partial()) == {second, third}
    assert len(_drain(engine)) == 2


def test_equal_prompts_are_read_together_and_counted(model: K2Model) -> None:
    engine = _engine(model, 3)
    prompt = safe_tokens(50, 1)
    first, second = engine.generate([Request(prompt, 5, seed=seed, logit_bias=SAFE) for seed in (1, 2)])
    assert (first.cached_tokens, second.cached_tokens) == (0, 50)
    assert (engine.read, engine.reused) == (50, 50)


def test_what_failed_is_not_reused(model: K2Model) -> None:
    engine = _engine(model, 1)
    prompt = safe_tokens(60, 1)
    with pytest.raises(RequestFailed, match="not finite"):
        engine.generate([_greedy([*prompt, POISON])])
    assert engine.read == 61
    (result,) = engine.generate([_greedy([*prompt, 3])])
    assert result.ids == _alone(model, _greedy([*prompt, 3]))
    assert (result.cached_tokens, engine.read) == (0, 122)


def test_a_prompt_that_is_not_finite_fails_alone_with_what_it_shares(model: K2Model) -> None:
    """Its last token spoils all positions of its last piece, of which half belong to the shared prefix."""
    engine = _engine(model, 3, 32)
    shared = safe_tokens(80, 1)
    handles = [engine.submit(_greedy([*shared, token, *safe_tokens(40, 2)])) for token in (POISON, 5)]
    failed: list[int] = []
    done: dict[int, Generated] = {}
    while engine.busy:
        try:
            done |= dict(engine.step())
        except RequestFailed as failure:
            failed.append(failure.handle)
    assert failed == handles[:1]
    assert done[handles[1]].ids == _alone(model, _greedy([*shared, 5, *safe_tokens(40, 2)]))
    assert bool(engine.cached.cache_LSTX.isfinite().all())


@pytest.mark.parametrize("steps", [2, 40])
def test_what_was_cancelled_is_reused_as_far_as_it_came(model: K2Model, steps: int) -> None:
    engine = _engine(model, 1, 16, 16)
    prompt = safe_tokens(160, 1)
    handle = engine.submit(_greedy(prompt, 100))
    for _ in range(steps):
        engine.step()
    generated = list(engine.partial()[handle].ids)
    assert bool(generated) == (steps == 40)
    engine.cancel(handle)
    request = _greedy([*prompt, *generated, 7])
    (result,) = engine.generate([request])
    assert result.ids == _alone(model, request)
    assert result.cached_tokens == (160 if generated else 16 * steps)


def test_prefixes_of_old_weights_are_not_reused() -> None:
    model, request = poisoned(1), _greedy(safe_tokens(90, 1), 12)
    engine = _engine(model, 2)
    (before,) = engine.generate([request])
    model.load_state_dict(poisoned(2).state_dict())
    expected = _alone(model, request)
    assert expected != before.ids
    engine.forget()
    (after,) = engine.generate([request])
    assert (after.ids, after.cached_tokens) == (expected, 0)
    model.load_state_dict(poisoned(1).state_dict())
    (stale,) = engine.generate([request])  # nobody said so
    assert stale.ids != before.ids


def test_what_has_begun_is_not_forgotten(model: K2Model) -> None:
    engine = _engine(model, 2)
    handle = engine.submit(_greedy(safe_tokens(20, 1), 50))
    engine.step()
    with pytest.raises(RuntimeError, match="1 requests have begun"):
        engine.forget()
    engine.cancel(handle)
    engine.forget()
    (result,) = engine.generate([_greedy(safe_tokens(20, 1))])
    assert result.cached_tokens == 0
