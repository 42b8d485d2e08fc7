"""`python -m stages.tokenizer`: the base's vocabulary, or one of documents and calls, with K2's special tokens."""

import json
from itertools import chain, islice
from pathlib import Path

from agents.conversations.samples import samples
from k2model.chat.messages import TEMPLATE
from k2model.chat.seats import seat_special_tokens
from k2model.chat.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from stages.harness.arguments import no_arguments
from stages.harness.base_model import find_source, vocabulary
from stages.harness.files import write_atomic
from stages.harness.stage import Stage
from stages.tokenizer.params import TokenizerParams
from stages.tokenizer.texts import documents, sample
from stages.tracking.runs import Track

DIALOGS = 250
AT_ONCE = 64  # held-out documents
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


def bytes_per_token(folder: Path) -> float:
    """Of the tokenizer in `folder`, on held-out documents."""
    tokenizer = load_tokenizer(folder)
    size = tokens = 0
    held = (text for _, text in documents(CORPUS_PATH, "validation"))
    while some := list(islice(held, AT_ONCE)):
        size += sum(len(text.encode()) for text in some)
        tokens += sum(map(len, tokenizer.encode_batch(some)))
    return round(size / tokens, 6)


def main() -> None:
    with Stage("tokenizer", TokenizerParams, Track) as stage:
        p = stage.params
        source = find_source(stage.common.base)
        if source.kind == "scratch":
            texts = chain(
                sample(CORPUS_PATH, p.sample_chars, stage.common.seed), dialogs(DIALOGS, stage.seed32("dialogs"))
            )
            tokenizer = train_tokenizer(texts, p.vocab_size)
        else:
            tokenizer = seat_special_tokens(vocabulary(source))[0].backend
        with write_atomic(OUT) as tmp:
            save_tokenizer(tokenizer, tmp, chat_template=TEMPLATE, max_length=p.model_max_length)
        measured = bytes_per_token(OUT)
        stage.finish(
            f"{tokenizer.get_vocab_size():,} tokens, {measured:.2f} bytes per token on held-out text",
            metrics={"vocab_size": tokenizer.get_vocab_size(), "bytes_per_token": measured},
        )


if __name__ == "__main__":
    no_arguments("tokenizer")
    main()
