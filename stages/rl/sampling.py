"""The sampling half of an iteration: choose prompts, sample K answers to each within a token allowance.

What isn't finished waits for the next iteration. The sampler and the trainer share one copy of the weights; the
sampler's cache exists only while it samples.
"""

from dataclasses import dataclass

from gym.tasksets.task import Task
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from stages.harness.seeds import rng, seed32
from stages.rl.backends import OpenBackend
from stages.rl.episodes import TOOLS, SingleAnswer, ToolUse
from stages.rl.families import Families
from stages.rl.params import RlParams
from stages.rl.prompts import shares
from stages.rl.rollout import Episode, Rollout, advance, replay
from stages.rl.state import State
from stages.rl.tasks import OPEN, RunTasks


@dataclass(frozen=True)
class Finished:
    """All rollouts of one task, none of them running any more, each with the episode that it went through."""

    family: str
    task: Task
    rollouts: list[Rollout]
    episodes: list[Episode]

    @property
    def question(self) -> str:
        return str(self.task.messages[-1]["content"])


@dataclass(frozen=True)
class Sampler:
    """context: tokens that a rollout may have in all."""

    params: RlParams
    seed: int
    tokenizer: K2Tokenizer
    families: Families
    tasks: RunTasks
    open_backend: OpenBackend
    context: int

    def sample(self, model: K2Model, state: State, temperature: float) -> tuple[list[Finished], int]:
        """Samples this iteration's prompts and those that wait in `state`.

        Returns:
            The prompts whose answers are all finished, and how many tokens were sampled; the others wait in `state`.
        """
        p, number = self.params, state.iteration
        groups = [*state.waiting, *self._fresh(p.prompts - len(state.waiting), state)]
        rollouts = [rollout for group in groups for rollout in group]
        episodes = {rollout.key: self._episode(rollout) for rollout in rollouts}
        model.eval()
        sampled = advance(
            self.open_backend(model, self.tokenizer, p.max_batch, self.context),
            rollouts,
            episodes,
            temperature=temperature,
            seed=seed32(self.seed, "rollouts", number),
            stop_ids=self.tokenizer.ends,
            context=self.context,
            token_limit=p.rollout_tokens,
        )
        finished, state.waiting = [], []
        for group in groups:
            if not all(rollout.stop for rollout in group):
                state.waiting.append(group)
                continue
            kept = [rollout for rollout in group if rollout.stop != "refused"]
            state.refused += len(group) - len(kept)
            if len(kept) > 1:  # an answer alone has nothing to be better than
                family, own = group[0].family, [episodes[rollout.key] for rollout in kept]
                finished.append(Finished(family, self.tasks.train[family][group[0].prompt], kept, own))
        return finished, sampled

    def _fresh(self, count: int, state: State) -> list[list[Rollout]]:
        """Empty rollouts of `count` chosen tasks, `samples` of each."""
        groups = []
        for number, (family, index) in enumerate(self._choose(count, state)):
            budget = max(1, round(self.tasks.train[family][index].token_budget * self.params.budget.scale))
            keys = [f"{state.iteration}/{number}/{family}/{index}/{k}" for k in range(self.params.samples)]
            groups.append([Rollout(key, family, index, budget) for key in keys])
        return groups

    def _choose(self, count: int, state: State) -> list[tuple[str, int]]:
        """(family, number of the task) of `count` prompts."""
        draw = rng(self.seed, "prompts", state.iteration)
        open_count = min(count, self.params.critic.open_prompts)
        tool_count = min(count - open_count, self.params.tool_tasks)
        verifiable = shares(count - open_count - tool_count, list(self.families.tasksets))
        chosen = []
        for family, n in (verifiable | {OPEN: open_count, TOOLS: tool_count}).items():
            if n:
                answers = [str(task.payload.get("answer", "")) for task in self.tasks.train[family]]
                chosen += [(family, k) for k in state.pools[family].choose(n, state.iteration, answers, draw)]
        return chosen

    def _episode(self, rollout: Rollout) -> Episode:
        task = self.tasks.train[rollout.family][rollout.prompt]
        episode: Episode
        if rollout.family == TOOLS:
            episode = ToolUse(self.tokenizer, self.tasks.apps, task)
        else:
            taskset = None if rollout.family == OPEN else self.families.tasksets[rollout.family]
            episode = SingleAnswer(self.tokenizer, taskset, task)
        replay(episode, rollout)
        return episode
