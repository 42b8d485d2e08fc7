"""What a model knows of text: the loss on held-out documents, closed-book facts with their samples."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gym.intervals import wilson
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from stages.evaluate.params import EvaluateParams
from stages.harness.errors import InputError
from stages.harness.seeds import rng
from stages.harness.tables import CORPUS, FACTS, read_table
from stages.measure import closed_book, loss
from stages.posttraining.packing import Example

CORPUS_PATH, FACTS_PATH = Path("data/corpus.parquet"), Path("data/facts.parquet")
SPLITS = {"facts": "train", "facts_held_out": "validation"}


def validation(p: EvaluateParams, seed: int, model: K2Model, tokenizer: K2Tokenizer) -> dict[str, float]:
    """Loss and bits per byte, which don't depend on the tokenizer, of held-out documents cut at the context length.

    Of a seeded shuffle, up to `validation_tokens`.

    Raises:
        InputError: there is no such document, or the loss isn't finite.
    """
    table = read_table(CORPUS_PATH, CORPUS)
    rows = zip(table["text"].to_pylist(), table["split"].to_pylist(), strict=True)
    texts = [text for text, split in rows if split == "validation"]
    chosen: list[Example] = []
    n_bytes = n_tokens = 0
    for document in loss.documents(texts, tokenizer, p.sequence_length, rng(seed, "evaluate", "validation")):
        if n_tokens >= p.validation_tokens:
            break
        chosen.append(document)
        n_bytes += len(tokenizer.decode(document.ids[1:]).encode())
        n_tokens += document.targets
    if not chosen:
        raise InputError(f"{CORPUS_PATH}: no validation document to measure the loss on")
    nats = loss.mean_loss(model, chosen, rows=p.batch_size, pad=tokenizer.pad)
    if not math.isfinite(nats):
        raise InputError(f"the validation loss is {nats}")
    return {
        "validation_loss": nats,
        "validation_bits_per_byte": nats * n_tokens / math.log(2) / n_bytes,
        "validation_tokens": n_tokens,
    }


def facts_asked(
    p: EvaluateParams, seed: int, model: K2Model, tokenizer: K2Tokenizer, splits: Mapping[str, str] = SPLITS
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Accuracy on facts of trained and of held-out documents with intervals, and a sample for each question.

    The shots are about training documents.

    Args:
        splits: of the documents that are asked about, by the name of the metric.
    """
    metrics: dict[str, float] = {}
    samples: list[dict[str, Any]] = []
    for name, split in splits.items():
        asked, pool = chosen_facts(p, seed, split)
        answers = closed_book.ask(
            model,
            tokenizer,
            asked,
            pool,
            shots=p.shots,
            answer_tokens=p.answer_tokens,
            batch_size=p.batch_size,
        )
        samples += _samples(split, asked, answers)
        if answers:
            correct = sum(answer.correct for answer in answers)
            low, high = wilson(correct, len(answers))
            metrics |= {name: correct / len(answers), f"{name}_n": len(answers)}
            metrics |= {f"{name}_ci_low": low, f"{name}_ci_high": high}
    return metrics, samples


def chosen_facts(p: EvaluateParams, seed: int, split: str) -> tuple[list[closed_book.Fact], list[closed_book.Fact]]:
    """Facts to ask about documents of `split`, and those of training documents that shots are taken from."""
    facts = read_table(FACTS_PATH, FACTS).to_pylist()
    train = [fact for fact in facts if fact["split"] == "train"]
    pool = closed_book.choose(train, len(facts), rng(seed, "evaluate", "shots"))
    own = [fact for fact in facts if fact["split"] == split]
    return closed_book.choose(own, p.facts, rng(seed, "evaluate", "facts", split)), pool


def _samples(
    split: str, asked: Sequence[closed_book.Fact], answers: Sequence[closed_book.FactAnswer]
) -> list[dict[str, Any]]:
    return [
        {
            "benchmark": f"facts_{split}",
            "dataset": "corpus",
            "task_id": fact["fact_id"],
            "sample": 0,
            "group": fact["relation"],
            "prompt": answer.prompt,
            "output": answer.output,
            "extracted": answer.output.strip().split("\n", 1)[0],
            "expected": fact["answer"],
            "score": float(answer.correct),
            "parts": "{}",
            "status": "scored",
            "reason": "",
            "finish_reason": answer.finish_reason,
            "output_tokens": answer.tokens,
        }
        for fact, answer in zip(asked, answers, strict=True)
    ]
