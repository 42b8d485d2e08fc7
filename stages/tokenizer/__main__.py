"""`python -m stages.tokenizer`: the base's vocabulary, or one of documents and calls, with K2's special tokens."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from agents.conversations.samples import samples
from k2model.chat.messages import TEMPLATE
from k2model.chat.seats import seat_special_tokens
from k2model.chat.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from stages.harness.base_model import find_source, vocabulary
from stages.harness.files import write_atomic
from stages.harness.stage import Stage
from stages.harness.tables import CORPUS, read_batches
from stages.tokenizer.params import TokenizerParams
from stages.tracking.runs import Track

DIALOGS = 250
CORPUS_PATH = Path("data/corpus.parquet")
OUT = Path("data/tokenizer")


def dialogs(count: int, seed: int) -> list[str]:
    """Tools, requests and calls of `count` short conversations, so that JSON isn't paid for by the character."""
    texts = []
    for conversation in samples(count, seed):
        declared = json.dumps(conversation.tools, separators=(",", ":"))
        requests = [message["content"] for message in conversation.messages if message["role"] == "user"]
        calls = [
            f"functions.{call['function']['name']}:0\n{call['function']['arguments']}"
            for message in conversation.messages
            for call in message.get("tool_calls") or []
        ]
        texts.append("\n".join([declared, *requests, *calls]))
    return texts


def documents(split: str) -> Iterator[str]:
    """The texts of one split, a batch of rows in memory at a time."""
    for rows in read_batches(CORPUS_PATH, CORPUS, ("text", "split")):
        yield from (row["text"] for row in rows if row["split"] == split)


def main() -> None:
    with Stage("tokenizer", TokenizerParams, Track) as stage:
        p = stage.params
        source = find_source(stage.common.base)
        if source.kind == "scratch":
            texts = chain(documents("train"), dialogs(DIALOGS, stage.seed32("dialogs")))
            tokenizer = train_tokenizer(texts, p.vocab_size)
        else:
            tokenizer = seat_special_tokens(vocabulary(source))[0].backend
        with write_atomic(OUT) as tmp:
            save_tokenizer(tokenizer, tmp, chat_template=TEMPLATE, max_length=p.model_max_length)
        held = list(documents("validation"))
        encoded = load_tokenizer(OUT).encode_batch(held)
        bytes_per_token = sum(len(text.encode()) for text in held) / sum(map(len, encoded))
        stage.finish(
            f"{tokenizer.get_vocab_size():,} tokens, {bytes_per_token:.2f} bytes per token on held-out text",
            metrics={"vocab_size": tokenizer.get_vocab_size(), "bytes_per_token": round(bytes_per_token, 6)},
        )


if __name__ == "__main__":
    main()
