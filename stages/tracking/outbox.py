"""What MLflow has not been told yet, in order: a store that is away for a while stops no training and loses nothing."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from k2model.files import sync
from stages.harness.files import write_atomic
from stages.tracking.store import reason, store_errors

Event = dict[str, Any]
PAUSE_S = 30.0  # between two tries of a store that does not answer
NAME = "unsent.jsonl"


class Outbox:
    """A queue of events in a work folder; on disk only while the store does not take them.

    Args:
        send: tells the store one event; what it raises of `store_errors` leaves the event in the queue.
    """

    def __init__(self, folder: Path, send: Callable[[Event], None]) -> None:
        self.path, self._send = folder / NAME, send
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        *lines, torn = text.split("\n")
        self._events: list[Event] = [json.loads(line) for line in lines]
        self._on_disk = 0 if torn else len(self._events)  # the first so many are all that the file holds
        self._not_before = 0.0
        self.problem = ""  # why the first event is still here

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        self._events.append(event)

    def deliver(self, *, now: bool = False) -> bool:
        """Sends what is queued; what isn't taken is written to disk. True when nothing is left.

        Args:
            now: try even when the store has just not answered.
        """
        if self._events and (now or time.monotonic() >= self._not_before) and self._deliver():
            self._on_disk = 0  # the file begins with what was sent
        if not self._events:
            self.path.unlink(missing_ok=True)
        elif len(self._events) > self._on_disk:
            self._keep()
        return not self._events

    def _keep(self) -> None:
        """Brings the file to what is queued; while nothing is sent it only grows."""
        text = "".join(f"{json.dumps(event)}\n" for event in self._events[self._on_disk :])
        if self._on_disk:
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(text)
            sync(self.path)
        else:
            with write_atomic(self.path) as tmp:
                tmp.write_text(text, encoding="utf-8")
        self._on_disk = len(self._events)

    def _deliver(self) -> int:
        """Sends from the front until the store does not take one; returns how many it took."""
        sent = 0
        try:
            for event in self._events:
                self._send(event)
                sent += 1
            self.problem = ""
        except store_errors() as error:
            if not self.problem:
                print(f"mlflow: {reason(error)}; the stage goes on, what is not sent is kept", flush=True)
            self.problem = reason(error)
            self._not_before = time.monotonic() + PAUSE_S
        del self._events[:sent]
        return sent
