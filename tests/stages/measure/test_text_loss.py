"""Held-out text loss against plain cross entropy; the same documents whatever the vocabulary."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.model import K2Model
from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, write_table
from stages.measure.record import corpus_sources
from stages.measure.text_loss import HeldText, TextLoss, compare, held_texts

torch.set_num_threads(1)


def _row(number: int, split: str, text: str) -> dict[str, str]:
    source, licence = ("wiki", "CC BY-SA 4.0") if number % 2 else ("factbook", "public domain")
    return {"doc_id": f"d{number}", "title": "", "text": text, "source": source, "license": licence, "split": split}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("text_loss: {documents: 3, characters: 40}\n")
    rows = [_row(k, "validation", f"The {k}. köttbullar sat on the mat, was it? " * (1 + k)) for k in range(6)]
    rows += [_row(k, "train", f"trained {k}") for k in range(10, 15)] + [_row(20, "validation", "")]
    write_table(Path("data/corpus.parquet"), rows, CORPUS)
    return tmp_path


def _model(tokenizer: K2Tokenizer) -> K2Model:
    return K2Model(K2Config.preset("smoke", vocab_size=tokenizer.vocab_size, num_hidden_layers=2), seed=1)


@pytest.mark.parametrize("size", [280, 310])
def test_it_is_the_cross_entropy_of_the_same_documents(checkout: Path, size: int) -> None:
    tokenizer = K2Tokenizer(train_tokenizer(["The köttbullar sat on the mat, was it? cat dog bird " * 20], size))
    model = _model(tokenizer).train()
    held = HeldText(7)
    measured = held(model, tokenizer)
    assert model.training
    model.eval()
    assert held.texts == held_texts(3, 40, 7) and all(len(text) == 40 for text in held.texts)
    for text, per_token, per_byte in zip(held.texts, measured.per_token, measured.per_byte, strict=True):
        ids = torch.tensor([tokenizer.bos, *tokenizer.encode(text)])
        with torch.no_grad():
            nats = F.cross_entropy(model(ids[None, :-1]).logits_BLV[0], ids[1:], reduction="sum").item()
        assert per_token == pytest.approx(nats / (len(ids) - 1), rel=1e-5)
        assert per_byte == pytest.approx(nats / len(text.encode()), rel=1e-5)


def test_the_documents_are_held_out_seeded_and_nested(checkout: Path) -> None:
    four = held_texts(4, 40, 7)
    assert four[:2] == held_texts(2, 40, 7) and four != held_texts(4, 40, 8)
    assert len(held_texts(100, 40, 7)) == 6 and not any("trained" in text for text in held_texts(100, 40, 7))


def test_a_corpus_without_held_out_documents_is_one_line(checkout: Path) -> None:
    write_table(Path("data/corpus.parquet"), [_row(1, "validation", "text"), _row(2, "train", "text")], CORPUS)
    with pytest.raises(InputError, match=r"corpus\.parquet: 1 held-out documents; text_loss needs two or more"):
        HeldText(0)


def test_both_ends_and_the_paired_change() -> None:
    found = compare(TextLoss([4.0, 5.0], [1.0, 2.0]), TextLoss([4.25, 5.25], [1.5, 2.0]), 0)
    assert found == {
        "text_loss_start": 4.5,
        "text_loss_per_byte_start": 1.5,
        "text_loss": 4.75,
        "text_loss_per_byte": 1.75,
        "text_loss_change": 0.25,
        "text_loss_change_ci_low": 0.25,
        "text_loss_change_ci_high": 0.25,
        "text_documents": 2,
    }


def test_the_sources_carry_their_licences(checkout: Path) -> None:
    assert [(source.name, source.licence, source.amount) for source in corpus_sources()] == [
        ("factbook", "public domain", "3 documents"),
        ("wiki", "CC BY-SA 4.0", "2 documents"),
    ]
