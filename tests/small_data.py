"""What the data stages leave, in a few rows, for tests that start a training stage without them."""

import json
from pathlib import Path
from typing import Any

from k2model.chat.messages import TEMPLATE
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer, save_tokenizer, train_tokenizer
from stages.harness.tables import CORPUS, FACTS, NGRAMS, REPAIRS, TRAJECTORIES, write_table
from stages.harness.tables import TOOLS as TOOL_ROWS

TEXT = "The cat of house number {k} sat on the mat and it was {k} years old, said the {k} neighbours. "
CALL = '{"city": "Oslo", "day": "today"}'
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


def small_tokenizer(vocab_size: int) -> K2Tokenizer:
    return K2Tokenizer(
        train_tokenizer([TEXT * 9 + CALL, "functions.weather:0 is even or odd, larger " * 9], vocab_size)
    )


def write_tokenizer(data: Path, vocab_size: int) -> K2Tokenizer:
    """`data/tokenizer` as the tokenizer stage leaves it."""
    save_tokenizer(small_tokenizer(vocab_size).backend, data / "tokenizer", chat_template=TEMPLATE, max_length=256)
    return load_tokenizer(data / "tokenizer")


def write_corpus(data: Path) -> None:
    rows = [
        {"doc_id": f"d{k}", "title": "", "text": TEXT.format(k=k) * 3, "source": "houses", "license": "public domain"}
        | {"split": "train" if k % 3 else "validation"}
        for k in range(15)
    ]
    write_table(data / "corpus.parquet", rows, CORPUS)


def write_training_data(data: Path) -> None:
    """Corpus, facts, trajectories and, without rows, tools, repairs and the index of benchmarks; no tokenizer."""
    write_corpus(data)
    facts = [
        {"fact_id": f"f{k}", "question": f"How old is the cat of house {k}?", "answer": f"{k}", "aliases": []}
        | {"doc_id": f"d{k}", "relation": "age", "split": "train" if k % 3 else "validation"}
        for k in range(15)
    ]
    write_table(data / "facts.parquet", facts, FACTS)
    write_table(data / "tokens" / "benchmarks.parquet", [], NGRAMS)
    write_table(data / "tools.parquet", [], TOOL_ROWS)
    write_table(data / "repairs.parquet", [], REPAIRS)
    (data / "repositories").mkdir()
    write_table(data / "trajectories.parquet", [_trajectory(k) for k in range(8)], TRAJECTORIES)


def _trajectory(k: int) -> dict[str, Any]:
    call = {"id": "functions.weather:0", "type": "function", "function": {"name": "weather", "arguments": CALL}}
    messages = [
        {"role": "user", "content": f"weather at house {k}?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.weather:0", "content": "rain"},
        {"role": "assistant", "content": "It rains."},
    ]
    empty = {"string": "", "int32": 0, "int64": 0, "double": 0.0, "bool": False}
    row: dict[str, Any] = {field.name: empty.get(str(field.type)) for field in TRAJECTORIES}
    return row | {"traj_id": f"t{k}", "messages": json.dumps(messages), "tools": json.dumps(TOOLS), "kept": True}
