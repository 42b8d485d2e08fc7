"""`python -m stages.tokenizer`: byte-level BPE with K2's special tokens, trained on the training documents."""

from pathlib import Path

import k2model
from k2model.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from stages.files import write_atomic
from stages.run import Stage
from stages.schemas import CORPUS, read_table

OUT = Path("data/tokenizer")
TEMPLATE = Path(k2model.__file__).with_name("chat_template.jinja")


def main() -> None:
    with Stage("tokenizer") as stage:
        p = stage.params.tokenizer
        table = read_table(Path("data/corpus.parquet"), CORPUS)
        rows = zip(table["text"].to_pylist(), table["split"].to_pylist(), strict=True)
        split_texts: dict[str, list[str]] = {"train": [], "validation": []}
        for text, split in rows:
            split_texts[split].append(text)
        tokenizer = train_tokenizer(split_texts["train"], p.vocab_size)
        with write_atomic(OUT) as tmp:
            save_tokenizer(tokenizer, tmp, chat_template=TEMPLATE.read_text(), max_length=p.model_max_length)
        held = split_texts["validation"]
        encoded = load_tokenizer(OUT).encode_batch(held)
        bytes_per_token = sum(len(text.encode()) for text in held) / sum(map(len, encoded))
        stage.finish(
            f"{p.vocab_size:,} tokens, {bytes_per_token:.2f} bytes per token on held-out text",
            metrics={"vocab_size": p.vocab_size, "bytes_per_token": round(bytes_per_token, 6)},
        )


if __name__ == "__main__":
    main()
