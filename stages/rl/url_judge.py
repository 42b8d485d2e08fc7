"""A judge behind a URL in the critic's place: it reasons, then names the better answer by a label."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agents.chat.losses import CountingClient
from agents.chat.protocol import ChatRefusal, ChatRequest, ChatResponse
from stages.posttraining.comparison import CORE, Comparison

LABEL = re.compile(r"\[\[\s*([ABC])\s*\]\]")
CHANCES = {"A": 1.0, "B": 0.0, "C": 0.5}
MAX_TOKENS = 1024  # of the reasons and the label
TASK = f"""You compare two answers to one request. Judge them by: {"; ".join(CORE)}. The request's own rubric, where \
one is given, weighs most. Neither length nor the place in which an answer is shown is a merit. Give your reasons \
briefly and end with one label, alone on the last line: [[A]] where A is better, [[B]] where B is better, [[C]] where \
they are as good as each other."""


@dataclass(frozen=True)
class UrlJudge:
    """Asks `client`; a verdict that failed or bears no label is None and is counted among its losses."""

    client: CountingClient

    def __call__(self, comparisons: Sequence[Comparison]) -> list[float | None]:
        """The probability that the first answer is the better one: 1, 0, or 0.5 where the judge says so.

        Raises:
            ChatError: the endpoint can't be asked, or more verdicts are missing than it may leave out.
        """
        requests = [ChatRequest(messages(one), max_tokens=MAX_TOKENS, shared=1) for one in comparisons]
        answers = self.client.complete(requests) if requests else []
        return [self._chance(answer.text) if isinstance(answer, ChatResponse) else None for answer in answers]

    def _chance(self, text: str) -> float | None:
        labels = LABEL.findall(text)
        if labels:
            return CHANCES[labels[-1]]
        self.client.losses.note(ChatRefusal("failed", "a verdict without a label"))
        return None


def messages(one: Comparison) -> tuple[dict[str, str], ...]:
    """What the judge reads."""
    rubric = f"<rubric>\n{one.rubric}\n</rubric>\n\n" if one.rubric else ""
    shown = (
        f"{rubric}<request>\n{one.question}\n</request>\n\n<answer_a>\n{one.first}\n</answer_a>\n\n"
        f"<answer_b>\n{one.second}\n</answer_b>"
    )
    return {"role": "system", "content": TASK}, {"role": "user", "content": shown}
