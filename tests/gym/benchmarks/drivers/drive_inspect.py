"""inspect_ai's scorers as inspect_evals' tasks use them: `drive_inspect.py CASES`; prints every score that they give.

Items are read by the tasks' own functions. A case's `reply` stands in for what a model would say.
"""

import json
import sys
from pathlib import Path

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import choice, match
from inspect_ai.solver import multiple_choice, solver
from inspect_evals.gsm8k.gsm8k import record_to_sample as read_gsm8k
from inspect_evals.humaneval.humaneval import record_to_sample, verify


async def says(state, *args, **kwargs):
    state.output = ModelOutput.from_content("told", state.metadata["reply"])
    return state


@solver
def told():
    async def solve(state, generate):
        return await says(state)

    return solve


@solver
def chosen(cot):
    asks = multiple_choice(cot=cot)

    async def solve(state, generate):
        return await asks(state, says)

    return solve


def scored(samples, solver, scorer, **options):
    for number, sample in enumerate(samples):
        sample.id = number
    task = Task(MemoryDataset(samples), solver=solver, scorer=scorer, **options)
    (log,) = eval(task, model="mockllm/model", display="none", log_dir="logs", max_samples=1)
    assert log.status == "success", log.error
    values = {one.id: next(iter(one.scores.values())).value for one in log.samples}
    return [float(values[number] == "C") for number in range(len(samples))]


def with_reply(sample, row):
    sample.metadata = (sample.metadata or {}) | {"reply": row["reply"]}
    return sample


def letters(rows):
    return [
        Sample("Which?", choices=list("wxyz"), target=row["letter"], metadata={"reply": row["reply"]}) for row in rows
    ]


def main():
    cases = json.loads(Path(sys.argv[1]).read_text())
    read_humaneval = record_to_sample()
    answers = {
        "gsm8k": scored([with_reply(read_gsm8k(row), row) for row in cases["gsm8k"]], told(), match(numeric=True)),
        "mmlu": scored(letters(cases["mmlu"]), chosen(False), choice()),
        "gpqa": scored(letters(cases["gpqa"]), chosen(True), choice()),
        "humaneval": scored(
            [with_reply(read_humaneval(row), row) for row in cases["humaneval"]], told(), verify(), sandbox="local"
        ),
    }
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
