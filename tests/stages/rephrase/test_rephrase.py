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
from stages.rephrase.jobs import choose, chosen_documents, grid, jobs_of, waves
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


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    write_table(path, rows, CORPUS)
    return path


def test_documents_and_cells_depend_on_the_document_alone(tmp_path: Path) -> None:
    rows = [*_rows(), _rows()[0] | {"doc_id": "v", "split": "validation"}, _rows()[1] | {"doc_id": "x", "source": "x"}]
    corpus = _written(tmp_path / "corpus.parquet", rows)

    def chosen(tokens: int) -> list[dict[str, Any]]:
        p = load_params().rephrase.model_copy(update={"sources": {"wikipedia_vital": tokens}})
        return list(chosen_documents(corpus, choose(corpus, p, 0)))

    one, two, three = chosen(1), chosen(30), chosen(10**9)
    assert [len(one), len(two), len(three)] == [1, 2, 3]
    assert all(row in three for row in two) and all(row in two for row in one)
    assert {row["doc_id"] for row in three} == {row["doc_id"] for row in _rows()}
    river = next(row for row in three if row["title"] == "River")
    prime = next(row for row in three if row["title"] == "Prime")
    all_cells = load_params().rephrase.model_copy(update={"versions": 20})
    cells = grid(river, all_cells, 0)
    assert len(set(cells)) == len(cells) == 20
    assert len({style for style, _ in cells[:5]}) == 5 and "learning_note" not in {style for style, _ in cells}
    assert {style for style, _ in grid(prime, all_cells, 0)} == {"learning_note"}
    assert len({job.seed for row in three for job in jobs_of(row, all_cells, 0)}) == 20 + 20 + 4


def test_the_budget_is_for_documents_of_every_length(tmp_path: Path) -> None:
    """Documents at random: the share of long ones among the chosen is theirs in the corpus."""
    rows = [
        _rows()[0] | {"doc_id": f"d{k}", "text": "A word is said. " * (200 if k % 4 == 0 else 10)} for k in range(2000)
    ]
    corpus = _written(tmp_path / "corpus.parquet", rows)
    p = load_params().rephrase.model_copy(update={"sources": {"wikipedia_vital": 200_000}})
    long = [len(row["text"]) > 2000 for row in chosen_documents(corpus, choose(corpus, p, 0))]
    assert 400 < len(long) < 1200 and 0.2 < sum(long) / len(long) < 0.3
    with pytest.raises(InputError, match="no training document of nothing"):
        choose(corpus, p.model_copy(update={"sources": {"nothing": 5}}), 0)


def test_shards_share_the_jobs_out_and_waves_hold_so_many(tmp_path: Path) -> None:
    corpus = _written(tmp_path / "corpus.parquet", [_rows()[k % 3] | {"doc_id": f"d{k}"} for k in range(50)])
    p = load_params().rephrase.model_copy(update={"wave": 7, "sources": {"wikipedia_vital": 10**6}})
    chosen = choose(corpus, p, 0)
    whole = [job for wave in waves(corpus, chosen, p, 0) for job in wave]
    assert len(whole) == 100 and {len(wave) for wave in waves(corpus, chosen, p, 0)} == {7, 2}
    parts = [job for k in range(3) for wave in waves(corpus, chosen, p, 0, k, 3) for job in wave]
    assert sorted((job.doc_id, job.version) for job in parts) == sorted((job.doc_id, job.version) for job in whole)


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


def _judging(body: dict[str, Any], before: int) -> Action:
    """A teacher that rewrites freely, and a judge that finds a fact lost wherever a river is told of."""
    user = body["messages"][-1]["content"]
    if "response_format" in body:
        message = {
            "role": "assistant",
            "content": json.dumps({"facts": ["its length"] if "about: River" in user else []}),
        }
    else:
        said = " and ".join(reversed(user.rpartition("Passage: ")[2].rstrip(".").split(". ")))
        message = {"role": "assistant", "content": f"- One learns that {said}."}
    usage = {"prompt_tokens": 50, "completion_tokens": 5}
    return Action(raw=json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).encode())


def test_a_judge_has_the_last_word(tmp_path: Path, run_in: Callable[..., Any]) -> None:
    with MockEndpoint(_judging) as server:
        folder = _checkout(tmp_path / "checkout", server.url)
        params = yaml.safe_load((folder / "params.yaml").read_text())
        params["rephrase"] |= {
            "judge": f"{server.url}#judge",
            "wording": "free",
            "styles": ["paraphrase"],
            "versions": 1,
        }
        params["rephrase"] |= {"chunk_tokens": 60}
        params["rephrase"]["fidelity"] |= {"copied": 1.0}
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        run_in(folder, sys.executable, "-m", "stages.rephrase")
    rows = {
        row["doc_id"].rpartition("/")[2]: row for row in pq.read_table(folder / "data/rephrased.parquet").to_pylist()
    }
    assert {name: row["reason"] for name, row in rows.items()} == {"Anna Berg": "", "Prime": "", "River": "judge: lost"}
    assert json.loads(rows["River"]["judge"]) == {"lost": ["its length"], "new": ["its length"]}
    assert rows["Anna Berg"]["text"].startswith("- One learns that One still stands and She built")
    assert "judge: lost" in (folder / "data/rephrased_card.md").read_text()


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
    value["rephrase"] |= {"chunk_tokens": 40, "translate": ["polish"]}
    with pytest.raises(InputError, match="translate: polish is none of sources"):
        parse_params(value)
    value["rephrase"] |= {"translate": ["wikipedia_vital"]}
    with pytest.raises(InputError, match="wants wording: free and a judge"):
        parse_params(value)
    value["rephrase"] |= {"translate": [], "judge": "embedded"}
    with pytest.raises(InputError, match="judge 'embedded': neither"):
        parse_params(value)
