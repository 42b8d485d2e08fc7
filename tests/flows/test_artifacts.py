"""What a stage leaves in the Prefect UI, as it is handed to Prefect."""

import base64
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows import artifacts


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Key → what was handed over."""
    said: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(artifacts, "create_image_artifact", lambda url, key, description: said.update({key: url}))
    monkeypatch.setattr(
        artifacts, "create_table_artifact", lambda rows, key, description: said.update({key: (rows, description)})
    )
    return said


def test_progress_follows_the_lines_that_count_and_ends_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    at: list[tuple[float, str]] = []
    monkeypatch.setattr(artifacts, "create_progress_artifact", lambda progress, key, description: key)
    monkeypatch.setattr(
        artifacts, "update_progress_artifact", lambda key, progress, description: at.append((progress, description))
    )
    bar = artifacts.StageProgress("pretrain")
    assert str(bar.id) == "progress-pretrain"
    for line in ("pretrain: resumed at step 3", "pretrain: 1,250/5,000 step, 3.1 step/s, 1,210 s left", "a 3/4 b"):
        bar.heard(line)
    bar.end("pretrain: 5,000 steps, 9.0 s")
    assert [progress for progress, _ in at] == [25.0, 100.0]
    assert at[1][1] == "pretrain: 5,000 steps, 9.0 s"


def test_a_curve_is_a_picture_that_needs_no_server(left: dict[str, Any]) -> None:
    Path("plots").mkdir()
    Path("plots/rl.csv").write_text("iteration,length,reward\n0,,\n1,5,0.25\n2,6,0.5\n")
    artifacts.leave_curve("rl", ["models/rl", "plots/rl.csv"])
    head, _, data = left["plot-rl"].partition(",")
    assert head == "data:image/png;base64" and base64.b64decode(data).startswith(b"\x89PNG")
    artifacts.leave_curve("qat", ["models/qat"])
    assert list(left) == ["plot-rl"]


def test_samples_are_of_the_largest_table_from_its_beginning_middle_and_end(left: dict[str, Any]) -> None:
    Path("data/samples").mkdir(parents=True)
    rows = [{"n": n, "text": "x" * 500} for n in range(90)]
    pq.write_table(pa.Table.from_pylist(rows), "data/samples/large.parquet", row_group_size=30)
    pq.write_table(pa.Table.from_pylist(rows[:1]), "data/small.parquet")
    artifacts.leave_samples("evaluate", ["data/small.parquet", "data/samples", "metrics/scores.json"])
    shown, description = left["samples-evaluate"]
    assert [row["n"] for row in shown] == ["0", "30", "60"]
    assert len(shown[0]["text"]) == artifacts.CELL
    assert description == "data/samples/large.parquet: 3 of 90 rows"
    artifacts.leave_samples("one", ["data/small.parquet"])
    assert [row["n"] for row in left["samples-one"][0]] == ["0"]
    artifacts.leave_samples("none", ["models/rl"])
    pq.write_table(pa.Table.from_pylist(rows).slice(0, 0), "data/empty.parquet")
    artifacts.leave_samples("empty", ["data/empty.parquet"])
    assert set(left) == {"samples-evaluate", "samples-one"}
