"""The pre-training loop: the schedule's phases over the token stream, in a DeepSpeed engine, restartable anywhere.

Every rank runs `train`; rank 0 keeps the history, decides which checkpoint to resume from and talks to the user.
"""

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from k2model.config import K2Config, YarnConfig
from k2model.errors import CheckpointError, ConfigError
from k2model.flops import matmul_peak, train_flops_per_token
from k2model.formats.checkpoint import load_config
from k2model.model import Output
from k2model.training.engine import TrainEngine
from k2model.training.schedule import Phase, Schedule
from k2model.training.step import StepReport
from k2model.training.token_shards import TokenBatch, TokenStream, read_index
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
from stages.harness.hooks import Hooks
from stages.pretrain.guard import LossGuard, LossProblem
from stages.pretrain.params import PretrainParams

COLUMNS = (
    "step",
    "tokens",
    "loss",
    "lr",
    "grad_norm",
    "max_logit",
    "clipped_heads",
    "load_cv",
)


@dataclass(frozen=True)
class PretrainJob:
    """What to train from which folder, on what, and where the resumable state lives.

    special: ids of K2's special tokens.
    """

    params: PretrainParams
    start: Path
    special: frozenset[int]
    data_seed: int
    threads: int
    tokens: Path
    work: Path


@dataclass
class PretrainState:
    """The part of the training state that isn't tensors; all of it is in every checkpoint.

    position: tokens of the stream that are consumed. skipped: positions of batches that a rollback left out.
    """

    step: int = 0
    position: int = 0
    rollbacks: int = 0
    skipped: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def schedule_of(p: PretrainParams) -> Schedule:
    """The report's phases: WSD, annealing, long-context activation."""
    o = p.optimizer
    wsd = Phase(
        "pretrain.wsd",
        p.steps,
        p.sequence_length,
        o.lr,
        p.wsd.final_lr,
        p.wsd.warmup_steps,
        p.wsd.decay_steps,
        bias_rate=o.bias_rate,
    )
    before = p.wsd.final_lr if p.wsd.decay_steps else o.lr
    annealing = Phase(
        "pretrain.annealing",
        p.annealing.steps,
        p.sequence_length,
        before,
        p.annealing.final_lr,
        decay_steps=p.annealing.steps,
    )
    last = p.annealing.final_lr if p.annealing.steps else before
    long = Phase(
        "pretrain.long_context",
        p.long_context.steps,
        p.long_context.sequence_length,
        last,
        last,
        yarn_factor=p.long_context.yarn_factor,
    )
    return Schedule([wsd, annealing, long], p.global_batch_tokens)


def check_vocabulary(config: K2Config, start: Path, tokens: Path) -> None:
    """Raises InputError when the token shards were made with another vocabulary than the model's."""
    vocab = int(read_index(tokens)["vocab_size"])
    if vocab > config.vocab_size:
        raise InputError(f"{tokens}: ids of {vocab:,} tokens, {start} knows {config.vocab_size:,}")


def check_start(config: K2Config, phases: Sequence[Phase], start: Path) -> None:
    """Raises InputError when a phase can't go on from the model in `start`."""
    for phase in phases:
        try:
            config.check_bias_rate(phase.bias_rate)
        except ConfigError as error:
            raise InputError(f"{phase.name}.{error} ({start})") from None
        if phase.yarn_factor > 1 and config.rope_scaling is not None:
            reach = (
                f"factor {config.rope_scaling.factor:g} over {config.rope_scaling.original_max_position_embeddings:,}"
            )
            raise InputError(
                f"{phase.name}.yarn_factor: {phase.yarn_factor:g}; the model in {start} has YaRN of its own ({reach}), "
                "set it to 1"
            )


def _loss(model: nn.Module, batch: TokenBatch) -> tuple[Tensor, Output]:
    output = model(batch.tokens_BL, batch.targets_BL, segment_ids_BL=batch.segments_BL)
    assert output.loss is not None
    return output.loss, output


@dataclass(frozen=True)
class StepBatches:
    """The micro-batches of one step, read from the stream when asked for."""

    stream: TokenStream
    position: int
    micro_batch_tokens: int
    length: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> TokenBatch:
        first = self.position + number * self.micro_batch_tokens
        return self.stream.batch(first, self.micro_batch_tokens // self.length, self.length)


class History:
    """One row per step in a CSV file, appended as training goes; a resumed run drops what it will do again."""

    def __init__(self, path: Path, step: int) -> None:
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="") as handle:
                rows = list(csv.DictReader(handle))
            self.rows = [row for row in rows if row["step"].isdigit() and int(row["step"]) <= step]
        self.path = path
        self._rewrite()

    def _rewrite(self) -> None:
        with write_atomic(self.path) as tmp, tmp.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)

    def truncate(self, step: int) -> None:
        self.rows = [row for row in self.rows if int(row["step"]) <= step]
        self._rewrite()

    def add(self, values: Mapping[str, float]) -> None:
        row = {key: f"{values[key]:.8g}" if isinstance(values[key], float) else str(values[key]) for key in COLUMNS}
        self.rows.append(row)
        with self.path.open("a", newline="") as handle:
            csv.DictWriter(handle, COLUMNS).writerow(row)

    def column(self, name: str) -> list[float]:
        return [float(row[name]) for row in self.rows]


class Trainer:
    """One rank of a training run; see `train`."""

    def __init__(self, job: PretrainJob, hooks: Hooks) -> None:
        p = job.params
        self.job, self.p, self.hooks = job, p, hooks
        torch.set_num_threads(max(1, job.threads))
        self.schedule = schedule_of(p)
        self.stream = TokenStream(job.tokens, "train", job.data_seed)
        stored = load_config(job.start)
        check_vocabulary(stored, job.start, job.tokens)
        check_start(stored, self.schedule.phases, job.start)
        self.micro_batches = p.global_batch_tokens // p.micro_batch_tokens
        self.engine = TrainEngine(
            job.start,
            p.optimizer.options(job.special),
            micro_batches=self.micro_batches,
            layout=p.layout,
            checkpoints=job.work / "checkpoints",
            keep=p.checkpoint.keep,
        )
        config = self.engine.model.config
        longest = max(phase.sequence_length for phase in self.schedule.phases)
        if config.max_position_embeddings < longest:
            config = config.replace(max_position_embeddings=longest)
        self.base_config = config
        self.engine.set_config(config)
        self.state = PretrainState()
        self.guard = LossGuard(p.guard.window, p.guard.z)
        self.phase_index = -1
        self.history: History | None = None  # of rank 0
        self.leads = self.engine.leads
        dtype = self.engine.model.lm_head.weight.dtype
        self.peak = matmul_peak(self.engine.device, dtype) * p.ranks if self.leads else 1.0

    def resume(self) -> None:
        """Goes to the newest intact checkpoint; without one, takes the first, at step 0."""
        if not self._load():
            if self.leads:
                self.history = History(self.job.work / "history.csv", 0)
            self.save()
            return
        if self.leads:
            self.history = History(self.job.work / "history.csv", self.state.step)
            if self.state.step:
                self.hooks.say(f"resumed at step {self.state.step:,} of {self.schedule.steps:,}")

    def _load(self) -> bool:
        """Whether there was a checkpoint to go to."""
        saved = self.engine.resume()
        for problem in self.engine.problems:
            self.hooks.say(f"skipped a corrupted checkpoint: {problem}")
        if saved is None:
            return False
        self.state = PretrainState(**saved)
        self.guard = LossGuard(self.p.guard.window, self.p.guard.z, self.state.losses)
        at = self.schedule.at(min(self.state.step, self.schedule.steps - 1))
        self._enter(at.index, at.phase)
        return True

    def save(self) -> None:
        """Takes a checkpoint; it is written while training goes on."""
        self.hooks.flush()
        self.state.losses = list(self.guard.losses)
        self.engine.save(self.state.step, asdict(self.state))

    def run(self) -> None:
        """Trains to the end of the schedule.

        Raises:
            InputError: the loss became NaN or spiked, and the policy says stop.
        """
        every = self.p.checkpoint.every_steps
        while self.state.step < self.schedule.steps:
            self._step()
            if self.state.step % every == 0 or self.state.step == self.schedule.steps:
                self.save()
        self.engine.settle()

    def _enter(self, index: int, phase: Phase) -> None:
        if index == self.phase_index:
            return
        self.phase_index = index
        config = self.base_config
        if phase.yarn_factor > 1:
            yarn = YarnConfig(factor=phase.yarn_factor, original_max_position_embeddings=self.p.sequence_length)
            reach = int(phase.yarn_factor * self.p.sequence_length)
            longest = max(reach, phase.sequence_length, config.max_position_embeddings)
            config = config.replace(max_position_embeddings=longest, rope_scaling=yarn)
        self.engine.set_config(config)

    def _step(self) -> None:
        started = time.perf_counter()
        at = self.schedule.at(self.state.step)
        self._enter(at.index, at.phase)
        length = at.phase.sequence_length
        tokens = self.p.global_batch_tokens
        while self.state.position in self.state.skipped:
            self.state.position += tokens
        position = self.state.position
        batches = StepBatches(self.stream, position, self.p.micro_batch_tokens, length, self.micro_batches)
        loss = self.engine.accumulate(_loss, batches)
        problem = self.guard.problem(loss, self.engine.grad_norm())
        if problem is not None and self._refuse(problem, position):
            return
        report = self.engine.apply(loss, lr=at.lr, bias_rate=at.phase.bias_rate)
        self.guard.accept(loss)
        self.state.step += 1
        self.state.position += tokens
        self._record(report, at.lr, length, time.perf_counter() - started)

    def _record(self, report: StepReport, lr: float, length: int, seconds: float) -> None:
        if self.history is None:
            return
        rate = self.p.global_batch_tokens / seconds
        flops = rate * train_flops_per_token(self.engine.model.config, length)
        values: dict[str, float] = {
            "step": self.state.step,
            "tokens": self.state.step * self.p.global_batch_tokens,
            "loss": report.loss,
            "lr": lr,
            "grad_norm": report.grad_norm,
            "max_logit": report.max_logit,
            "clipped_heads": report.clipped_heads,
            "load_cv": report.load_cv,
        }
        self.history.add(values)
        # Timings go to the tracker alone: a run done again must write the same bytes.
        timed = values | {"tokens_per_s": rate, "mfu": flops / self.peak}
        self.hooks.log({f"train/{k}": v for k, v in timed.items() if k != "step"}, self.state.step)
        self.hooks.progress(1, f"loss {report.loss:.3f} max logit {report.max_logit:.1f}")

    def _refuse(self, problem: LossProblem, position: int) -> bool:
        """Handles a bad batch; True when the step must not be taken.

        Raises:
            InputError: the policy is to stop, or there were too many rollbacks.
        """
        p, tokens = self.p.guard, self.p.global_batch_tokens
        documents = self.stream.documents_at(position, tokens)
        shown = ", ".join(map(str, documents[:5])) + (", …" if len(documents) > 5 else "")
        batch = f"tokens {position:,} to {position + tokens:,} of the stream, {len(documents)} documents ({shown})"
        line = f"step {self.state.step + 1}: {problem.words}; batch: {batch}"
        if p.policy == "log" and problem.kind == "spike":
            self.hooks.say(line)
            return False
        if p.policy != "rollback":
            raise InputError(f"{line}; pretrain.guard.policy is {p.policy}, a run can also roll back")
        if self.state.rollbacks >= p.max_rollbacks:
            raise InputError(f"{line}; {self.state.rollbacks} rollbacks are used up (pretrain.guard.max_rollbacks)")
        self.engine.discard()
        self.engine.settle()
        rollbacks, skipped = self.state.rollbacks + 1, [*self.state.skipped, position]
        if not self._load():
            raise CheckpointError(f"{self.job.work / 'checkpoints'}: no intact checkpoint to roll back to")
        self.state.rollbacks, self.state.skipped = rollbacks, skipped
        if self.history is not None:
            self.history.truncate(self.state.step)
        self.hooks.say(f"{line}; rolled back to step {self.state.step}, the batch is skipped")
        return True


def train(job: PretrainJob, hooks: Hooks | None = None) -> Trainer:
    """Trains or resumes to the end of the schedule and returns the trainer, whose model is the result.

    Raises:
        InputError: a parameter that doesn't fit, or a loss that the policy refuses.
        ConfigError, CheckpointError: a model or token shards that can't be.
    """
    trainer = Trainer(job, hooks or Hooks())
    trainer.resume()
    trainer.run()
    return trainer
