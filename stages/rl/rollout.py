"""Rollouts: tokens in, tokens out. What the policy sampled is kept as ids with the sampler's log-probabilities.

A rollout is a list of tokens of which the policy sampled some; the rest are prompts and tool results. An unfinished
one can wait: its state is plain JSON, and its episode is rebuilt by replaying the finished turns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gym.verifiers.result import Result
from k2model.inference.request import Generated, Request
from stages.harness.seeds import seed32
from stages.rl.rewards import repeats


class Backend(Protocol):
    """What samples: our engine, or a client of a server with the same methods (`stages.rl.backends`)."""

    sampled: int  # tokens so far

    def submit(self, request: Request) -> int: ...

    def step(self) -> list[tuple[int, Generated]]: ...

    def interrupt(self) -> list[tuple[int, Generated]]: ...


class Episode(Protocol):
    """One conversation with a task, from the side of the environment."""

    def prompt(self) -> list[int]:
        """The first tokens, up to where the policy begins."""

    def reply(self, completion: Sequence[int]) -> list[int]:
        """What follows a finished turn, up to where the policy begins again; empty when the episode is over."""

    def verdict(self) -> Result:
        """Score, status and reason, once the episode is over or was cut."""

    def answer(self) -> str:
        """The last text that the policy wrote for a reader."""


@dataclass
class Rollout:
    """One sample of the answers to a task.

    key: names the prompt and the sample. family, prompt: the task's, and its number there. budget: tokens that the
    policy may sample. turns: finished completions; `open` is the one in progress. logprobs: the sampler's, 0 for tokens
    that it did not sample. own: the policy's of the same, empty where the sampler's are taken for them.
    stop: `done`, `budget` (cut at the token budget), `context` (no room), `refused` (by a rollout server), or empty
        while it runs.
    """

    key: str
    family: str
    prompt: int
    budget: int
    tokens: list[int] = field(default_factory=list)
    sampled: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    turns: list[list[int]] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    stop: str = ""

    @property
    def spent(self) -> int:
        """Tokens that the policy sampled."""
        return sum(self.sampled)

    @property
    def loops(self) -> bool:
        last = self.open or (self.turns[-1] if self.turns else [])
        return repeats(last)

    def add(self, ids: Sequence[int], logprobs: Sequence[float] | None = None) -> None:
        """Appends tokens; without log-probabilities they come from the environment."""
        self.tokens += ids
        self.sampled += [logprobs is not None] * len(ids)
        self.logprobs += logprobs if logprobs is not None else [0.0] * len(ids)


def replay(episode: Episode, rollout: Rollout) -> None:
    """Brings a fresh episode to where a saved rollout stands."""
    for turn in rollout.turns:
        episode.reply(turn)


def advance(
    backend: Backend,
    rollouts: Sequence[Rollout],
    episodes: Mapping[str, Episode],
    *,
    temperature: float,
    seed: int,
    stop_ids: frozenset[int],
    context: int,
    token_limit: int,
    on_stop: Callable[[Rollout], None] = lambda rollout: None,
) -> int:
    """Samples until every rollout has stopped or `token_limit` tokens were sampled.

    Args:
        on_stop: called when a rollout has stopped, while others are sampled.
        context: tokens that a rollout may have in all.
        seed: the tokens of a rollout follow from this, its key and its position, whoever shares the batch.

    Returns:
        Tokens that were sampled.
    """
    running: dict[int, Rollout] = {}

    def submit(rollout: Rollout) -> None:
        room = min(rollout.budget - rollout.spent, context - len(rollout.tokens))
        if room < 1:
            rollout.stop = "budget" if rollout.spent >= rollout.budget else "context"
            on_stop(rollout)
            return
        own_seed = seed32(seed, rollout.key, len(rollout.tokens))
        request = Request(rollout.tokens, room, temperature=temperature, seed=own_seed, stop_ids=stop_ids)
        running[backend.submit(request)] = rollout

    def take(rollout: Rollout, result: Generated) -> None:
        rollout.add(result.ids, result.logprobs)
        rollout.open += result.ids
        if result.finish_reason == "stop":
            completion, rollout.open = rollout.open, []
            rollout.turns.append(completion)
            follows = episodes[rollout.key].reply(completion)
            rollout.add(follows)
            if follows:
                submit(rollout)
                return
            rollout.stop = "done"
        elif result.finish_reason == "refused":
            rollout.stop = "refused"
        elif result.finish_reason == "length":
            rollout.stop = "budget" if rollout.spent >= rollout.budget else "context"
        if rollout.stop:
            on_stop(rollout)

    for rollout in rollouts:
        if not rollout.tokens:
            rollout.add(episodes[rollout.key].prompt())
        if not rollout.stop:
            submit(rollout)
    before = sum(rollout.spent for rollout in rollouts)
    while running:
        for handle, result in backend.step():
            take(running.pop(handle), result)
        if running and backend.sampled >= token_limit:
            for handle, result in backend.interrupt():
                take(running.pop(handle), result)
            break
    return sum(rollout.spent for rollout in rollouts) - before
