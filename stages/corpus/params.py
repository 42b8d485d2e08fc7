"""`corpus` in params.yaml."""

from pydantic import Field

from stages.harness.section import Section


class CorpusParams(Section):
    """Where the text comes from and how it is cleaned."""

    sources: list[str]
    paths: list[str]
    max_docs_per_source: int = Field(ge=1)
    min_chars: int = Field(ge=1)
    near_dup_threshold: float = Field(gt=0, le=1)
    validation_fraction: float = Field(gt=0, lt=1)
