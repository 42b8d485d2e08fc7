"""The critic's question: SFT shows how it is answered, RL asks it and learns from the outcomes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Is `first` the better answer to `question`?"""

    question: str
    first: str
    second: str
    rubric: str = ""

    def messages(self) -> list[dict[str, str]]:
        """The critic's prompt; it writes the better answer down."""
        rubric = f"Rubric: {self.rubric}\n" if self.rubric else ""
        text = f"Which answer is better?\n{rubric}Question: {self.question}\nA: {self.first}\nB: {self.second}"
        return [{"role": "system", "content": "critic"}, {"role": "user", "content": text}]
