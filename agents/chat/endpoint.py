"""Any OpenAI-compatible endpoint, over httpx: many requests in flight, limits kept, only what may pass tried again."""

import asyncio
import json
import os
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from agents.chat.protocol import BudgetExceeded, ChatError, ChatRequest, ChatResponse, OnResponse, request_key

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
LONGEST_PAUSE_S = 300.0
CHARS_PER_TOKEN = 3  # a cautious guess, until the endpoint says how many there were


@dataclass(frozen=True)
class EndpointOptions:
    """How an endpoint is used.

    Attributes:
        model: the endpoint's name of the model.
        key_variable: the environment variable that holds the API key; unset or empty means none.
        concurrency: requests in flight.
        timeout_s: for one answer.
        retries: after the first try, of what may pass: time-outs, broken connections, answers that are no JSON,
            and statuses 408, 409, 425, 429 and 5xx.
        backoff_s: the first pause; each further one may be twice as long, a random share of it is slept.
        budget_tokens, budget_usd: 0 is no limit. A request starts only when its largest possible answer still fits.
        usd_per_million_in, usd_per_million_out: the price of tokens.
    """

    model: str
    key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 500
    timeout_s: float = 120.0
    retries: int = 6
    backoff_s: float = 0.5
    budget_tokens: int = 0
    budget_usd: float = 0.0
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0


class _MayPass(Exception):
    """A failure that another try may not meet; `after_s` is the pause that the endpoint asked for."""

    def __init__(self, what: str, after_s: float = 0.0) -> None:
        super().__init__(what)
        self.after_s = after_s


class _Budget:
    def __init__(self, options: EndpointOptions) -> None:
        self.options = options
        self.tokens = 0
        self.usd = 0.0
        self.in_flight = 0

    def _price(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.options.usd_per_million_in + tokens_out * self.options.usd_per_million_out) / 1e6

    async def reserve(self, tokens_in: int, tokens_out: int) -> None:
        """Takes the largest cost of a request out of the budget; waits for answers in flight to give back theirs."""
        o = self.options
        while True:
            tokens, usd = self.tokens + tokens_in + tokens_out, self.usd + self._price(tokens_in, tokens_out)
            too_many = bool(o.budget_tokens) and tokens > o.budget_tokens
            too_dear = bool(o.budget_usd) and usd > o.budget_usd
            if not too_many and not too_dear:
                break
            if not self.in_flight:
                limit = f"{tokens:,} of {o.budget_tokens:,} tokens" if too_many else f"{usd:.4f} of {o.budget_usd} USD"
                raise BudgetExceeded(f"budget: the next request could reach {limit}")
            await asyncio.sleep(0.02)
        self.in_flight += 1
        self.tokens, self.usd = tokens, usd

    def settle(self, reserved: tuple[int, int], used: tuple[int, int]) -> None:
        self.in_flight -= 1
        self.tokens += sum(used) - sum(reserved)
        self.usd += self._price(*used) - self._price(*reserved)


class EndpointClient:
    """POST {url}/chat/completions for every request.

    The API key is read from the environment when a request is sent and stands nowhere else. When a request fails for
    good, or the budget ends, no further one starts; those in flight are still delivered, then the error is raised.

    Args:
        url: up to and with the version, such as `http://127.0.0.1:8000/v1`.
    """

    def __init__(self, url: str, options: EndpointOptions) -> None:
        self.url, self.options = url.rstrip("/"), options
        self.model = f"{self.url}#{options.model}"
        self._budget = _Budget(options)
        self._open_at = 0.0  # time.monotonic() before which nothing is sent: the endpoint asked for a pause

    @property
    def spent_tokens(self) -> int:
        return self._budget.tokens

    @property
    def spent_usd(self) -> float:
        return self._budget.usd

    def complete(self, requests: Sequence[ChatRequest], on_response: OnResponse | None = None) -> list[ChatResponse]:
        """Answers in the order of the requests; not to be called from a running event loop.

        Raises:
            ChatError: refused, or failed at every try.
            BudgetExceeded: the next request wouldn't fit.
        """
        return asyncio.run(self._complete(requests, on_response))

    async def _complete(self, requests: Sequence[ChatRequest], on_response: OnResponse | None) -> list[ChatResponse]:
        answers: dict[int, ChatResponse] = {}
        failures: list[ChatError] = []
        todo = iter(enumerate(requests))
        workers = min(self.options.concurrency, len(requests))
        key = os.environ.get(self.options.key_variable, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        context = httpx.create_ssl_context()

        async def work() -> None:
            # One connection each: a pool of httpcore looks through all its connections at every request.
            limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
            timeout = self.options.timeout_s
            async with httpx.AsyncClient(limits=limits, timeout=timeout, headers=headers, verify=context) as http:
                for place, request in _until_failure(todo, failures):
                    try:
                        answers[place] = await self._ask(http, request)
                    except ChatError as error:
                        failures.append(error)
                        return
                    if on_response is not None:
                        on_response(place, answers[place])

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
        if failures:
            raise failures[0]
        return [answers[place] for place in range(len(requests))]

    async def _ask(self, http: httpx.AsyncClient, request: ChatRequest) -> ChatResponse:
        body = self._body(request)
        reserved = len(json.dumps(body["messages"])) // CHARS_PER_TOKEN, request.max_tokens
        await self._budget.reserve(*reserved)
        used = (0, 0)
        try:
            for attempt in range(self.options.retries + 1):
                await self._wait_open()
                try:
                    answer = await self._post(http, body, request_key(self.model, request))
                except _MayPass as error:
                    if attempt == self.options.retries:
                        raise ChatError(f"{self.url}: {error}, {attempt + 1} tries") from None
                    if error.after_s:
                        self._open_at = max(self._open_at, time.monotonic() + error.after_s)
                    pause = min(self.options.backoff_s * 2**attempt, LONGEST_PAUSE_S)
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                else:
                    used = answer.prompt_tokens or reserved[0], answer.completion_tokens or reserved[1]
                    return answer
            raise AssertionError("unreachable")
        finally:
            self._budget.settle(reserved, used)

    async def _wait_open(self) -> None:
        while (left := self._open_at - time.monotonic()) > 0:
            await asyncio.sleep(left + random.uniform(0.0, 0.05))

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.options.model,
            "messages": [dict(message) for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
        }
        if request.messages and request.messages[-1].get("role") == "assistant":
            body |= {"continue_final_message": True, "add_generation_prompt": False}  # vLLM's and SGLang's prefill
        if request.stop:
            body["stop"] = list(request.stop)
        if request.tools:
            body["tools"] = [dict(tool) for tool in request.tools]
        if request.response_schema is not None:
            schema = {"name": "answer", "schema": request.response_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    async def _post(self, http: httpx.AsyncClient, body: Mapping[str, Any], key: str) -> ChatResponse:
        try:
            response = await http.post(f"{self.url}/chat/completions", json=body, headers={"Idempotency-Key": key})
        except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise _MayPass(f"{type(error).__name__}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ChatError(f"{self.url}: {type(error).__name__}: {error}") from None
        pause = _asked_pause(response.headers)
        if response.status_code in PASSING:
            raise _MayPass(f"status {response.status_code}", pause)
        if response.status_code != 200:
            raise ChatError(f"{self.url}: status {response.status_code}: {self._harmless(response.text)}")
        if pause:
            self._open_at = max(self._open_at, time.monotonic() + pause)
        try:
            return _parse(response.json())
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise _MayPass(f"an answer that is no chat completion ({type(error).__name__})") from None

    def _harmless(self, text: str) -> str:
        """The beginning of an error's text, one line; some endpoints repeat the API key in it."""
        if key := os.environ.get(self.options.key_variable, ""):
            text = text.replace(key, "[key]")
        return re.sub(r"\b(sk|key|Bearer)[-_ ][\w*.-]{6,}", "[key]", " ".join(text.split()))[:200]


def _until_failure(
    todo: Iterator[tuple[int, ChatRequest]], failures: Sequence[ChatError]
) -> Iterator[tuple[int, ChatRequest]]:
    while not failures and (one := next(todo, None)) is not None:
        yield one


def _parse(value: Any) -> ChatResponse:
    choice = value["choices"][0]
    message = choice["message"]
    usage = value.get("usage") or {}
    text = message.get("content") or ""
    calls = tuple(message.get("tool_calls") or ())
    named = all(isinstance(call["function"]["name"], str) and "arguments" in call["function"] for call in calls)
    if not isinstance(text, str) or not named:
        raise TypeError("content")
    return ChatResponse(
        text,
        reasoning=message.get("reasoning_content") or message.get("reasoning") or "",
        tool_calls=calls,
        prompt_tokens=int(usage.get("prompt_tokens", 0)),
        completion_tokens=int(usage.get("completion_tokens", 0)),
        finish_reason=choice.get("finish_reason") or "stop",
    )


def _asked_pause(headers: Mapping[str, str]) -> float:
    """Seconds to wait before the next request, from Retry-After and the x-ratelimit-* headers; 0 is none."""
    pause = 0.0
    if after := headers.get("retry-after-ms"):
        pause = _number(after) / 1000
    elif after := headers.get("retry-after"):
        pause = _number(after) or _until(after)
    for what in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{what}", "").strip() == "0":
            pause = max(pause, _duration(headers.get(f"x-ratelimit-reset-{what}", "")))
    return min(max(pause, 0.0), LONGEST_PAUSE_S)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _until(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return 0.0


def _duration(text: str) -> float:
    """Seconds of `6m0s`, `1.5s`, `20ms` or a bare number."""
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", text)
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(_number(value) * unit[name] for value, name in parts) if parts else _number(text)
