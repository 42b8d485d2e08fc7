"""`text_loss` in params.yaml: what every stage that makes a model measures alike."""

from pydantic import Field

from stages.harness.section import Section


class TextLossParams(Section):
    """Held-out documents whose loss stands beside every result; a document is cut after `characters`."""

    documents: int = Field(ge=2)
    characters: int = Field(ge=16)
