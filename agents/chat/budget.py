"""How much of an endpoint may be used: tokens, money."""

import asyncio

from agents.chat.protocol import BudgetExceeded


class Budget:
    """What requests took, and what those in flight could take at most; 0 is no limit.

    Args:
        usd_in, usd_out: the price of a million tokens.
    """

    def __init__(self, max_tokens: int, max_usd: float, usd_in: float, usd_out: float) -> None:
        self.max_tokens, self.max_usd, self.usd_in, self.usd_out = max_tokens, max_usd, usd_in, usd_out
        self.tokens = 0
        self.usd = 0.0
        self.in_flight = 0

    def _price(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.usd_in + tokens_out * self.usd_out) / 1e6

    async def reserve(self, tokens_in: int, tokens_out: int) -> None:
        """Takes the largest cost of a request out of the budget; waits for answers in flight to give back theirs.

        Raises:
            BudgetExceeded: it would not fit.
        """
        while True:
            tokens, usd = self.tokens + tokens_in + tokens_out, self.usd + self._price(tokens_in, tokens_out)
            too_many = bool(self.max_tokens) and tokens > self.max_tokens
            too_dear = bool(self.max_usd) and usd > self.max_usd
            if not too_many and not too_dear:
                break
            if not self.in_flight:
                limit = f"{tokens:,} of {self.max_tokens:,} tokens" if too_many else f"{usd:.4f} of {self.max_usd} USD"
                raise BudgetExceeded(f"budget: the next request could reach {limit}")
            await asyncio.sleep(0.02)
        self.in_flight += 1
        self.tokens, self.usd = tokens, usd

    def settle(self, reserved: tuple[int, int], used: tuple[int, int]) -> None:
        """Gives back what a finished request did not use."""
        self.in_flight -= 1
        self.tokens += sum(used) - sum(reserved)
        self.usd += self._price(*used) - self._price(*reserved)
