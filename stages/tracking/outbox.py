"""What MLflow has not been told yet, in order: a store that is away for a while stops no training and loses nothing."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.harness.files import write_atomic
from stages.tracking.store import STORE_ERRORS, reason

Event = dict[str, Any]
PAUSE_S = 30.0  # between two tries of a store that does not answer
NAME = "unsent.jsonl"


class Outbox:
    """A queue of events in a work folder; on disk only while the store does not take them.

    Args:
        send: tells the store one event; what it raises of `STORE_ERRORS` leaves the event in the queue.
    """

    def __init__(self, folder: Path, send: Callable[[Event], None]) -> None:
        self.path, self._send = folder / NAME, send
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        self._events: list[Event] = [json.loads(line) for line in text.split("\n") if line]
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
        if self._events and (now or time.monotonic() >= self._not_before):
            self._deliver()
        if self._events:
            with write_atomic(self.path) as tmp:
                tmp.write_text("".join(f"{json.dumps(event)}\n" for event in self._events), encoding="utf-8")
        else:
            self.path.unlink(missing_ok=True)
        return not self._events

    def _deliver(self) -> None:
        sent = 0
        try:
            for event in self._events:
                self._send(event)
                sent += 1
            self.problem = ""
        except STORE_ERRORS as error:
            if not self.problem:
                print(f"mlflow: {reason(error)}; the stage goes on, what is not sent is kept", flush=True)
            self.problem = reason(error)
            self._not_before = time.monotonic() + PAUSE_S
        del self._events[:sent]
