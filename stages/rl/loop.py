"""The RL loop: sample, score, update; joint over verifiable tasks and open prompts that the policy judges itself.

An iteration (K2 report §3.2): choose prompts, sample K answers each at this iteration's temperature within a token
allowance (what isn't finished waits for the next iteration), score them, centre rewards within a prompt, take
optimizer steps with the PTX and critic losses added. The sampler and the trainer share one copy of the weights;
the sampler's cache exists only while it samples.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agents.conversations.tasks import applications
from agents.tools.evolve import evolve
from gym.decontaminate import Index, clean_tasks
from gym.tasksets import open_ended
from gym.tasksets.task import Task
from gym.verifiers.result import Result, Status
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from k2model.training.engine import OptimizerOptions
from stages.harness.errors import InputError
from stages.harness.seeds import rng, sub_seed
from stages.harness.tables import ROLLOUTS, read_table, write_table
from stages.measure.tasks import solved
from stages.posttraining.finetune import FineTune
from stages.posttraining.mixture import Mixture
from stages.posttraining.packing import Example
from stages.rl import backends, critic, judge
from stages.rl.episodes import TOOLS, Answer, ToolUse, tool_tasks
from stages.rl.families import Families
from stages.rl.params import RlParams
from stages.rl.prompts import Pool, shares
from stages.rl.rewards import Parts, Toggle, budget_from, length_rewards
from stages.rl.rollout import Backend, Episode, Rollout, advance, replay
from stages.rl.update import Group, UpdateReport, update

OPEN = "open_ended"
Row = dict[str, Any]
OpenBackend = Callable[[K2Model, K2Tokenizer, int, int], Backend]


@dataclass(frozen=True)
class Job:
    """What to train, from where, on what.

    ptx: rows of quality data, each step takes the next `ptx_rows`; None: the PTX loss is off.
    families: the open tasksets that the parameters name.
    index: benchmarks' texts; tasks that overlap are not trained on.
    """

    params: RlParams
    start: Path
    work: Path
    seed: int
    tokenizer: K2Tokenizer
    ptx: Mixture | None
    families: Families
    index: Index = field(default_factory=Index)


@dataclass
class Hooks:
    log: Callable[[Mapping[str, float], int], None] = lambda metrics, step: None
    flush: Callable[[], None] = lambda: None
    progress: Callable[[int, str], None] = lambda n, note: None
    say: Callable[[str], None] = lambda line: None


@dataclass
class State:
    """Everything but tensors; it is in every checkpoint.

    waiting: groups with unfinished rollouts, as (prompt number, rollout states). ready: groups to train on.
    judged: the newest comparisons with a known outcome, as [question, right answer, wrong answer].
    """

    iteration: int = 0
    pools: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    waiting: list[list[Row]] = field(default_factory=list)
    ready: list[Row] = field(default_factory=list)
    judged: list[list[str]] = field(default_factory=list)
    toggle_budget: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


class Loop:
    """One RL run; `run` goes on from the newest checkpoint to the last iteration.

    Attributes:
        seconds: wall time of this process by phase (sample, score, update, evaluate).
        overlapping: tasks left out by family/benchmark.
    """

    def __init__(self, job: Job, hooks: Hooks) -> None:
        p = job.params
        self.job, self.p, self.hooks = job, p, hooks
        self.open_backend: OpenBackend = backends.colocated
        if p.rollouts.backend == "server":
            self.open_backend = backends.ServerRollouts(p.rollouts.url, job.work / "pushed")
        elif p.rollouts.backend == "int4":
            self.open_backend = backends.Int4Rollouts()
        self.tokenizer = job.tokenizer
        self.micros = p.prompts // (p.updates * p.micro_groups)
        options = OptimizerOptions(weight_decay=p.weight_decay, momentum=p.momentum)
        self.tune = FineTune(
            job.start, job.work, options, micro_batches=self.micros, compute=p.compute, fake_quant=p.fake_quant
        )
        self.context = min(self.tune.model.config.max_position_embeddings, 1024)
        self.families = job.families
        self.tasks = {
            family: self.families.tasks(family, "train", p.pool, self._seed("pool", family), p.difficulty)
            for family in p.families
        }
        self.held = {
            family: self.families.tasks(family, "held", p.held_tasks, self._seed("held", family), p.difficulty)
            for family in p.families
        }
        self.tasks[OPEN] = open_ended.tasks(p.pool, self._seed("pool", OPEN))
        self.apps = applications(evolve())
        if p.tool_tasks:
            self.tasks[TOOLS] = tool_tasks(self.apps, p.pool, self._seed("pool", TOOLS) % 2**30)
        self.overlapping: dict[str, int] = {}
        for name, tasks in self.tasks.items():
            self.tasks[name], dropped = clean_tasks(tasks, job.index)
            if not self.tasks[name]:
                raise InputError(f"rl.families: every task of {name} is a benchmark's")
            self.overlapping |= {f"{name}/{key}": count for key, count in dropped.items()}
        self.rollouts_folder = job.work / "rollouts"
        self.seconds: dict[str, float] = {}
        self.state = State(pools={name: asdict(Pool.fresh(len(tasks))) for name, tasks in self.tasks.items()})

    def _seed(self, *names: str | int) -> int:
        return sub_seed(self.job.seed, *names) % 2**32

    def run(self) -> list[dict[str, float]]:
        """Trains to the end and returns the curve, one row an iteration."""
        saved = self.tune.resume()
        for problem in self.tune.problems:
            self.hooks.say(f"skipped a corrupted checkpoint: {problem}")
        self.rollouts_folder.mkdir(parents=True, exist_ok=True)
        if saved is not None:
            self.state = State(**saved)
            self.hooks.say(f"resumed at iteration {self.state.iteration} of {self.p.iterations}")
        else:
            self._record({}, self._evaluate())
        self.hooks.progress(self.state.iteration, "")
        while self.state.iteration < self.p.iterations:
            self._iterate()
            if self.state.iteration % self.p.checkpoint_every == 0 or self.state.iteration == self.p.iterations:
                self.hooks.flush()
                self.tune.save(self.state.iteration, asdict(self.state))
        self.tune.close()
        return self.state.curve

    def temperature(self) -> float:
        """High early, low late (K2 report §3.2.3), along a cosine."""
        t = self.p.temperature
        done = self.state.iteration / max(1, self.p.iterations - 1)
        return t.last + (t.first - t.last) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def _iterate(self) -> None:
        p, number = self.p, self.state.iteration
        if p.reset_optimizer:
            self.tune.engine.optimizer.reset_state()
        temperature = self.temperature()
        began = time.perf_counter()
        groups, sampled = self._sample(temperature)
        scored_from = self._spent("sample", began)
        records: list[Row] = []
        done: list[Group] = []
        for name, task, rollouts, episodes in groups:
            parts, verdicts = self._score(name, task, rollouts, episodes, temperature)
            done.append(Group(rollouts, [part.total for part in parts], temperature))
            self._learn(name, task, episodes, verdicts)
            for rollout, part, verdict, episode in zip(rollouts, parts, verdicts, episodes, strict=True):
                records.append(self._row(number, name, task, rollout, part, verdict, episode, temperature))
        write_table(self.rollouts_folder / f"{number:06d}.parquet", records, ROLLOUTS)
        varied = [group for group in done if max(group.rewards) - min(group.rewards) > 1e-9]
        self.state.ready += [asdict(group) for group in varied]
        updated_from = self._spent("score", scored_from)
        reports = self._update()
        held_from = self._spent("update", updated_from)
        self.state.iteration += 1
        summary = self._summary(records, sampled, len(done) - len(varied), reports, temperature)
        last = self.state.iteration == p.iterations
        self._record(summary, self._evaluate() if last or self.state.iteration % p.eval_every == 0 else {})
        self._spent("evaluate", held_from)
        self.hooks.log({f"rl/seconds_{phase}": spent for phase, spent in self.seconds.items()}, self.state.iteration)
        self.hooks.progress(1, f"reward {summary.get('reward', float('nan')):.3f}")

    def _spent(self, phase: str, began: float) -> float:
        """Adds the time since `began` to a phase; gives the time now."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - began
        return now

    def _sample(self, temperature: float) -> tuple[list[tuple[str, Task, list[Rollout], list[Episode]]], int]:
        """Samples this iteration's groups and those that waited; gives the finished ones."""
        p, number = self.p, self.state.iteration
        waiting = [[Rollout(**row) for row in rows] for rows in self.state.waiting]
        fresh = self._choose(p.prompts - len(waiting))
        for place, (name, index) in enumerate(fresh):
            budget = max(1, round(self.tasks[name][index].token_budget * p.budget.scale))
            keys = [f"{number}/{place}/{name}/{index}/{k}" for k in range(p.samples)]
            waiting.append([Rollout(key, index, budget) for key in keys])
        episodes = {rollout.key: self._episode(rollout) for rollouts in waiting for rollout in rollouts}
        backend = self.open_backend(self.tune.model, self.tokenizer, p.max_batch, self.context)
        self.tune.model.eval()
        sampled = advance(
            backend,
            [rollout for rollouts in waiting for rollout in rollouts],
            episodes,
            temperature=temperature,
            seed=self._seed("rollouts", number),
            stop_ids=frozenset({self.tokenizer.im_end, self.tokenizer.eos}),
            context=self.context,
            token_limit=p.rollout_tokens,
        )
        finished = [rollouts for rollouts in waiting if all(rollout.stop for rollout in rollouts)]
        self.state.waiting = [[r.state() for r in rollouts] for rollouts in waiting if rollouts not in finished]
        groups = []
        for rollouts in finished:
            name = _family(rollouts[0])
            own = [episodes[rollout.key] for rollout in rollouts]
            groups.append((name, self.tasks[name][rollouts[0].prompt], rollouts, own))
        return groups, sampled

    def _choose(self, count: int) -> list[tuple[str, int]]:
        draw = rng(self.job.seed, "prompts", self.state.iteration)
        open_count = min(count, self.p.critic.open_prompts)
        tool_count = min(count - open_count, self.p.tool_tasks)
        wanted = shares(count - open_count - tool_count, self.p.families) | {OPEN: open_count, TOOLS: tool_count}
        chosen = []
        for name, n in wanted.items():
            if n:
                answers = [str(task.payload.get("answer", "")) for task in self.tasks[name]]
                chosen += [(name, k) for k in self._pool(name).choose(n, self.state.iteration, answers, draw)]
        return chosen

    def _pool(self, name: str) -> Pool:
        return Pool(**self.state.pools[name])

    def _episode(self, rollout: Rollout) -> Episode:
        name = _family(rollout)
        task = self.tasks[name][rollout.prompt]
        episode: Episode
        if name == TOOLS:
            episode = ToolUse(self.tokenizer, self.apps, task)
        else:
            episode = Answer(self.tokenizer, None if name == OPEN else self.families.tasksets[name], task)
        replay(episode, rollout)
        return episode

    def _score(
        self, name: str, task: Task, rollouts: list[Rollout], episodes: list[Episode], temperature: float
    ) -> tuple[list[Parts], list[Result]]:
        """Rewards of one group. A verifier's error is no reward: the rollout gets the group's mean."""
        p = self.p
        verdicts = [episode.verdict() for episode in episodes]
        if name == OPEN:
            answers = [episode.answer() for episode in episodes]
            question = str(task.messages[-1]["content"])
            wins = critic.win_matrix(
                question,
                answers,
                task.payload["rubric"],
                lambda asked: judge.judge(self.tune.model, self.tokenizer, asked),
            )
            scores = [float(one) for one in critic.rewards(wins)]
        else:
            known = [verdict.score for verdict in verdicts if verdict.score is not None]
            mean = sum(known) / len(known) if known else 0.0
            scores = [mean if verdict.score is None else verdict.score for verdict in verdicts]
            pool = self._pool(name)
            pool.record(rollouts[0].prompt, self.state.iteration, known)
            self.state.pools[name] = asdict(pool)
        parts = [Parts(task=score) for score in scores]
        lengths = [rollout.spent for rollout in rollouts]
        if p.length_reward > 0:
            for part, extra in zip(parts, length_rewards(lengths, [score > 0.5 for score in scores]), strict=True):
                part.length = p.length_reward * extra
        if p.toggle.every > 0 and name != OPEN:
            self._toggle(parts, scores, lengths)
        for part, rollout in zip(parts, rollouts, strict=True):
            if rollout.stop == "budget":
                part.budget = -p.budget.penalty
            if rollout.loops:
                part.repeat = -p.repeat_penalty
        return parts, verdicts

    def _toggle(self, parts: list[Parts], scores: list[float], lengths: list[int]) -> None:
        t = self.p.toggle
        right = [length for length, score in zip(lengths, scores, strict=True) if score > 0.5]
        if self.state.toggle_budget == 0 and right:
            self.state.toggle_budget = budget_from(right, t.percentile)
        toggle = Toggle(t.every, t.accuracy, self.state.toggle_budget)
        accuracy = sum(scores) / len(scores)
        for part, length in zip(parts, lengths, strict=True):
            if not toggle.keeps(self.state.iteration, accuracy, length):
                part.task = 0.0

    def _learn(self, name: str, task: Task, episodes: list[Episode], verdicts: list[Result]) -> None:
        """Comparisons for the critic from a verifiable group: its right answer against each different wrong one."""
        if name in (OPEN, TOOLS) or self.p.critic.coefficient == 0:
            return
        said = [(e.answer(), v.score) for e, v in zip(episodes, verdicts, strict=True) if e.answer()]
        right = next((text for text, score in said if score == 1.0), None)
        if right is None:
            return
        wrong = dict.fromkeys(text for text, score in said if score == 0.0)
        question = str(task.messages[-1]["content"])
        self.state.judged += [[question, right, text] for text in wrong]
        self.state.judged = self.state.judged[-self.p.critic.window :]

    def _lessons(self, number: int) -> list[Example]:
        """What the critic learns from in step `number` of this iteration, each comparison in both orders."""
        c, judged = self.p.critic, self.state.judged
        if c.coefficient == 0 or not judged:
            return []
        draw = rng(self.job.seed, "lessons", self.state.iteration, number)
        chosen = draw.choice(len(judged), min(c.pairs, len(judged)), replace=False).tolist()
        lessons = []
        for question, right, wrong in (judged[k] for k in chosen):
            for pair, first in (((right, wrong), True), ((wrong, right), False)):
                lessons.append(judge.lesson(self.tokenizer, critic.Comparison(question, *pair), first))
        return lessons

    def _ptx(self, number: int) -> list[Example]:
        """The rows of quality data of step `number` of this iteration."""
        p = self.p
        if self.job.ptx is None or p.ptx == 0:
            return []
        place = (self.state.iteration * p.updates + number) * p.ptx_rows
        return [example for k in range(p.ptx_rows) for example in self.job.ptx.row(place + k)]

    def _update(self) -> list[UpdateReport]:
        """Optimizer steps on the groups that carry a signal; too few for a step wait for the next iteration."""
        p = self.p
        groups = [
            Group([Rollout(**row) for row in one["rollouts"]], one["rewards"], one["temperature"])
            for one in self.state.ready
        ]
        steps = min(p.updates, len(groups) // self.micros)
        if not steps:
            return []
        self.state.ready = []
        self.tune.model.train()
        reports: list[UpdateReport] = []
        for number in range(steps):
            taken = groups[number::steps]
            reports.append(
                update(
                    self.tune,
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

    def lr(self, groups: int) -> float:
        """Linear from `lr` to `final_lr`, times the share of a step's prompts that carry a signal.

        Muon's step has one size whatever the gradient's; without the share, a step on the last two groups that still
        differ would be as large as one on all of them.
        """
        p = self.p
        planned = p.lr + (p.final_lr - p.lr) * self.state.iteration / max(1, p.iterations - 1)
        return planned * min(1.0, groups * p.updates / p.prompts)

    def _evaluate(self) -> dict[str, float]:
        """Greedy success on held problems, and the critic's accuracy on held pairs."""
        p, model = self.p, self.tune.model
        model.eval()
        found: dict[str, float] = {}
        for family, tasks in self.held.items():
            scores = solved(model, self.tokenizer, self.families.tasksets[family], tasks, p.budget.scale)
            known = [score for score in scores if score is not None]
            if known:
                found[f"success_{family}"] = sum(known) / len(known)
        pairs = [task for tasks in self.held.values() for task in tasks if "wrong" in task.payload]
        if p.critic.held_pairs and pairs:
            found["critic_accuracy"] = judge.accuracy(model, self.tokenizer, pairs, p.critic.held_pairs)
        return found

    def _summary(
        self, records: list[Row], sampled: int, even: int, reports: list[UpdateReport], temperature: float
    ) -> dict[str, float]:
        """Means over this iteration's finished rollouts; statuses are counted apart."""
        summary: dict[str, float] = {"temperature": temperature, "sampled_tokens": sampled, "even_groups": even}
        if records:
            summary |= {
                "reward": float(np.mean([row["reward"] for row in records])),
                "length": float(np.mean([row["tokens"] for row in records])),
                "surprise": float(np.mean([row["surprise"] for row in records])),
                "truncated": float(np.mean([row["stop"] != "done" for row in records])),
                "loops": float(np.mean([row["reward_repeat"] < 0 for row in records])),
                "hacked": float(np.mean([row["hacked"] for row in records])),
                "verifier_errors": float(sum(row["status"] == Status.VERIFIER_ERROR.value for row in records)),
                "timeouts": float(sum(row["status"] == Status.TIMEOUT.value for row in records)),
                "stopped_programs": float(sum("_limit" in row["reason"] for row in records)),
            }
            for family in [*self.p.families, TOOLS]:
                scores = [row["score"] for row in records if row["taskset"] == family and row["score"] is not None]
                if scores:
                    summary[f"sampled_success_{family}"] = float(np.mean(scores))
        if reports:
            summary |= {
                "loss": float(np.mean([report.loss for report in reports])),
                "mismatch": reports[0].mismatch,
                "log_ratio": reports[-1].log_ratio,
                "max_logit": max(report.max_logit for report in reports),
            }
        return summary

    def _record(self, summary: dict[str, float], held: dict[str, float]) -> None:
        row = {"iteration": float(self.state.iteration)} | summary | {f"held_{k}": v for k, v in held.items()}
        self.state.curve.append(row)
        self.hooks.log({f"rl/{key}": value for key, value in row.items() if key != "iteration"}, self.state.iteration)

    def _row(
        self,
        number: int,
        name: str,
        task: Task,
        rollout: Rollout,
        part: Parts,
        verdict: Result,
        episode: Episode,
        temperature: float,
    ) -> Row:
        own = [value for value, mine in zip(rollout.logprobs, rollout.sampled, strict=True) if mine]
        return {
            "iteration": number,
            "key": rollout.key,
            "taskset": name,
            "task_id": task.id,
            "question": json.dumps([dict(message) for message in task.messages], ensure_ascii=False),
            "text": self.tokenizer.decode([i for i, mine in zip(rollout.tokens, rollout.sampled, strict=True) if mine]),
            "tokens": rollout.spent,
            "surprise": -float(np.mean(own)) if own else 0.0,
            "stop": rollout.stop,
            "temperature": temperature,
            "score": verdict.score,
            "status": verdict.status.value,
            "reason": verdict.reason,
            "hacked": bool(critic.violations(episode.answer())),
            **part.record(),
        }

    def records(self) -> list[Row]:
        """The rollouts of every iteration, in order."""
        files = [self.rollouts_folder / f"{number:06d}.parquet" for number in range(self.p.iterations)]
        return [row for file in files for row in read_table(file, ROLLOUTS).to_pylist()]


def _family(rollout: Rollout) -> str:
    """Its name may have slashes: the key is iteration/place/family/index/sample."""
    return "/".join(rollout.key.split("/")[2:-2])
