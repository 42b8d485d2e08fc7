"""The critic's question: SFT shows how it is answered, RL asks it and learns from the outcomes."""

from dataclasses import dataclass

from gym.tasksets.open_damage import Pair

# K2 report, Appendix F.1, in our words. They hold for every open prompt, beside the rubric of its own.
CORE = (
    "clear and relevant: does what was asked, in plain order, and leaves out what does not help",
    "fluent and engaging: reads like one person speaking to another and brings the matter forward",
    "objective and grounded: keeps to the matter, with no talk about the answer itself and no flattery",
)


@dataclass(frozen=True)
class Comparison:
    """Is `first` the better answer to `question`?

    rubric: of an open prompt; empty where one answer is right, which needs no rubric.
    """

    question: str
    first: str
    second: str
    rubric: str = ""

    @classmethod
    def of(cls, pair: Pair) -> "Comparison":
        """The better answer stands first."""
        return cls(pair.prompt.text, pair.better, pair.worse, pair.prompt.points)

    @property
    def swapped(self) -> "Comparison":
        return Comparison(self.question, self.second, self.first, self.rubric)

    def messages(self) -> list[dict[str, str]]:
        """The critic's prompt; it writes the better answer down."""
        rubric = f"Rubric: {'; '.join(CORE)}\nOf this task: {self.rubric}\n" if self.rubric else ""
        text = f"Which answer is better?\n{rubric}Question: {self.question}\nA: {self.first}\nB: {self.second}"
        return [{"role": "system", "content": "critic"}, {"role": "user", "content": text}]
