"""The sampling half of an iteration: choose prompts, sample K answers to each within a token allowance.

What isn't finished waits for the next iteration. The sampler and the trainer share one copy of the weights, also where
they are spread over ranks; the sampler's cache exists only while it samples. Of several ranks each samples and scores
every so many-th group, with its share of the allowance, and then all have all of them.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from gym.tasksets.open import SANDBOXED
from gym.tasksets.task import Task
from gym.verifiers.result import Result
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from k2model.training.engine import TrainEngine
from stages.harness.seeds import rng, seed32
from stages.measure.tasks import solved
from stages.rl.backends import OpenBackend, ServerRollouts, colocated
from stages.rl.episodes import EPISODES, SingleAnswer
from stages.rl.families import Families
from stages.rl.params import RlParams
from stages.rl.prompts import shares
from stages.rl.rollout import Episode, Rollout, advance, replay
from stages.rl.state import State
from stages.rl.tasks import OPEN, RunTasks

Judged = tuple[list[Result], list[str]]  # of each answered rollout: what the verifier said, and its answer


@dataclass(frozen=True)
class Finished:
    """All rollouts of one task, none of them running any more, each with what the verifier said and its answer."""

    family: str
    task: Task
    rollouts: list[Rollout]
    verdicts: list[Result]
    answers: list[str]

    @property
    def question(self) -> str:
        return str(self.task.messages[-1]["content"])


def answered(group: list[Rollout]) -> list[Rollout]:
    """Those that no server has refused."""
    return [rollout for rollout in group if rollout.stop != "refused"]


def _spent(groups: Sequence[list[Rollout]]) -> int:
    """Tokens that were sampled for all of them."""
    return sum(rollout.spent for group in groups for rollout in group)


def _budget(task: Task, scale: float) -> int:
    """Tokens that the policy may sample for a task."""
    return max(1, round(task.token_budget * scale))


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

    def sample(self, engine: TrainEngine, state: State, temperature: float) -> tuple[list[Finished], int]:
        """Samples this iteration's prompts and those that wait in `state`. All ranks call it.

        Returns:
            The prompts whose answers are all finished, and how many tokens were sampled; the others wait in `state`.
        """
        p, number = self.params, state.iteration
        groups = [*state.waiting, *self._fresh(p.prompts - len(state.waiting), state)]
        before = _spent(groups)
        if isinstance(self.open_backend, ServerRollouts):  # it samples for all: one rank asks it
            self.open_backend.write(engine)
            advanced = engine.led(lambda model: self._advance(model, groups, temperature, number, p.rollout_tokens))
        else:
            limit = p.rollout_tokens // p.ranks
            advanced = engine.shared(groups, lambda model, mine: self._advance(model, mine, temperature, number, limit))
        finished, state.waiting = [], []
        for group, judged in advanced:
            if judged is None:
                state.waiting.append(group)
                continue
            kept = answered(group)
            state.refused += len(group) - len(kept)
            if len(kept) > 1:  # an answer alone has nothing to be better than
                task = self.tasks.train[group[0].family][group[0].prompt]
                finished.append(Finished(group[0].family, task, kept, *judged))
        return finished, _spent([group for group, _ in advanced]) - before

    def _advance(
        self, policy: K2Model, groups: Sequence[list[Rollout]], temperature: float, number: int, token_limit: int
    ) -> list[tuple[list[Rollout], Judged | None]]:
        """Each group with what is judged of it, None while a rollout runs.

        What runs in a sandbox is judged as soon as it has stopped, beside the sampling of the others.
        """
        if not groups:
            return []
        p, rollouts = self.params, [rollout for group in groups for rollout in group]
        episodes = {rollout.key: self._episode(rollout) for rollout in rollouts}
        verdicts: dict[str, Future[Result]] = {}
        with ThreadPoolExecutor(self.families.workers, thread_name_prefix="verdict") as judges:

            def judge(rollout: Rollout) -> None:
                if rollout.family in SANDBOXED and rollout.stop != "refused":
                    verdicts[rollout.key] = judges.submit(episodes[rollout.key].verdict)

            advance(
                self.open_backend(policy, self.tokenizer, p.max_batch, self.context),
                rollouts,
                episodes,
                temperature=temperature,
                seed=seed32(self.seed, "rollouts", number),
                stop_ids=self.tokenizer.ends,
                context=self.context,
                token_limit=token_limit,
                on_stop=judge,
            )

        def verdict(rollout: Rollout) -> Result:
            key = rollout.key
            return verdicts[key].result() if key in verdicts else episodes[key].verdict()

        done: list[tuple[list[Rollout], Judged | None]] = []
        for group in groups:
            own = answered(group)
            over = all(rollout.stop for rollout in group)
            texts = [episodes[rollout.key].answer() for rollout in own]
            done.append((group, ([verdict(rollout) for rollout in own], texts) if over else None))
        return done

    def _fresh(self, count: int, state: State) -> list[list[Rollout]]:
        """Empty rollouts of `count` chosen tasks, `samples` of each."""
        groups = []
        for number, (family, index) in enumerate(self._choose(count, state)):
            budget = _budget(self.tasks.train[family][index], self.params.budget.scale)
            keys = [f"{state.iteration}/{number}/{family}/{index}/{k}" for k in range(self.params.samples)]
            groups.append([Rollout(key, family, index, budget) for key in keys])
        return groups

    def _choose(self, count: int, state: State) -> list[tuple[str, int]]:
        """(family, number of the task) of `count` prompts."""
        draw = rng(self.seed, "prompts", state.iteration)
        open_count = min(count, self.params.critic.open_prompts)
        verifiable = shares(count - open_count, self.families.names)
        chosen = []
        for family, n in (verifiable | {OPEN: open_count}).items():
            if n:
                answers = [str(task.payload.get("answer", "")) for task in self.tasks.train[family]]
                chosen += [(family, k) for k in state.pools[family].choose(n, state.iteration, answers, draw)]
        return chosen

    def _episode(self, rollout: Rollout) -> Episode:
        task = self.tasks.train[rollout.family][rollout.prompt]
        episode: Episode
        if rollout.family in EPISODES:
            episode = EPISODES[rollout.family](self.tokenizer, task)
        else:
            taskset = None if rollout.family == OPEN else self.families.tasksets[rollout.family]
            episode = SingleAnswer(self.tokenizer, taskset, task)
        replay(episode, rollout)
        return episode


def held_scores(
    model: K2Model, tokenizer: K2Tokenizer, families: Families, name: str, tasks: Sequence[Task], p: RlParams
) -> list[float | None]:
    """Of each task of a family what the policy's greedy answer scores; None where its verifier failed."""
    if name in EPISODES:
        context = min(model.config.max_position_embeddings, p.context_tokens)
        return [
            *tool_scores(model, tokenizer, name, tasks, scale=p.budget.scale, max_batch=p.max_batch, context=context)
        ]
    return solved(model, tokenizer, families.tasksets[name], tasks, p.budget.scale)


def tool_scores(
    model: K2Model,
    tokenizer: K2Tokenizer,
    family: str,
    tasks: Sequence[Task],
    *,
    scale: float,
    max_batch: int,
    context: int,
) -> list[float]:
    """1 for each tool task that the policy's greedy episode fulfils, else 0.

    Args:
        family: of EPISODES. scale: of the tasks' own token budgets.
        context: tokens that a conversation may have in all.
    """
    rollouts = [Rollout(task.id, family, k, _budget(task, scale)) for k, task in enumerate(tasks)]
    episodes = {task.id: EPISODES[family](tokenizer, task) for task in tasks}
    advance(
        colocated(model, tokenizer, min(max_batch, len(tasks)), context),
        rollouts,
        episodes,
        temperature=0.0,
        seed=0,
        stop_ids=tokenizer.ends,
        context=context,
        token_limit=1 + sum(rollout.budget for rollout in rollouts),
    )
    return [episode.verdict().score or 0.0 for episode in episodes.values()]
