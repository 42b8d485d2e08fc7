"""`rephrase` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from agents.chat.spec import is_endpoint
from agents.rephrase.fidelity import Thresholds
from stages.harness.endpoint import check_teacher
from stages.harness.inputs import ModelSpec
from stages.harness.section import Section

StyleName = Literal["paraphrase", "faq", "dialogue", "table", "tutorial", "learning_note"]
PerspectiveName = Literal["encyclopedist", "teacher", "journalist", "traveller"]


class FidelityParams(Section):
    """See agents/rephrase/fidelity.py: Thresholds."""

    names: float = Field(ge=0, le=1)
    numbers: float = Field(ge=0, le=1)
    new_names: int = Field(ge=0)
    new_numbers: int = Field(ge=0)
    coverage: float = Field(ge=0, le=1)
    support: float = Field(ge=0, le=1)
    unsupported_run: int = Field(ge=0)
    turned: int = Field(ge=0)
    replaced: int = Field(ge=0)
    similarity: float = Field(ge=0, le=1)
    copied: float = Field(ge=0, le=1)
    repeats: float = Field(ge=0, le=1)
    min_length: float = Field(ge=0)
    max_length: float = Field(gt=0)

    def thresholds(self) -> Thresholds:
        return Thresholds(**self.model_dump())


class RephraseParams(Section):
    """Style- and perspective-diverse, chunk-wise autoregressive rephrasing.

    sources: tokens of each that are rephrased. translate: those of them that are in another language.
    """

    teacher: ModelSpec
    tokenizer: ModelSpec
    judge: ModelSpec
    sources: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1)
    translate: list[str]
    wording: Literal["framed", "free"]
    versions: int = Field(ge=1)
    styles: list[StyleName] = Field(min_length=1)
    perspectives: list[PerspectiveName] = Field(min_length=1)
    excerpt_tokens: int = Field(ge=16)
    chunk_tokens: int = Field(ge=8)
    candidates: int = Field(ge=1)
    temperature: float = Field(ge=0)
    min_reworded: float = Field(ge=0, le=1)
    rows: int = Field(ge=1)
    wave: int = Field(ge=1)
    fidelity: FidelityParams

    @model_validator(mode="after")
    def _fits(self) -> "RephraseParams":
        if self.chunk_tokens > self.excerpt_tokens:
            raise ValueError(f"chunk_tokens {self.chunk_tokens} exceeds excerpt_tokens {self.excerpt_tokens}")
        cells = len(self.styles) * len(self.perspectives)
        if self.versions > cells:
            raise ValueError(f"versions {self.versions} exceeds the {cells} cells of styles × perspectives")
        if unknown := set(self.translate) - set(self.sources):
            raise ValueError(f"translate: {', '.join(sorted(unknown))} is none of sources ({', '.join(self.sources)})")
        if self.translate and not (self.wording == "free" and self.judge):
            raise ValueError(
                "translate: wants wording: free and a judge, since words of two languages can't be compared"
            )
        if self.judge:
            check_teacher("judge", self.judge, [])
        if is_endpoint(self.teacher):  # else embedded or a folder, which is looked for when it is opened
            check_teacher("teacher", self.teacher, ["embedded"])
        return self
