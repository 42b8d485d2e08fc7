"""RL against TRL's GRPO on the same checkpoint, questions, sample counts and machine, one thread, in one process.

    pip install --no-deps --target trl trl==1.16.0
    PYTHONPATH=trl python -m bench.rl [--start models/sft]

One round is what both do alike: K samples of each of P questions, their rewards, two optimizer steps on all of them.
The rewards are random, so no group is left out. TRL runs transformers' DeepseekV3 with AdamW and its own defaults; ours
runs K2's objective with MuonClip. The figure is processor time (the machine may be shared) of the best round of each.
Then the shares of a round's phases, and the tokens per second of the sampling.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback

from gym.tasksets.elementary import Elementary
from gym.tasksets.task import Task
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer
from k2model.inference.generate import Engine
from k2model.training.engine import TrainEngine
from k2model.training.options import OptimizerOptions
from stages.rl.episodes import SingleAnswer
from stages.rl.params import ObjectiveParams
from stages.rl.rollout import Rollout, advance
from stages.rl.update import Group, update

PROMPTS, SAMPLES, UPDATES, TOKENS = 24, 8, 2, 12
OBJECTIVE = ObjectiveParams(name="k2", tau=0.1, alpha=-1.0, beta=1.0, epsilon=0.2, importance_cap=0.0)


def questions() -> list[Task]:
    per_family = PROMPTS // 3
    return [task for family in ("parity", "size", "category") for task in Elementary(family).tasks(per_family, 0, 0.0)]


class OurRounds:
    """Our engine and update, as the loop calls them."""

    def __init__(self, start: Path, tokenizer: K2Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.engine = TrainEngine(start, OptimizerOptions(weight_decay=0.0), micro_batches=1)
        self.number, self.tokens = 0, 0
        self.seconds = {"sample": 0.0, "update": 0.0}

    def round(self, tasks: Sequence[Task]) -> None:
        began = time.process_time()
        self.number += 1
        rng = np.random.default_rng(self.number)
        rollouts = [[Rollout(f"{n}/{k}", "", n, TOKENS) for k in range(SAMPLES)] for n in range(len(tasks))]
        flat = [rollout for group in rollouts for rollout in group]
        episodes = {rollout.key: SingleAnswer(self.tokenizer, None, tasks[rollout.prompt]) for rollout in flat}
        self.engine.model.eval()
        self.tokens += advance(
            Engine(self.engine.model, self.tokenizer, max_batch=64, max_length=256),
            flat,
            episodes,
            temperature=1.0,
            seed=self.number,
            stop_ids=self.tokenizer.ends,
            context=256,
            token_limit=10**9,
        )
        sampled = time.process_time()
        self.engine.model.train()
        groups = [Group(group, rng.random(SAMPLES).tolist(), 1.0) for group in rollouts]
        for number in range(UPDATES):
            update(
                self.engine,
                groups[number::UPDATES],
                OBJECTIVE,
                micros=1,
                lr=1e-5,
                pad_id=self.tokenizer.pad,
                ptx=[],
                ptx_weight=0.0,
                critic=[],
                critic_weight=0.0,
                row_length=256,
            )
        self.seconds["sample"] += sampled - began
        self.seconds["update"] += time.process_time() - sampled


class StepTimes(TrainerCallback):
    """Processor time at the end of every optimizer step."""

    def __init__(self) -> None:
        self.times = [time.process_time()]

    def on_step_end(self, args: object, state: object, control: object, **rest: object) -> None:
        self.times.append(time.process_time())


def trl_rounds(start: Path, tasks: Sequence[Task], tokenizer: K2Tokenizer, work: Path, n: int) -> StepTimes:
    """Runs TRL's trainer for `n` rounds; its clock."""
    from trl import GRPOConfig, GRPOTrainer

    tok = PreTrainedTokenizerFast(
        tokenizer_file=str(start / "tokenizer.json"),
        eos_token="<|im_end|>",
        pad_token="[PAD]",
    )
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    prompts = [tokenizer.decode(SingleAnswer(tokenizer, None, task).prompt()) for task in tasks]
    rng = np.random.default_rng(0)

    def reward(completions: list[str], **rest: object) -> list[float]:
        return rng.random(len(completions)).tolist()

    config = GRPOConfig(
        output_dir=str(work),
        per_device_train_batch_size=PROMPTS * SAMPLES // UPDATES,
        steps_per_generation=UPDATES,
        num_generations=SAMPLES,
        max_completion_length=TOKENS,
        max_steps=n * UPDATES,
        learning_rate=1e-5,
        temperature=1.0,
        beta=0.0,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    clock = StepTimes()
    data = Dataset.from_dict({"prompt": prompts})
    GRPOTrainer(
        model=model, reward_funcs=reward, args=config, train_dataset=data, processing_class=tok, callbacks=[clock]
    ).train()
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, default=Path("models/sft"))
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = load_tokenizer(args.start)
    tasks = questions()
    with tempfile.TemporaryDirectory() as folder:
        clock = trl_rounds(args.start, tasks, tokenizer, Path(folder) / "trl", args.rounds)
        ours = OurRounds(args.start, tokenizer)
        best = float("inf")
        for _ in range(args.rounds):
            began = time.process_time()
            ours.round(tasks)
            best = min(best, time.process_time() - began)
    rounds = [clock.times[k + UPDATES] - clock.times[k] for k in range(0, len(clock.times) - UPDATES, UPDATES)]
    samples = PROMPTS * SAMPLES
    total = sum(ours.seconds.values())
    print(f"ours        {samples / best:7.1f} samples/s")
    print(f"TRL         {samples / min(rounds):7.1f} samples/s")
    print(f"ratio       {min(rounds) / best:7.2f}")
    print(f"phases      sample {ours.seconds['sample'] / total:.0%}, update {ours.seconds['update'] / total:.0%}")
    print(f"sampling    {ours.tokens / ours.seconds['sample']:7.0f} tokens/s")


if __name__ == "__main__":
    main()
