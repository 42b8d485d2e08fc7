"""`rates` of a training stage in params.yaml."""

from pydantic import Field

from k2model.training.rates import Rates
from stages.harness.section import Section


class RatesParams(Section):
    """Shares of the learning rate by part of the network; 0 freezes the part."""

    attention: float = Field(ge=0)
    feed_forward: float = Field(ge=0)
    embeddings: float = Field(ge=0)

    @property
    def rates(self) -> Rates:
        return Rates(self.attention, self.feed_forward, self.embeddings)
