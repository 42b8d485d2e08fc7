"""Who samples rollouts: our engine on the weights in training, on their INT4 twin, or a server they are pushed to."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from agents.chat.losses import Losses
from agents.chat.protocol import ChatError, ChatRefusal
from agents.chat.redact import public, redact, secrets_of
from agents.chat.sse import event_data
from k2model.chat.model_json import ModelJsonError, loads_model_json
from k2model.chat.tokenizer import K2Tokenizer
from k2model.formats.checkpoint import save_checkpoint
from k2model.inference.generate import Engine
from k2model.inference.int4_experts import int4_twin, refresh_experts
from k2model.inference.request import Generated, Request
from k2model.model import K2Model
from k2model.training.engine import TrainEngine
from stages.rl.params import RolloutParams
from stages.rl.rollout import Backend

OpenBackend = Callable[[K2Model, K2Tokenizer, int, int], Backend]  # the network, rollouts at once, tokens of one


def colocated(model: K2Model, tokenizer: K2Tokenizer, max_batch: int, context: int) -> Backend:
    """Our engine, on the weights that are being trained.

    Each iteration's sampling has one of its own, whose cache is freed at its end: the turns of a rollout are read once,
    and nothing of it outlives the weights.
    """
    return Engine(model, tokenizer, max_batch=max_batch, max_length=context, reuse_prefixes=True)


class Int4Rollouts:
    """Our engine on the INT4 twin of the weights in training; the experts are quantized anew each iteration."""

    def __init__(self) -> None:
        self._twin: K2Model | None = None

    def __call__(self, model: K2Model, tokenizer: K2Tokenizer, max_batch: int, context: int) -> Backend:
        if self._twin is None:
            self._twin = int4_twin(model)
        else:
            refresh_experts(self._twin, model)
        return colocated(self._twin, tokenizer, max_batch, context)


class RolloutError(RuntimeError):
    """The rollout server failed, refused too much, or left out what training needs; one line that names it."""


class _Refused(RolloutError):
    """The server will not answer this request; others may go on."""


REFUSALS = frozenset({400, 413, 422})  # statuses that are about one request


@dataclass(frozen=True)
class ServerRollouts:
    """An OpenAI-compatible server, for clusters: weights are pushed to it before each iteration's sampling.

    They are written to `folder`, which the server must be able to read, and it is told the path: vLLM by
    `/collective_rpc`, which it has in its development mode, others by `/update_weights_from_disk` (SGLang's name; ours
    has it). Sampling is by `/v1/completions` with token ids in both directions (`return_token_ids`, as in vLLM).
    """

    url: str
    folder: Path
    losses: Losses = field(default_factory=Losses)
    timeout_s: float = 600.0

    def write(self, engine: TrainEngine) -> None:
        """Writes the weights to push, one parameter after the other. All ranks call it."""
        if engine.leads:
            save_checkpoint(engine.model, self.folder, tensors=engine.tensors())
        else:
            engine.attend()

    def __call__(self, model: K2Model, tokenizer: K2Tokenizer, max_batch: int, context: int) -> Backend:
        with httpx.Client(base_url=self.url, timeout=self.timeout_s, trust_env=False) as client:
            served = _served(client)
            folder = str(self.folder.resolve())
            if served.get("owned_by") == "vllm":
                _post(client, "/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": folder}}, VLLM)
                _post(client, "/reset_prefix_cache", {}, VLLM)
            else:
                _post(client, "/update_weights_from_disk", {"model_path": folder})
        return ServerBackend(self.url, str(served["id"]), max_batch, self.timeout_s, self.losses)


VLLM = "; vLLM has it when it is started with VLLM_SERVER_DEV_MODE=1"


def _post(client: httpx.Client, path: str, body: dict[str, Any], missing: str = "") -> httpx.Response:
    """`missing`: what a server that lacks the route is said to need."""
    try:
        response = client.post(path, json=body)
    except httpx.HTTPError as error:
        raise RolloutError(f"rollout server {client.base_url}{path}: {error or type(error).__name__}") from None
    if response.status_code != 200:
        why = missing if response.status_code == 404 else ""
        told = redact(response.text)
        raise RolloutError(f"rollout server {client.base_url}{path}: {response.status_code} {told}{why}")
    return response


def _served(client: httpx.Client) -> dict[str, Any]:
    """What the server says about its model: `id`, and `owned_by` of some."""
    try:
        response = client.get("/v1/models")
    except httpx.HTTPError as error:
        raise RolloutError(f"rollout server {client.base_url}/v1/models: {error or type(error).__name__}") from None
    try:
        served = loads_model_json(response.text)["data"][0]
        return {"id": served["id"], "owned_by": served.get("owned_by")}
    except (ModelJsonError, KeyError, IndexError, TypeError, AttributeError):
        raise RolloutError(f"rollout server {client.base_url}/v1/models: no model is listed") from None


class ServerBackend:
    """Requests in flight on a server, up to `concurrency` at once; each streams, so that an interrupt loses nothing."""

    def __init__(self, url: str, model: str, concurrency: int, timeout_s: float, losses: Losses | None = None) -> None:
        self.url, self.model, self.timeout_s, self.losses = public(url), model, timeout_s, losses or Losses()
        self.sampled = 0
        self._client = httpx.Client(
            base_url=url, timeout=timeout_s, trust_env=False, limits=httpx.Limits(max_connections=concurrency)
        )
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="rollout")
        self._news: queue.SimpleQueue[tuple[int, Generated | Exception]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._open: set[int] = set()
        self._next = 0

    def submit(self, request: Request) -> int:
        """Sends a request as soon as one of the places is free."""
        handle = self._next
        self._next += 1
        self._open.add(handle)
        self.losses.asked += 1
        self._pool.submit(self._run, handle, request)
        return handle

    def step(self) -> list[tuple[int, Generated]]:
        """Waits for the next finished request; one that the server refused ends as `refused`.

        Raises:
            RolloutError: the server failed it, or has refused too many.
        """
        handle, item = self._news.get()
        self._open.discard(handle)
        if isinstance(item, Exception):
            if not isinstance(item, _Refused):
                self.interrupt()
                raise item
            self._lose(item)
            item = Generated(0, finish_reason="refused")
        else:
            self.losses.answered += 1
        return [(handle, item)]

    def _lose(self, refusal: _Refused) -> None:
        try:
            self.losses.note(ChatRefusal("refused", str(refusal)))
        except ChatError as error:
            self.interrupt()
            raise RolloutError(str(error)) from None

    def interrupt(self) -> list[tuple[int, Generated]]:
        """Ends everything in flight and gives what it has so far."""
        self._stop.set()
        self._pool.shutdown(wait=True)
        results = []
        while self._open:
            handle, item = self._news.get()
            self._open.discard(handle)
            if isinstance(item, Generated):
                results.append((handle, item))
        self._client.close()
        return sorted(results, key=lambda pair: pair[0])

    def _run(self, handle: int, request: Request) -> None:
        result = Generated(len(request.prompt), finish_reason="interrupted")
        try:
            self._sample(request, result)
        except httpx.HTTPError as error:
            problem = redact(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
            self._news.put((handle, RolloutError(f"rollout server {self.url}/v1/completions: {problem}")))
        except Exception as error:  # noqa: BLE001 — raised again by `step`: a worker's exception is never lost
            self._news.put((handle, error))
        else:
            self._news.put((handle, result))

    def _sample(self, request: Request, result: Generated) -> None:
        if self._stop.is_set():
            return
        body = {
            "model": self.model,
            "prompt": list(request.prompt),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
            "stop_token_ids": sorted(request.stop_ids),
            "logprobs": 0,
            "return_token_ids": True,
            "stream": True,
        }
        with self._client.stream("POST", "/v1/completions", json=body) as response:
            if response.status_code != 200:
                told = redact(response.read().decode("utf-8", "replace"))
                kind = _Refused if response.status_code in REFUSALS else RolloutError
                raise kind(f"rollout server {self.url}: {response.status_code} {told}")
            patience = _Patience(self.timeout_s, self.url)
            for data in event_data(patience.chunks(response.iter_bytes())):
                ids, logprobs, finish = _tokens(data, self.url)
                if ids:
                    patience.renew()
                result.ids += ids
                result.logprobs += logprobs
                self.sampled += len(ids)
                if finish:
                    result.finish_reason = finish
                    return
                if self._stop.is_set():
                    return
        raise RolloutError(f"rollout server {self.url}: the stream ended without a finish reason")


def open_backend(p: RolloutParams, work: Path) -> OpenBackend:
    """Who samples, by the parameters; `work` is where pushed weights lie."""
    if p.backend == "server":
        return ServerRollouts(p.url, work / "pushed", Losses(p.max_failed_share))
    return Int4Rollouts() if p.backend == "int4" else colocated


def check_mismatch(p: RolloutParams, mismatch: float) -> None:
    """Of the log-probabilities of an iteration's rollouts, in nats a token.

    Raises:
        RolloutError: a server's are so far off the policy's that it must have sampled from other weights.
    """
    if p.backend == "server" and not mismatch <= p.max_mismatch:
        raise RolloutError(
            f"rollout server {public(p.url)}: its log-probabilities are {mismatch:.3g} nats a token off the policy's "
            f"(rl.rollouts.max_mismatch is {p.max_mismatch:g}): it has other weights, or gives those before temperature"
        )


def _tokens(data: str, url: str) -> tuple[list[int], list[float], str]:
    """(ids, log-probabilities, finish reason or "") of one event; an event about nothing has none.

    Raises:
        RolloutError: an error of the server, or a form that training can't use.
    """
    try:
        event = loads_model_json(data)
    except ModelJsonError as error:
        raise RolloutError(f"rollout server {url}: an event that is {error}") from None
    if not isinstance(event, dict):
        raise RolloutError(f"rollout server {url}: an event that is {type(event).__name__}")
    if fault := event.get("error"):
        told = fault.get("message") if isinstance(fault, dict) else fault
        raise RolloutError(f"rollout server {url}: {redact(str(told), secrets_of(url))}")
    choices = event.get("choices") or []
    choice = choices[0] if isinstance(choices, list) and choices else {}
    if not isinstance(choice, dict):
        raise RolloutError(f"rollout server {url}: a choice that is {type(choice).__name__}")
    scored = choice.get("logprobs")
    ids = choice.get("token_ids") or []
    logprobs = (scored.get("token_logprobs") if isinstance(scored, dict) else None) or []
    if not isinstance(ids, list) or not isinstance(logprobs, list):
        raise RolloutError(f"rollout server {url}: tokens or log-probabilities that are no list")
    if len(ids) != len(logprobs):
        raise RolloutError(f"rollout server {url}: {len(ids)} tokens with {len(logprobs)} logprobs")
    if not all(type(token) is int for token in ids) or not all(type(value) in (int, float) for value in logprobs):
        raise RolloutError(f"rollout server {url}: tokens or log-probabilities that are no numbers")
    return ids, logprobs, str(choice.get("finish_reason") or "")


class _Patience:
    """How long a stream may go on without a token, whatever else it sends.

    Raises:
        RolloutError: from `chunks`, when that time has passed.
    """

    def __init__(self, seconds: float, url: str) -> None:
        self.seconds, self.url = seconds, url
        self.renew()

    def renew(self) -> None:
        self.last = time.monotonic()

    def chunks(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in stream:
            if time.monotonic() - self.last > self.seconds:
                raise RolloutError(f"rollout server {self.url}: no token in {self.seconds:g} s")
            yield chunk
