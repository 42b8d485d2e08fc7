"""A chat client for tests."""

from collections.abc import Callable, Iterable, Sequence

from agents.chat.losses import Losses
from agents.chat.protocol import ChatAnswer, ChatRequest, ChatResponse, Dialog, OnAnswer, converse_in_rounds


class Answering:
    """Answers each request by a function of it; `asked` keeps the requests."""

    def __init__(
        self,
        answer: Callable[[ChatRequest], ChatAnswer | str],
        model: str = "made",
        fits: Callable[[ChatRequest], bool] = lambda request: True,
    ) -> None:
        self.answer, self.model, self.fits = answer, model, fits
        self.asked: list[ChatRequest] = []
        self.losses = Losses()

    def complete(self, requests: Sequence[ChatRequest], on_answer: OnAnswer | None = None) -> list[ChatAnswer]:
        answers: list[ChatAnswer] = []
        for place, request in enumerate(requests):
            self.asked.append(request)
            answer = self.answer(request)
            answers.append(ChatResponse(answer) if isinstance(answer, str) else answer)
            if on_answer is not None:
                on_answer(place, answers[-1])
        return answers

    def converse(self, dialogs: Iterable[Dialog]) -> None:
        converse_in_rounds(self, dialogs, 7)
