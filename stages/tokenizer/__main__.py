"""`python -m stages.tokenizer`: byte-level BPE with K2's special tokens, trained on documents and tool calls."""

import json
from pathlib import Path

import k2model.chat
from agents.conversations.tasks import applications, make_task
from agents.tools.evolve import evolve
from k2model.chat.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from stages.harness.files import write_atomic
from stages.harness.stage import Stage
from stages.harness.tables import CORPUS, read_table
from stages.tokenizer.params import TokenizerParams
from stages.tracking.runs import Track

DIALOGS = 400
OUT = Path("data/tokenizer")
TEMPLATE = Path(k2model.chat.__file__).with_name("chat_template.jinja")


def dialogs(count: int, seed: int) -> list[str]:
    """Tool declarations, requests and calls of `count` small tasks, so that JSON isn't paid for by the character."""
    apps = applications(evolve())
    texts = []
    for number in range(count):
        app = apps[number % len(apps)]
        task = make_task(app, seed + number, 1, distractors=1)
        declared = json.dumps([app.tools[name].declaration() for name in task.tools], separators=(",", ":"))
        calls = "\n".join(f"functions.{call.tool}:0\n{json.dumps(call.arguments)}" for call in task.gold)
        texts.append(f"{declared}\n{task.request}\n{calls}")
    return texts


def main() -> None:
    with Stage("tokenizer", TokenizerParams, Track) as stage:
        p = stage.params
        table = read_table(Path("data/corpus.parquet"), CORPUS)
        rows = zip(table["text"].to_pylist(), table["split"].to_pylist(), strict=True)
        split_texts: dict[str, list[str]] = {"train": [], "validation": []}
        for text, split in rows:
            split_texts[split].append(text)
        texts = [*split_texts["train"], *dialogs(DIALOGS, stage.seed32("dialogs"))]
        tokenizer = train_tokenizer(texts, p.vocab_size)
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
