"""`qat` in params.yaml."""

from pydantic import Field, model_validator

from stages.harness.optimizer import TrainingSection


class QatParams(TrainingSection):
    """Quantization-aware training, and the same steps without it to compare with."""

    steps: int = Field(ge=1)
    sequence_length: int = Field(ge=8)
    global_batch_tokens: int = Field(ge=8)
    micro_batch_tokens: int = Field(ge=8)
    chat_micro_batches: int = Field(ge=0)
    demonstrations: int = Field(ge=1)
    lr: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    checkpoint_every: int = Field(ge=1)
    eval_documents: int = Field(ge=2)
    eval_facts: int = Field(ge=1)
    eval_tasks: int = Field(ge=1)
    shots: int = Field(ge=0)
    answer_tokens: int = Field(ge=1)
    batch_size: int = Field(ge=1)

    @model_validator(mode="after")
    def _fits(self) -> "QatParams":
        if self.global_batch_tokens % (self.micro_batch_tokens * self.ranks):
            raise ValueError(
                f"global_batch_tokens {self.global_batch_tokens} is no multiple of micro_batch_tokens × ranks "
                f"({self.micro_batch_tokens} × {self.ranks})"
            )
        if self.chat_micro_batches * self.micro_batch_tokens > self.global_batch_tokens:
            micro = self.global_batch_tokens // self.micro_batch_tokens
            raise ValueError(f"chat_micro_batches {self.chat_micro_batches} exceed the {micro} micro-batches of a step")
        if self.micro_batch_tokens % self.sequence_length:
            raise ValueError(
                f"micro_batch_tokens {self.micro_batch_tokens} is no multiple of sequence {self.sequence_length}"
            )
        return self
