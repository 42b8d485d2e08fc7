"""`corpus` in params.yaml."""

from pydantic import Field, field_validator

from stages.corpus.files import TextPath
from stages.harness.section import Section


class CorpusParams(Section):
    """Where the text comes from and how it is cleaned."""

    sources: list[str]
    paths: list[TextPath]
    max_docs_per_source: int = Field(ge=1)
    min_chars: int = Field(ge=1)
    near_dup_threshold: float = Field(gt=0, le=1)
    validation_fraction: float = Field(gt=0, lt=1)

    @field_validator("sources")
    @classmethod
    def _once(cls, sources: list[str]) -> list[str]:
        if repeated := sorted({source for source in sources if sources.count(source) > 1}):
            raise ValueError(f"{repeated[0]!r} is listed twice")
        return sources
