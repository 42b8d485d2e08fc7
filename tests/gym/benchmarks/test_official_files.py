"""Official data by a path: small files in the official schema are read, asked and graded; a broken one is a line."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gym.benchmarks import gpqa, livecodebench
from gym.benchmarks.base import DataError, Reply
from gym.benchmarks.open import open_benchmark
from gym.sandbox import open_sandbox


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_ifevals_input_data(tmp_path: Path) -> None:
    """google-research's file gives every kwarg of every instruction, null where it isn't used."""
    unused = {"num_highlights": None, "relation": None, "num_words": None, "keywords": None}
    row = {
        "key": 1000, "prompt": "Write without commas and highlight two parts.",
        "instruction_id_list": ["punctuation:no_comma", "detectable_format:number_highlighted_sections"],
        "kwargs": [unused, unused | {"num_highlights": 2}],
    }  # fmt: skip
    bench = open_benchmark("ifeval", jsonl(tmp_path / "input_data.jsonl", [row]))
    assert bench.manifest.name.startswith("ifeval@")
    (sample,) = bench.items()
    assert bench.grade(sample, Reply("*one part* and *another part*")).result.score == 1.0
    grade = bench.grade(sample, Reply("*one part*, and *another part*"))
    assert (grade.result.score, grade.parts["strict"], grade.parts["instructions"]) == (0.0, 1.0, 2.0)
    loose = bench.grade(sample, Reply("Sure, here it is:\n*one part* and *another part*"))
    assert (loose.result.score, loose.parts["prompt_loose"]) == (0.0, 1.0)
    del row["kwargs"]
    with pytest.raises(DataError, match="kwargs"):
        open_benchmark("ifeval", jsonl(tmp_path / "bad.jsonl", [row])).items()


def test_aime_in_both_schemas(tmp_path: Path) -> None:
    rows = [{"ID": "2024-I-1", "Problem": "Find 200+4.", "Answer": 204}, {"question": "Find 7.", "answer": "007"}]
    bench = open_benchmark("aime_2024", jsonl(tmp_path / "aime.jsonl", rows))
    first, second = bench.items()
    assert (first.id, first.gold["answer"], second.gold["answer"]) == ("2024-I-1", "204", "7")
    assert bench.grade(second, Reply("so $\\boxed{007}$")).result.score == 1.0
    assert bench.grade(first, Reply("so $\\boxed{205}$")).result.score == 0.0


def test_parquet_in_a_folder_as_a_hub_leaves_it(tmp_path: Path) -> None:
    folder = tmp_path / "aime"
    (folder / ".cache").mkdir(parents=True)
    (folder / "README.md").write_text("card")
    rows = [{"ID": f"2024-I-{k}", "Problem": f"Find {k}+4.", "Answer": k + 4} for k in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "problems.parquet")
    bench = open_benchmark("aime_2024", folder)
    assert [one.gold["answer"] for one in bench.items()] == ["4", "5", "6"]
    (folder / ".cache" / "problems.metadata").write_text("the time of the download")
    assert open_benchmark("aime_2024", folder).manifest.sha256 == bench.manifest.sha256
    jsonl(folder / "problems.jsonl", rows)
    with pytest.raises(DataError, match="one kind"):
        open_benchmark("aime_2024", folder)
    (folder / "problems.jsonl").unlink()
    (folder / "problems.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="problems.parquet"):
        open_benchmark("aime_2024", folder)


def test_mmlus_folder(tmp_path: Path) -> None:
    for part, n in (("dev", 5), ("test", 3)):
        (tmp_path / part).mkdir()
        with (tmp_path / part / f"world_religions_{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([[f"{part} {k}, or not?", "w", "x", "y", "z", "ABCD"[k % 4]] for k in range(n)])
    bench = open_benchmark("mmlu", tmp_path)
    samples = bench.items()
    assert (len(samples), samples[0].group) == (3, "world_religions")
    text = str(samples[1].messages[0]["content"])
    assert text.count("Answer:") == 6
    assert text.endswith("test 1, or not?\nA. w\nB. x\nC. y\nD. z\nAnswer:")
    assert [bench.grade(one, Reply("B")).result.score for one in samples] == [0.0, 1.0, 0.0]
    question = bench.choices(samples[1])
    assert question.context.startswith(
        "The following are questions (with answers) about world religions.\n\nQuestion: "
    )
    assert question.context.endswith("dev 4, or not?\nAnswer: w\n\nQuestion: test 1, or not?\nAnswer:")
    assert (question.choices, question.right) == (("w", "x", "y", "z"), 1)
    (tmp_path / "test" / "world_religions_test.csv").write_text("q,a,b,c,d,E\n")
    with pytest.raises(DataError, match="world_religions_test"):
        open_benchmark("mmlu", tmp_path)


def test_zebralogics_grid_mode(tmp_path: Path) -> None:
    row = {
        "id": "lgp-test-2x2-1", "size": "2*2", "puzzle": "There are 2 houses.",
        "solution": {"header": ["House", "Name", "Pet"], "rows": [["1", "Ann", "cat"], ["2", "Bob", "dog"]]},
    }  # fmt: skip
    bench = open_benchmark("zebralogic", jsonl(tmp_path / "grid.jsonl", [row]))
    (sample,) = bench.items()
    said = {"House 1": {"Name": "ann", "Pet": "cat "}, "House 2": {"Name": "Bob", "Pet": "dog"}}
    assert bench.grade(sample, Reply(json.dumps({"reasoning": "", "solution": said}))).result.score == 1.0
    said["House 2"]["Pet"] = "fish"
    grade = bench.grade(sample, Reply(json.dumps({"reasoning": "", "solution": said})))
    assert (grade.result.score, grade.parts["right_cells"], grade.parts["cells"]) == (0.0, 3.0, 4.0)
    row["solution"]["rows"][0][1] = "___"
    with pytest.raises(DataError, match="blanked out"):
        open_benchmark("zebralogic", jsonl(tmp_path / "gated.jsonl", [row])).items()


def test_livecodebenchs_lines(tmp_path: Path) -> None:
    cases = [{"input": "2 3\n", "output": "5\n", "testtype": "stdin"}]
    methods = [{"input": "[1, 2]\n3", "output": "6", "testtype": "functional"}]
    common = {"question_title": "t", "platform": "atcoder", "contest_id": "c", "difficulty": "easy"}
    rows = [
        common | {
            "question_id": name, "question_content": "Add.", "contest_date": date, "starter_code": starter,
            "public_test_cases": json.dumps(tests), "private_test_cases": livecodebench.encode_private(tests),
            "metadata": metadata,
        }
        for name, date, starter, tests, metadata in (
            ("stdin", "2024-09-01T00:00:00", "", cases, "{}"),
            ("method", "2025-02-01T00:00:00", "class Solution:\n    def f(self, a, b):", methods, '{"func_name": "f"}'),
            ("too old", "2023-09-01T00:00:00", "", cases, "{}"),
        )
    ]  # fmt: skip
    (tmp_path / "lite").mkdir()
    for number, row in enumerate(rows):
        jsonl(tmp_path / f"lite/test{number}.jsonl", [row])
    bench = open_benchmark("livecodebench_v6", tmp_path / "lite")
    assert open_benchmark("livecodebench_v6", jsonl(tmp_path / "test6.jsonl", rows)).items() == bench.items()
    stdin, method = bench.items()
    assert (stdin.id, method.id, bench.manifest.count) == ("stdin", "method", 2)
    with open_sandbox(workers=1) as box:
        bench.box = box
        right = Reply("```python\nprint(sum(map(int, input().split())))\n```")
        assert bench.grade(stdin, right).result.score == 1.0
        assert bench.grade(stdin, Reply("```python\nprint(6)\n```")).result.score == 0.0
        code = "class Solution:\n    def f(self, a, b):\n        return sum(a) + {}\n"
        assert bench.grade(method, Reply(f"```python\n{code.format('b')}```")).result.score == 1.0
        assert bench.grade(method, Reply(f"```python\n{code.format('0')}```")).result.score == 0.0


def test_gpqas_table(tmp_path: Path) -> None:
    path = tmp_path / "gpqa_diamond.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Record ID", "Explanation", *gpqa.COLUMNS, "High-level domain"])
        writer.writerow(["rec1", "because", "What, then?", "right", "w1", "w2", "w3", "Physics"])
    bench = open_benchmark("gpqa_diamond", path)
    (sample,) = bench.items()
    assert (sample.id, sample.group, sample.secret) == ("rec1", "Physics", True)
    assert bench.grade(sample, bench.gold_reply(sample)).result.score == 1.0
    question = bench.choices(sample)
    assert (question.context, question.choices, question.right) == (
        "Question: What, then?\nAnswer:", ("right", "w1", "w2", "w3"), 0
    )  # fmt: skip
    path.write_text("Question,Correct Answer\nq,a\n")
    with pytest.raises(DataError, match="Incorrect Answer 1"):
        open_benchmark("gpqa_diamond", path)
