"""One refusal costs one request: what got no answer is counted and named, and too much of it ends the run."""

from collections import Counter
from collections.abc import Iterable, Sequence

from agents.chat.protocol import Around, ChatAnswer, ChatClient, ChatError, ChatRefusal, ChatRequest, Dialog, OnAnswer

FEW = 20  # requests; among fewer a share says nothing
SHOWN = 3


class Losses:
    """Requests of one client that got no answer.

    The share that may fail is held against all requests handed in so far (`FEW` at least), so that the order of the
    answers decides nothing. A request that exceeds the context is counted apart and is no failure of the client.

    Args:
        max_share: of all requests that may be refused or fail; 1.0 is no limit.

    Raises:
        ChatError: a share that is none.
    """

    def __init__(self, max_share: float = 1.0) -> None:
        if not 0 <= max_share <= 1:
            raise ChatError(f"max_failed_share: {max_share:g} is not between 0 and 1")
        self.max_share = max_share
        self.asked = self.answered = self.too_long = 0
        self.reasons: Counter[str] = Counter()
        self.stopped = False  # set from another thread: the next answer ends the run

    @property
    def failed(self) -> int:
        return self.reasons.total()

    def note(self, answer: ChatAnswer) -> None:
        """Counts an answer.

        Raises:
            ChatError: more failed than the share allows, the first `FEW` all did, or the run was stopped.
        """
        if self.stopped:
            raise ChatError("stopped")
        if not isinstance(answer, ChatRefusal):
            self.answered += 1
        elif answer.kind == "too_long":
            self.too_long += 1
        else:
            self.reasons[answer.reason] += 1
            if self.failed > self.max_share * max(self.asked, FEW):
                raise ChatError(f"{self.line()}; max_failed_share is {self.max_share:g}")
            if self.failed == FEW and not self.answered and self.max_share < 1:
                raise ChatError(f"the first {FEW} requests all failed{self._why()}")

    def close(self) -> None:
        """To be called when all is asked.

        Raises:
            ChatError: requests failed and none was answered.
        """
        if self.failed and not self.answered and self.max_share < 1:
            raise ChatError(f"all of {self.asked:,} requests failed{self._why()}")

    def line(self) -> str:
        """What was lost and why, or an empty text when nothing was."""
        lost = [f"{self.failed:,} of {self.asked:,} requests got no answer{self._why()}"] if self.failed else []
        return ", ".join([*lost, *([f"{self.too_long:,} exceeded the context"] if self.too_long else [])])

    def _why(self) -> str:
        shown = [f"{count:,} × {reason}" for reason, count in self.reasons.most_common(SHOWN)]
        return f" ({'; '.join(shown)}{'; …' if len(self.reasons) > SHOWN else ''})"


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    every = list(dict.fromkeys(names))
    return ", ".join([*every[:SHOWN], *([f"{len(every) - SHOWN:,} more"] if len(every) > SHOWN else [])])


class CountingClient(Around):
    """A client whose `losses` are counted, answers out of a store among them."""

    def __init__(self, client: ChatClient, losses: Losses) -> None:
        super().__init__(client)
        self.losses = losses

    def complete(self, requests: Sequence[ChatRequest], on_answer: OnAnswer | None = None) -> list[ChatAnswer]:
        self.losses.asked += len(requests)

        def arrived(index: int, answer: ChatAnswer) -> None:
            if on_answer is not None:
                on_answer(index, answer)
            self.losses.note(answer)

        return self.client.complete(requests, arrived)

    def converse(self, dialogs: Iterable[Dialog]) -> None:
        self.client.converse(self._counted(dialog) for dialog in dialogs)

    def _counted(self, dialog: Dialog) -> Dialog:
        try:
            request = next(dialog)
            while True:
                self.losses.asked += 1
                answer = yield request
                self.losses.note(answer)
                request = dialog.send(answer)
        except StopIteration:
            return
        finally:
            dialog.close()
