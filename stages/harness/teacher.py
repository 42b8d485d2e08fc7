"""A teacher that a stage asks beside its own work: how it is named in `params.yaml`, and the thread that holds it."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

from agents.chat.endpoint import EndpointOptions
from agents.chat.losses import CountingClient, Losses
from agents.chat.open import open_client
from agents.chat.protocol import ChatClient
from stages.harness.endpoint import EndpointParams

STORE_VARIABLE = "K2_ANSWERS"  # another place for the store, such as one that several checkouts share
P = ParamSpec("P")
T = TypeVar("T")


def answer_store() -> Path:
    return Path(os.environ.get(STORE_VARIABLE, "work/answers.sqlite"))


def endpoint_options(endpoint: EndpointParams) -> EndpointOptions:
    return EndpointOptions(**endpoint.model_dump())


class Teacher:
    """A chat client in a thread of its own, behind the store of answers; it is opened when it is first asked.

    with Teacher("embedded", endpoint, threads=2) as teacher:
        later = teacher.submit(reword, sentences, seed)   # reword(client, sentences, seed)
        ...
        later.result()
    """

    def __init__(self, spec: str, endpoint: EndpointParams, threads: int) -> None:
        self.spec, self.endpoint, self.threads = spec, endpoint, threads
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="teacher")
        self._client: CountingClient | None = None

    @property
    def model(self) -> str:
        """The identity of the model, or an empty text when nothing was asked."""
        return "" if self._client is None else self._client.model

    def settle(self) -> Losses:
        """What got no answer, once all is asked.

        Raises:
            ChatError: nothing was answered.
        """
        losses = Losses() if self._client is None else self._client.losses
        losses.close()
        return losses

    def submit(self, ask: Callable[Concatenate[ChatClient, P], T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Runs `ask(client, ...)` in the teacher's thread; a ChatError comes out of the future's result."""

        def work() -> T:
            return ask(self._open(), *args, **kwargs)

        return self._pool.submit(work)

    def _open(self) -> ChatClient:
        if self._client is None:
            import torch  # seconds that a stage which asks nothing doesn't need

            torch.set_num_threads(1)
            self._client = open_client(
                self.spec, store=answer_store(), endpoint=endpoint_options(self.endpoint), workers=self.threads
            )
        return self._client

    def __enter__(self) -> "Teacher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._client is not None:
            self._client.losses.stopped = True
        self._pool.shutdown(cancel_futures=True)
