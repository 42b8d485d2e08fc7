"""Any OpenAI-compatible endpoint, over httpx: many requests in flight, limits kept, only what may pass tried again."""

import asyncio
import json
import logging
import os
import random
import re
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from agents.chat.budget import Budget
from agents.chat.protocol import (
    ChatAnswer,
    ChatError,
    ChatRefusal,
    ChatRequest,
    ChatResponse,
    Dialog,
    OnAnswer,
    complete_by_dialogs,
    request_key,
)
from agents.chat.redact import public, redact, secrets_of
from agents.chat.reply import LONGEST_PAUSE_S, Malformed, MayPass, Unreachable, asked_pause, read_reply

CHARS_PER_TOKEN = 3  # a cautious guess, until the endpoint says how many there were


@dataclass(frozen=True)
class EndpointOptions:
    """How an endpoint is used.

    Attributes:
        model: the endpoint's name of the model, for a spec that names none.
        key_variable: the environment variable that holds the API key; unset or empty means none.
        concurrency: requests in flight.
        timeout_s: for one whole answer, whatever comes in between.
        retries: after the first try, of what may pass: time-outs, broken connections, answers that are no JSON,
            and statuses 408, 409, 425, 429 and 5xx. An answer in no known form is tried once more.
        backoff_s: the first pause; each further one may be twice as long, a random share of it is slept.
        budget_tokens, budget_usd: 0 is no limit. A request starts only when its largest possible answer still fits.
        usd_per_million_in, usd_per_million_out: the price of tokens.
        max_failed_share: of all requests may be refused or fail, see `agents.chat.losses`.
    """

    model: str = ""
    key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 500
    timeout_s: float = 120.0
    retries: int = 6
    backoff_s: float = 0.5
    budget_tokens: int = 0
    budget_usd: float = 0.0
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0
    max_failed_share: float = 0.2


@dataclass(frozen=True)
class Address:
    """Where completions are asked for; a user, password or key in it shows in no `repr`."""

    url: httpx.URL = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, text: str) -> "Address":
        """Of a URL up to and with the version; raises ChatError when it is none."""
        try:
            url = httpx.URL(text)
            address = url.copy_with(path=f"{url.path.rstrip('/')}/chat/completions", query=url.query or None)
        except (httpx.InvalidURL, ValueError, TypeError):
            address = None
        if address is None or not address.host:
            raise ChatError(f"{redact(public(text))}: no URL (what is special in a user or password is %-encoded)")
        return cls(address, secrets_of(text))


def api_key(variable: str) -> str:
    """The API key in the environment, empty for none; raises ChatError when no header can carry it."""
    key = os.environ.get(variable, "").strip() if variable else ""
    if not re.fullmatch(r"[\x20-\x7e]*", key):
        raise ChatError(f"{variable}: holds a character that no header can carry")
    return key


class EndpointClient:
    """POST {url}/chat/completions for every request.

    The API key is read from the environment when a request is sent and stands nowhere else. What is wrong with one
    request is its `ChatRefusal`. When all of them are concerned, or the budget ends, no further one starts; those in
    flight are still delivered, then the error is raised.

    Args:
        url: up to and with the version, such as `http://127.0.0.1:8000/v1`; a user, password or key in it is used, and
            is no part of the model's identity.

    Raises:
        ChatError: it is no URL.
    """

    def __init__(self, url: str, options: EndpointOptions) -> None:
        self.url, self.options = public(url).rstrip("/"), options
        self.model = f"{self.url}#{options.model}"
        self._address = Address.of(url)
        o = options
        self._budget = Budget(o.budget_tokens, o.budget_usd, o.usd_per_million_in, o.usd_per_million_out)
        self._open_at = 0.0  # time.monotonic() before which nothing is sent: the endpoint asked for a pause

    @property
    def spent_tokens(self) -> int:
        return self._budget.tokens

    @property
    def spent_usd(self) -> float:
        return self._budget.usd

    def fits(self, request: ChatRequest) -> bool:
        """True: the endpoint alone counts its tokens, and refuses what is `too_long`."""
        return True

    def complete(self, requests: Sequence[ChatRequest], on_answer: OnAnswer | None = None) -> list[ChatAnswer]:
        """Answers in the order of the requests; not to be called from a running event loop.

        Raises:
            ChatError: no request can be answered.
            BudgetExceeded: the next request wouldn't fit.
        """
        return complete_by_dialogs(self, requests, on_answer)

    def converse(self, dialogs: Iterable[Dialog]) -> None:
        asyncio.run(self._converse(iter(dialogs)))

    async def _converse(self, dialogs: Iterator[Dialog]) -> None:
        failures: list[ChatError] = []
        key = api_key(self.options.key_variable)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        context = httpx.create_ssl_context()

        async def work() -> None:
            if (dialog := next(dialogs, None)) is None:
                return
            # One connection each: a pool of httpcore looks through all its connections at every request.
            limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
            timeout = self.options.timeout_s
            async with httpx.AsyncClient(limits=limits, timeout=timeout, headers=headers, verify=context) as http:
                while dialog is not None:
                    try:
                        await self._lead(http, dialog, failures)
                    except ChatError as error:
                        failures.append(error)
                    dialog = None if failures else next(dialogs, None)

        await asyncio.gather(*(work() for _ in range(self.options.concurrency)))
        if failures:
            raise failures[0]

    async def _lead(self, http: httpx.AsyncClient, dialog: Dialog, failures: Sequence[ChatError]) -> None:
        try:
            request = next(dialog)
            while not failures:
                request = dialog.send(await self._ask(http, request))
        except StopIteration:
            pass
        finally:
            dialog.close()

    async def _ask(self, http: httpx.AsyncClient, request: ChatRequest) -> ChatAnswer:
        body = self._body(request)
        reserved = len(json.dumps(body["messages"])) // CHARS_PER_TOKEN, request.max_tokens
        await self._budget.reserve(*reserved)
        used = (0, 0)
        malformed = 0
        try:
            for attempt in range(self.options.retries + 1):
                await self._wait_open()
                try:
                    answer = await self._post(http, body, request_key(self.model, request))
                except MayPass as error:
                    passing = error
                else:
                    if isinstance(answer, ChatResponse):
                        used = answer.prompt_tokens or reserved[0], answer.completion_tokens or reserved[1]
                    return answer
                malformed += isinstance(passing, Malformed)
                if attempt == self.options.retries or malformed > 1:
                    break
                if passing.after_s:
                    self._open_at = max(self._open_at, time.monotonic() + passing.after_s)
                pause = min(self.options.backoff_s * 2**attempt, LONGEST_PAUSE_S)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        finally:
            self._budget.settle(reserved, used)
        reason = f"{passing}, {attempt + 1} tries"
        if isinstance(passing, Unreachable):
            raise ChatError(f"{self.url}: {reason}")
        return ChatRefusal("refused" if isinstance(passing, Malformed) else "failed", reason)

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

    async def _post(self, http: httpx.AsyncClient, body: Mapping[str, Any], key: str) -> ChatAnswer:
        # What is raised here is raised outside of `except`: the chain of a library's exceptions holds URL and headers.
        failure: ChatError | MayPass
        try:
            async with asyncio.timeout(self.options.timeout_s):
                response = await http.post(self._address.url, json=body, headers={"Idempotency-Key": key})
            if response.status_code == 200 and (pause := asked_pause(response.headers)):
                self._open_at = max(self._open_at, time.monotonic() + pause)
            answer = read_reply(response.status_code, response.headers, response.content)
        except MayPass as error:
            failure = error
        except ChatError as error:
            failure = ChatError(self._harmless(str(error)))
        except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout):
            failure = MayPass(f"no whole answer in {self.options.timeout_s:g} s")
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            failure = self._unconnected(error)
        except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.DecodingError) as error:
            failure = MayPass(type(error).__name__)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = ChatError(self._harmless(f"{type(error).__name__}: {error}"))
        else:
            if isinstance(answer, ChatRefusal):
                return ChatRefusal(answer.kind, self._redacted(answer.reason))
            return answer
        failure.__context__ = None
        raise failure

    def _unconnected(self, error: BaseException) -> ChatError | MayPass:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return ChatError(self._harmless(f"its certificate is not accepted: {cause.verify_message}"))
            if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
                return ChatError(f"{self.url}: does not speak TLS; http:// may be meant")
            cause = cause.__cause__ or cause.__context__
        return Unreachable(f"no connection ({type(error).__name__})")

    def _harmless(self, text: str) -> str:
        return f"{self.url}: {self._redacted(text)}"

    def _redacted(self, text: str) -> str:
        """The beginning of a foreign text, one line; some endpoints repeat the API key in it."""
        return redact(text, (os.environ.get(self.options.key_variable, "").strip(), *self._address.secrets))


def _without_secrets(record: logging.LogRecord) -> bool:
    """httpx logs every URL."""
    record.msg, record.args = public(record.getMessage()), None
    return True


logging.getLogger("httpx").addFilter(_without_secrets)
