import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from bench.mock_endpoint import Action, MockEndpoint
from stages.dial import load_params, parse_params
from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, REPHRASED, write_table
from stages.rephrase.jobs import choose_documents, grid, make_jobs
from tests.conftest import checkout_env, make_checkout

TEXTS = {
    "Anna Berg": "Anna Berg was born in Oslo in 1901. She built 3 bridges over the Akerselva. One still stands.",
    "Prime": "A prime number is greater than 1. The first primes are 2 and 3. Euclid wrote a theorem about them.",
    "River": "The river Glomma is 621 km long. It flows into the Oslofjord. Salmon live in it.",
}


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "doc_id": f"wikipedia_vital/{title}",
            "title": title,
            "text": text,
            "source": "wikipedia_vital",
            "license": "none",
            "split": "train",
        }
        for title, text in TEXTS.items()
    ]


def test_documents_and_cells_depend_on_the_document_alone() -> None:
    p = load_params().rephrase.model_copy(update={"documents": 2})
    rows = [*_rows(), _rows()[0] | {"doc_id": "v", "split": "validation"}]
    two = choose_documents(rows, p, 0)
    three = choose_documents(rows, p.model_copy(update={"documents": 3}), 0)
    assert len(two) == 2 and all(row in three for row in two) and all(row["split"] == "train" for row in three)
    river = next(row for row in three if row["title"] == "River")
    prime = next(row for row in three if row["title"] == "Prime")
    all_cells = p.model_copy(update={"versions": 20})
    cells = grid(river, all_cells, 0)
    assert len(set(cells)) == len(cells) == 20
    assert len({style for style, _ in cells[:5]}) == 5 and "learning_note" not in {style for style, _ in cells}
    assert {style for style, _ in grid(prime, all_cells, 0)} == {"learning_note"}
    assert len({job.seed for job in make_jobs(three, all_cells, 0)}) == 20 + 20 + 4


def _behave(body: dict[str, Any], before: int) -> Action:
    passage = body["messages"][-1]["content"].rpartition("Passage: ")[2]
    words = passage.rstrip(".").split()
    message = {"role": "assistant", "content": f"What about {' '.join(words[1:4]).lower()}?"}
    usage = {"prompt_tokens": 50, "completion_tokens": 5}
    return Action(raw=json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).encode())


def _checkout(folder: Path, url: str) -> Path:
    """A copy of the checkout whose corpus is `TEXTS`, rephrased as FAQs by the server at `url`."""
    made = make_checkout(folder)
    write_table(made / "data" / "corpus.parquet", _rows(), CORPUS)
    params = yaml.safe_load((made / "params.yaml").read_text())
    params["endpoint"] |= {"concurrency": 4}
    params["rephrase"] |= {"teacher": f"{url}#mock", "styles": ["faq"], "candidates": 1}
    (made / "params.yaml").write_text(yaml.safe_dump(params))
    return made


def test_the_stage_end_to_end_with_an_endpoint(tmp_path: Path, run_in: Callable[..., Any]) -> None:
    with MockEndpoint(_behave) as server:
        folder = _checkout(tmp_path / "checkout", server.url)
        first = run_in(folder, sys.executable, "-m", "stages.rephrase")
        asked = server.asked.total()
        out = folder / "data" / "rephrased.parquet"
        content = out.read_bytes(), (folder / "data" / "rephrased_card.md").read_bytes()
        out.unlink()
        run_in(folder, sys.executable, "-m", "stages.rephrase")
        assert server.asked.total() == asked > 0
    assert content == (out.read_bytes(), (folder / "data" / "rephrased_card.md").read_bytes())
    table = pq.read_table(out)
    assert table.schema.equals(REPHRASED) and table.num_rows == 6
    metrics = json.loads((folder / "metrics" / "rephrase.json").read_text())
    assert metrics["texts"] == 6 and 0 <= metrics["faq_accepted"] <= 1
    assert first.stdout.strip().split("\n")[-1].startswith("rephrase: ")
    accepted = [row for row in table.to_pylist() if row["accepted"]]
    for row in accepted:
        for number in ("1901", "621"):
            assert (number in row["text"]) == (number in TEXTS[row["doc_id"].rpartition("/")[2]])


@pytest.mark.slow
def test_a_refusal_costs_one_text_and_too_many_stop_the_stage(tmp_path: Path, run_in: Callable[..., Any]) -> None:
    """A filter refuses all that is asked about one document; a certain share of refusals ends the stage."""
    bad = "Anna"

    def behave(body: dict[str, Any], before: int) -> Action:
        said = json.dumps(body["messages"][-1])
        filtered = Action(status=400, raw=b'{"error": {"message": "filtered", "code": "content_filter"}}')
        return filtered if bad in said or not bad else _behave(body, before)

    with MockEndpoint(behave) as server:
        folder = _checkout(tmp_path / "checkout", server.url)
        first = run_in(folder, sys.executable, "-m", "stages.rephrase")
        asked = server.asked.total()
        line = first.stdout.strip().split("\n")[-1]
        metrics = json.loads((folder / "metrics" / "rephrase.json").read_text())
        rows = pq.read_table(folder / "data" / "rephrased.parquet").to_pylist()
        lost = {row["doc_id"] for row in rows if row["reason"] == "refused"}
        assert len(rows) == 6 and lost and len(lost) < 3
        assert metrics["texts_refused"] >= len(lost) and metrics["requests_failed"] > 0
        assert "status 400: content_filter: filtered" in line and all(name in line for name in lost)
        run_in(folder, sys.executable, "-m", "stages.rephrase")
        assert server.asked.total() == asked, "what was refused is not asked again"
        bad = ""
        stopped = run_in(folder, sys.executable, "-m", "stages.rephrase", K2_ANSWERS="own.sqlite", check=False)
        assert stopped.returncode == 2 and "Traceback" not in stopped.stderr
        assert "requests" in stopped.stderr and "content_filter" in stopped.stderr


def test_two_shard_processes_fill_one_store_and_the_stage_asks_nothing(
    tmp_path: Path, run_in: Callable[..., Any]
) -> None:
    with MockEndpoint(_behave) as server:
        folder = _checkout(tmp_path / "checkout", server.url)
        store = {"K2_ANSWERS": str(tmp_path / "shared.sqlite")}
        command = [sys.executable, "-m", "stages.rephrase.shard"]
        shards = [
            subprocess.Popen(
                [*command, str(k), "2"], cwd=folder, env=checkout_env() | store, stdout=subprocess.PIPE, text=True
            )
            for k in range(2)
        ]
        said = [shard.communicate(timeout=120)[0].splitlines()[-1] for shard in shards]
        asked = server.asked.total()
        new = [int(re.findall(r"(\d+) new answers", line)[0]) for line in said]
        assert [shard.returncode for shard in shards] == [0, 0] and min(new) > 0 and sum(new) == asked, said
        run_in(folder, sys.executable, "-m", "stages.rephrase", **store)
        assert server.asked.total() == asked, "the stage only assembles"
        whole = (folder / "data" / "rephrased.parquet").read_bytes()
        run_in(folder, sys.executable, "-m", "stages.rephrase", K2_ANSWERS=str(tmp_path / "own.sqlite"))
        assert server.asked.total() == 2 * asked and (folder / "data" / "rephrased.parquet").read_bytes() == whole
        wrong = run_in(folder, *command, "2", "2", check=False)
        assert (wrong.returncode, wrong.stderr) == (2, "rephrase shard: shard 2 of 2: shards count from 0\n")


def test_an_impossible_teacher_is_one_line() -> None:
    value = yaml.safe_load(Path("params.yaml").read_text())
    value["rephrase"]["teacher"] = "https://example.org/v1"
    with pytest.raises(InputError, match=r"rephrase: .*URL#model"):
        parse_params(value)
    value["rephrase"] |= {"teacher": "embedded", "chunk_tokens": 200}
    with pytest.raises(InputError, match="chunk_tokens 200 exceeds"):
        parse_params(value)
