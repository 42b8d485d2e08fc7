"""Loss on held-out text, beside every result: whatever tuning gains, this is what it must not cost.

    held = HeldText(stage.common.seed)
    before = held(load_any(start), tokenizer)
    ...
    metrics |= compare(before, held(model, tokenizer), seed)

The documents are the same for every stage and every model, whatever its vocabulary.
"""

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gym.intervals import bootstrap_mean
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from stages.harness.errors import InputError
from stages.harness.section import load_section
from stages.harness.tables import CORPUS, read_batches
from stages.measure.loss import ScoresTargets, losses
from stages.measure.params import TextLossParams
from stages.posttraining.packing import Example

CORPUS_PATH = Path("data/corpus.parquet")
ROWS = 8  # documents in one forward pass


@dataclass(frozen=True)
class TextLoss:
    """Of one model: nats per token and per byte of each document, in the order of `HeldText.texts`."""

    per_token: list[float]
    per_byte: list[float]

    def metrics(self, end: str = "") -> dict[str, float]:
        """Means over documents; `end` is appended to the names."""
        return {f"text_loss{end}": _mean(self.per_token), f"text_loss_per_byte{end}": _mean(self.per_byte)}


def ranked_held(characters: int, seed: int, path: Path = CORPUS_PATH) -> Iterator[tuple[str, str, str]]:
    """(place in an order drawn by seed and `doc_id`, beginning, source) of every held-out document."""
    for rows in read_batches(path, CORPUS, ("doc_id", "text", "source", "split")):
        for row in rows:
            if row["split"] == "validation" and row["text"]:
                place = hashlib.sha256(f"{seed}/{row['doc_id']}".encode()).hexdigest()
                yield place, row["text"][:characters], row["source"]


def held_texts(documents: int, characters: int, seed: int, path: Path = CORPUS_PATH) -> list[str]:
    """Beginnings of held-out documents, drawn by a hash of seed and `doc_id`, so that more of them hold the fewer.

    Raises:
        InputError: the corpus has less than two held-out documents.
    """
    ranked = ((place, text) for place, text, _ in ranked_held(characters, seed, path))
    texts = [text for _, text in heapq.nsmallest(documents, ranked)]
    if len(texts) < 2:
        raise InputError(f"{path}: {len(texts)} held-out documents; text_loss needs two or more")
    return texts


class HeldText:
    """The held-out documents of `text_loss` in params.yaml; call it with a model and its tokenizer."""

    def __init__(self, seed: int) -> None:
        p = load_section("text_loss", TextLossParams)
        self.texts = held_texts(p.documents, p.characters, seed)

    def __call__(self, model: K2Model, tokenizer: K2Tokenizer) -> TextLoss:
        """The model is left in the mode, training or not, in which it came."""
        training = model.training
        model.eval()
        loss = self.of(model, tokenizer, model.config.max_position_embeddings)
        model.train(training)
        return loss

    def of(self, model: ScoresTargets, tokenizer: K2Tokenizer, context: int) -> TextLoss:
        """Of any network; documents are cut after `context` tokens."""
        return loss_of(model, tokenizer, self.texts, context)


def loss_of(model: ScoresTargets, tokenizer: K2Tokenizer, texts: Sequence[str], context: int) -> TextLoss:
    """Of these texts, each cut after `context` tokens."""
    documents = [tokenizer.encode(text)[:context] for text in texts]
    examples = [Example([tokenizer.bos, *ids], [True] * (len(ids) + 1)) for ids in documents]
    per_token = losses(model, examples, rows=ROWS, pad=tokenizer.pad)
    sizes = [len(tokenizer.decode(ids).encode()) for ids in documents]
    per_byte = [nats * len(ids) / n for nats, ids, n in zip(per_token, documents, sizes, strict=True)]
    return TextLoss(per_token, per_byte)


def compare(before: TextLoss, after: TextLoss, seed: int) -> dict[str, float]:
    """Both models' means, and the mean change in nats per token with the interval of paired differences."""
    changes = [b - a for a, b in zip(before.per_token, after.per_token, strict=True)]
    low, high = bootstrap_mean(changes, seed)
    change = {"text_loss_change": _mean(changes), "text_loss_change_ci_low": low, "text_loss_change_ci_high": high}
    return before.metrics("_start") | after.metrics() | change | {"text_documents": len(changes)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
