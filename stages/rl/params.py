"""`rl` in params.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from gym.tasksets.elementary import FAMILIES
from stages.harness.endpoint import check_teacher
from stages.harness.optimizer import TrainingSection
from stages.harness.section import Section
from stages.rl.limits import Limits


class ObjectiveParams(Section):
    """Which loss, and its constants (`alpha`, `beta` bound the log-ratio of `token_clip`, `epsilon` GRPO's ratio).

    importance_cap: at which π_old / sampler is truncated; 0: the sampler's log-probabilities are taken as the policy's.
    """

    name: Literal["k2", "token_clip", "grpo"]
    tau: float = Field(gt=0)
    alpha: float
    beta: float
    epsilon: float = Field(gt=0, lt=1)
    importance_cap: float = Field(ge=0)


class TemperatureParams(Section):
    """Sampling temperature, from `first` to `last` along a cosine over the run."""

    first: float = Field(gt=0)
    last: float = Field(gt=0)


class BudgetParams(Section):
    """`scale` multiplies a task's own token budget; a truncated answer also loses `penalty`."""

    scale: float = Field(gt=0)
    penalty: float = Field(ge=0)


class ToggleParams(Section):
    """K2.5's Toggle; `every` 0 switches it off."""

    every: int = Field(ge=0)
    accuracy: float = Field(ge=0, le=1)
    percentile: float = Field(gt=0, le=100)


class CriticParams(Section):
    """Self-critique. `open_prompts` per iteration are ranked by the critic; `coefficient` 0 opens its loop.

    judge: who compares: `self`, the policy, or in its place the model behind a URL#model.
    neighbours: each answer to an open prompt is compared with so many that follow it, in a ring; 0: with all.
    pairs: comparisons that the critic learns from in an optimizer step, each in both orders, drawn from the newest
    `window` ones that verifiable rollouts gave. held_pairs, held_open_pairs: comparisons about held problems, and
    about held open prompts, that measure it.
    """

    judge: str
    open_prompts: int = Field(ge=0)
    neighbours: int = Field(ge=0)
    coefficient: float = Field(ge=0)
    pairs: int = Field(ge=0)
    window: int = Field(ge=1)
    held_pairs: int = Field(ge=0)
    held_open_pairs: int = Field(ge=0, le=48)

    @model_validator(mode="after")
    def _named(self) -> "CriticParams":
        check_teacher("judge", self.judge, ["self"])
        return self


class RolloutParams(Section):
    """Who samples: `colocated` our engine on the weights in training, `int4` on their INT4 twin, `server` the
    OpenAI-compatible server at `url`, which gets the weights pushed before each iteration.

    max_failed_share: of a server's requests that it may refuse; more end the run.
    max_mismatch: nats by which a server's log-probabilities may be off the policy's on average; more end the run, since
        such a server has other weights.
    """

    backend: Literal["colocated", "int4", "server"]
    url: str
    max_failed_share: float = Field(ge=0, le=1)
    max_mismatch: float = Field(gt=0)

    @model_validator(mode="after")
    def _named(self) -> "RolloutParams":
        if (self.backend == "server") != bool(self.url):
            raise ValueError("rollouts: a url belongs to backend server, and to no other")
        return self


class RlParams(TrainingSection):
    """Joint RL with verifiable and self-critique rewards.

    context_tokens: of a rollout in all, at most what the model has positions for. Where tools are declared:
    turn_tokens: of the policy, to a message of the user. max_turns: of the policy, in a conversation.
    """

    iterations: int = Field(ge=0)
    context_tokens: int = Field(ge=64)
    turn_tokens: int = Field(ge=8)
    max_turns: int = Field(ge=1)
    pool: int = Field(ge=1)
    prompts: int = Field(ge=1)
    samples: int = Field(ge=2)
    updates: int = Field(ge=1)
    micro_groups: int = Field(ge=1)
    lr: float = Field(gt=0)
    final_lr: float = Field(ge=0)
    reset_optimizer: bool
    rollout_tokens: int = Field(ge=1)
    objective: ObjectiveParams
    temperature: TemperatureParams
    budget: BudgetParams
    length_reward: float = Field(ge=0)
    repeat_penalty: float = Field(ge=0)
    toggle: ToggleParams
    ptx: float = Field(ge=0)
    ptx_rows: int = Field(ge=0)
    ptx_length: int = Field(ge=32)
    ptx_demonstrations: dict[str, int]
    critic: CriticParams
    held_tasks: int = Field(ge=1)
    eval_every: int = Field(ge=1)
    max_batch: int = Field(ge=1)
    rollouts: RolloutParams
    fake_quant: bool
    checkpoint_every: int = Field(ge=1)

    @property
    def limits(self) -> Limits:
        return Limits(self.context_tokens, self.turn_tokens, self.max_turns)

    @model_validator(mode="after")
    def _fits(self) -> "RlParams":
        if self.prompts % (self.updates * self.micro_groups * self.ranks):
            raise ValueError(
                f"prompts {self.prompts} is no multiple of updates × micro_groups × ranks "
                f"({self.updates} × {self.micro_groups} × {self.ranks})"
            )
        for family in self.ptx_demonstrations:
            if family not in FAMILIES:
                raise ValueError(f"ptx_demonstrations: {family!r} is no elementary family")
        if self.rollouts.backend == "int4" and self.layout.spread:
            raise ValueError(
                "rollouts.backend int4 needs all weights on every rank, which zero 3 and expert_parallel above 1 spread"
            )
        if self.objective.alpha >= self.objective.beta:
            raise ValueError("objective.alpha must be below objective.beta")
        return self
