"""The RL loop: sample, score, update; joint over verifiable tasks and open prompts that the policy judges itself.

An iteration (K2 report §3.2): choose prompts, sample K answers each at this iteration's temperature within a token
allowance (what isn't finished waits for the next iteration), score them, centre rewards within a prompt, take
optimizer steps with the PTX and critic losses added.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from gym.decontaminate import Index
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from k2model.training.engine import TrainEngine
from stages.harness.hooks import Hooks
from stages.harness.seeds import rng, seed32
from stages.posttraining.comparison import Comparison
from stages.posttraining.mixture import Mixture
from stages.posttraining.packing import Example
from stages.rl import pairwise, records
from stages.rl.backends import check_mismatch, open_backend
from stages.rl.families import Families
from stages.rl.held_critic import accuracy, open_measures
from stages.rl.own_logprobs import own_logprobs
from stages.rl.params import RlParams
from stages.rl.prompts import Pool
from stages.rl.sampling import Sampler, held_scores
from stages.rl.scoring import outcomes, score
from stages.rl.state import State
from stages.rl.tasks import run_tasks
from stages.rl.update import Group, UpdateReport, update

EVEN = 1e-9  # rewards of a group that differ by no more give no signal


@dataclass(frozen=True)
class RlSetup:
    """What to train, from where, on what.

    ptx: rows of quality data, each step takes the next `ptx_rows`; None: the PTX loss is off.
    families, difficulty: the open tasksets to train on, and how hard their problems are.
    index: benchmarks' texts; tasks that overlap are not trained on.
    judge: compares answers in the policy's place.
    """

    params: RlParams
    start: Path
    work: Path
    seed: int
    tokenizer: K2Tokenizer
    ptx: Mixture | None
    families: Families
    difficulty: float
    index: Index = field(default_factory=Index)
    judge: pairwise.Judge | None = None


class Loop:
    """One RL run; `run` goes on from the newest checkpoint to the last iteration.

    Attributes:
        tasks: what it trains on and is measured on.
        rollouts: the finished rollouts of every iteration.
        seconds: wall time of this process by phase (sample, score, update, evaluate).
        unjudged: comparisons of the iteration that got no verdict.
    """

    def __init__(self, setup: RlSetup, hooks: Hooks) -> None:
        p = self.p = setup.params
        self.setup, self.hooks, self.tokenizer = setup, hooks, setup.tokenizer
        self.micros = p.prompts // (p.updates * p.micro_groups)
        options = p.optimizer.options(self.tokenizer.names)
        self.engine = TrainEngine(
            setup.start,
            options,
            micro_batches=self.micros,
            layout=p.layout,
            fake_quant=p.fake_quant,
            checkpoints=setup.work / "checkpoints",
        )
        self.context = min(self.engine.model.config.max_position_embeddings, p.context_tokens)
        self.tasks = run_tasks(setup.families, p, setup.difficulty, setup.seed, setup.index)
        self.sampler = Sampler(
            p,
            setup.seed,
            self.tokenizer,
            setup.families,
            self.tasks,
            open_backend(p.rollouts, setup.work),
            self.context,
        )
        self.rollouts = records.RolloutFiles(setup.work / "rollouts")
        self.seconds: dict[str, float] = {}
        self.unjudged = 0
        self.state = State({name: Pool.fresh(len(tasks)) for name, tasks in self.tasks.train.items()})

    def run(self) -> list[dict[str, float]]:
        """Trains to the end and returns the curve, one row an iteration."""
        saved = self.engine.resume()
        for problem in self.engine.problems:
            self.hooks.say(f"skipped a corrupted checkpoint: {problem}")
        if saved is not None:
            self.state = State.of(saved)
            self.hooks.say(f"resumed at iteration {self.state.iteration} of {self.p.iterations}")
        if saved is None:
            self._record(self.engine.led(self._evaluate))
        self.hooks.progress(self.state.iteration, "")
        while self.state.iteration < self.p.iterations:
            self._iterate()
            if self.state.iteration % self.p.checkpoint_every == 0 or self.state.iteration == self.p.iterations:
                self.hooks.flush()
                self.engine.save(self.state.iteration, asdict(self.state))
        self.engine.settle()
        return self.state.curve

    def _iterate(self) -> None:
        p, state = self.p, self.state
        if p.reset_optimizer:
            self.engine.reset_optimizer()
        temperature = self.temperature()
        with self._phase("sample"):
            finished, sampled = self.sampler.sample(self.engine, state, temperature)
        with self._phase("score"):
            rows: list[records.Row] = []
            even = self.unjudged = 0
            for group in finished:
                parts = score(group, state, p, self._judge)
                rewards = [part.total for part in parts]
                if max(rewards) - min(rewards) > EVEN:
                    state.ready.append(Group(group.rollouts, rewards, temperature))
                else:
                    even += 1
                if p.critic.coefficient > 0:
                    state.judged = [*state.judged, *outcomes(group)][-p.critic.window :]
                rows += records.rows(group, parts, self.tokenizer, iteration=state.iteration, temperature=temperature)
            if self.engine.leads:
                self.rollouts.write(state.iteration, rows)
        with self._phase("update"):
            reports = self._update()
            if reports:
                check_mismatch(p.rollouts, reports[0].mismatch)
        state.iteration += 1
        with self._phase("evaluate"):
            summary: dict[str, float] = {"temperature": temperature, "sampled_tokens": sampled, "even_groups": even}
            summary["unjudged"] = self.unjudged
            summary |= records.summary(rows, reports, self.setup.families.names)
            due = state.iteration == p.iterations or state.iteration % p.eval_every == 0
            self._record(summary | (self.engine.led(self._evaluate) if due else {}))
        self.hooks.log({f"rl/seconds_{phase}": spent for phase, spent in self.seconds.items()}, state.iteration)
        self.hooks.progress(1, f"reward {summary.get('reward', float('nan')):.3f}")

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def _judge(self, comparisons: Sequence[Comparison]) -> Sequence[float | None]:
        verdicts = self.engine.led(lambda model: self._critic(model)(comparisons))
        self.unjudged += sum(verdict is None for verdict in verdicts)
        return verdicts

    def _critic(self, model: K2Model) -> pairwise.Judge:
        return self.setup.judge or partial(pairwise.judge, model, self.tokenizer)

    def temperature(self) -> float:
        """High early, low late (K2 report §3.2.3), along a cosine."""
        t = self.p.temperature
        done = self.state.iteration / max(1, self.p.iterations - 1)
        return t.last + (t.first - t.last) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def lr(self, groups: int) -> float:
        """Linear from `lr` to `final_lr`, times the share of a step's prompts that carry a signal.

        Muon's step has one size whatever the gradient's; without the share, a step on the last two groups that still
        differ would be as large as one on all of them.
        """
        p = self.p
        planned = p.lr + (p.final_lr - p.lr) * self.state.iteration / max(1, p.iterations - 1)
        return planned * min(1.0, groups * p.updates / p.prompts)

    def _update(self) -> list[UpdateReport]:
        """Optimizer steps on the groups that carry a signal; too few for a step wait for the next iteration."""
        p, groups = self.p, self.state.ready
        steps = min(p.updates, len(groups) // self.micros)
        if not steps:
            return []
        if p.objective.importance_cap > 0:
            found = self.engine.shared(groups, lambda model, mine: own_logprobs(model, mine, self.tokenizer.pad))
            for group, values in zip(groups, found, strict=True):
                for rollout, own in zip(group.rollouts, values, strict=True):
                    rollout.own = own
        self.state.ready = []
        reports: list[UpdateReport] = []
        for number in range(steps):
            taken = groups[number::steps]
            reports.append(
                update(
                    self.engine,
                    taken,
                    p.objective,
                    micros=self.micros,
                    lr=self.lr(len(taken)),
                    pad_id=self.tokenizer.pad,
                    ptx=self._ptx(number),
                    ptx_weight=p.ptx,
                    critic=self._lessons(number),
                    critic_weight=p.critic.coefficient,
                    row_length=self.context,
                )
            )
        return reports

    def _ptx(self, number: int) -> list[Example]:
        """The rows of quality data of step `number` of this iteration."""
        p = self.p
        if self.setup.ptx is None or p.ptx == 0:
            return []
        first = (self.state.iteration * p.updates + number) * p.ptx_rows
        return [example for k in range(p.ptx_rows) for example in self.setup.ptx.row(first + k).examples]

    def _lessons(self, number: int) -> list[Example]:
        """What the critic learns from in step `number` of this iteration."""
        c, judged = self.p.critic, self.state.judged
        if c.coefficient == 0 or not judged:
            return []
        draw = rng(self.setup.seed, "lessons", self.state.iteration, number)
        chosen = draw.choice(len(judged), min(c.pairs, len(judged)), replace=False).tolist()
        return pairwise.lessons(self.tokenizer, [judged[k] for k in chosen], self.context)

    def _evaluate(self, model: K2Model) -> dict[str, float]:
        """Greedy success on held problems, and the critic's verdicts on held pairs."""
        p = self.p
        critic = self._critic(model)
        measures: dict[str, float] = {}
        for family, tasks in self.tasks.held.items():
            scores = held_scores(model, self.tokenizer, self.setup.families, family, tasks, p)
            known = [value for value in scores if value is not None]
            if known:
                measures[f"held_success_{family}"] = sum(known) / len(known)
        pairs = [task for tasks in self.tasks.held.values() for task in tasks if "wrong" in task.payload]
        if p.critic.held_pairs and pairs:
            share = accuracy(critic, pairs, p.critic.held_pairs)
            measures |= {} if share is None else {"held_critic_accuracy": share}
        if p.critic.held_open_pairs:
            measures |= open_measures(critic, p.critic.held_open_pairs, seed32(self.setup.seed, "held critic"))
        return measures

    def _record(self, measures: dict[str, float]) -> None:
        self.state.curve.append({"iteration": float(self.state.iteration)} | measures)
        self.hooks.log({f"rl/{key}": value for key, value in measures.items()}, self.state.iteration)
