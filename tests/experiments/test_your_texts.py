"""Held-out losses of two models by source, side by side."""

import sys
from pathlib import Path

import pytest

from experiments import your_texts
from k2model.errors import CheckpointError
from stages.harness.tables import CORPUS, write_table
from tests.conftest import ROOT


def _row(source: str, number: int, split: str) -> dict[str, str]:
    doc_id = f"{source}/{number}"
    text = f"{source} text number {number} " + "more words " * 50
    return {"doc_id": doc_id, "title": "", "text": text, "source": source, "license": "none", "split": split}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "data").mkdir()
    rows = [_row(source, k, "validation" if k % 2 else "train") for source in ("user:own", "wiki") for k in range(100)]
    write_table(tmp_path / "data/corpus.parquet", [*rows, _row("lonely", 1, "validation")], CORPUS)
    return tmp_path


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(
        sys, "argv", ["your_texts", "--before", "models/base", "--after", "models/pretrain", *arguments]
    )
    your_texts.main()


def test_the_change_stands_by_source(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that learned the user's texts alone: their loss falls, the other's stays."""

    def losses(folder: Path, texts: list[str]) -> list[float]:
        assert all(len(text) <= 200 for text in texts)
        return [
            2.0 - ("user:own" in text and folder.name == "pretrain") * (0.5 + 0.01 * (k % 3))
            for k, text in enumerate(texts)
        ]

    monkeypatch.setattr(your_texts, "losses_of", losses)
    _run(monkeypatch, "--documents", "30", "--characters", "200")
    own, wiki = capsys.readouterr().out.splitlines()[2:]
    assert own.startswith("| user:own | 30 | 2.000 | 1.490 | -0.510 [-0.5")
    assert wiki == "| wiki | 30 | 2.000 | 2.000 | +0.000 [+0.000, +0.000] |"


def test_the_same_documents_whatever_else_there_is(checkout: Path) -> None:
    few, many = (your_texts.held_by_source(n, 500, 0)["user:own"] for n in (5, 40))
    assert few == many[:5] and len(many) == 40 and "lonely" not in your_texts.held_by_source(5, 500, 0)


def test_what_is_wrong_is_one_line(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="models/base"):
        _run(monkeypatch)

    def broken(folder: Path, texts: list[str]) -> list[float]:
        raise CheckpointError(f"{folder}: no model")

    monkeypatch.setattr(your_texts, "losses_of", broken)
    with pytest.raises(SystemExit, match="models/base: no model"):
        _run(monkeypatch)
    write_table(checkout / "data/corpus.parquet", [_row("x", 1, "validation")], CORPUS)
    with pytest.raises(SystemExit, match="no source has two held-out documents"):
        _run(monkeypatch)
