"""The Arrow schema of every parquet file that passes between stages, and its reader and writer."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from k2model.chat.model_json import well_formed
from stages.harness.errors import InputError
from stages.harness.files import write_atomic

CORPUS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)

REPHRASED = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("version", pa.int32(), nullable=False),
        pa.field("style", pa.string(), nullable=False),
        pa.field("perspective", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("accepted", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("chunks", pa.int32(), nullable=False),
        pa.field("chunks_reworded", pa.int32(), nullable=False),
        pa.field("candidates", pa.int32(), nullable=False),
        pa.field("candidates_passed", pa.int32(), nullable=False),
        pa.field("lineage", pa.string(), nullable=False),
        pa.field("judge", pa.string(), nullable=False),
        *(
            pa.field(f"score_{name}", pa.float64(), nullable=False)
            for name in (
                "names",
                "numbers",
                "new_names",
                "new_numbers",
                "coverage",
                "support",
                "unsupported_run",
                "turned",
                "replaced",
                "similarity",
                "copied",
                "repeats",
                "length",
            )
        ),
    ]
)

FACTS = pa.schema(
    [
        pa.field("fact_id", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("aliases", pa.list_(pa.string()), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("relation", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)

# What must not be trained on: hashes of n-grams, of whole questions, or of functions' names (gym/decontaminate.py).
NGRAMS = pa.schema(
    [
        pa.field("gram", pa.uint64(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("words", pa.int32(), nullable=False),
    ]
)

SAMPLES = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("task_id", pa.string(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("output", pa.string(), nullable=False),
        pa.field("extracted", pa.string()),
        pa.field("expected", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("parts", pa.string(), nullable=False),  # further numbers of the scorer, as JSON
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("finish_reason", pa.string(), nullable=False),
        pa.field("output_tokens", pa.int32(), nullable=False),
    ]
)

TOOLS = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("application", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("description", pa.string(), nullable=False),
        pa.field("parameters", pa.string(), nullable=False),
        pa.field("returns", pa.string(), nullable=False),
        pa.field("state_model", pa.string(), nullable=False),
    ]
)

# Repair tasks as `gym.repositories.task.RepairTask.row` gives them; lists and the snippet as JSON.
REPAIRS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("project", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("edits", pa.string(), nullable=False),
        pa.field("kinds", pa.string(), nullable=False),
        pa.field("fail_to_pass", pa.string(), nullable=False),
        pa.field("pass_to_pass", pa.string(), nullable=False),
        pa.field("shown", pa.string(), nullable=False),
        pa.field("issue", pa.string(), nullable=False),
        pa.field("form", pa.string(), nullable=False),
        pa.field("snippet", pa.string(), nullable=False),
        pa.field("chain", pa.int32(), nullable=False),
        pa.field("held", pa.bool_(), nullable=False),
    ]
)

AGENTS = pa.schema(
    [
        pa.field("agent_id", pa.string(), nullable=False),
        pa.field("system", pa.string(), nullable=False),
        pa.field("application", pa.string(), nullable=False),
        pa.field("shape", pa.int32(), nullable=False),
        pa.field("tools", pa.string(), nullable=False),
        pa.field("slip", pa.float64(), nullable=False),
        pa.field("recover", pa.float64(), nullable=False),
        pa.field("thinks", pa.bool_(), nullable=False),
        pa.field("author", pa.string(), nullable=False),
    ]
)

TASKS = pa.schema(
    [
        pa.field("task_id", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("application", pa.string(), nullable=False),
        pa.field("world_seed", pa.int64(), nullable=False),
        pa.field("goals", pa.int32(), nullable=False),
        pa.field("request", pa.string(), nullable=False),
        pa.field("rubric", pa.string(), nullable=False),
        pa.field("gold", pa.string(), nullable=False),
        pa.field("tools", pa.string(), nullable=False),
        pa.field("kinds", pa.string(), nullable=False),
    ]
)

TRAJECTORIES = pa.schema(
    [
        pa.field("traj_id", pa.string(), nullable=False),
        pa.field("task_id", pa.string(), nullable=False),
        pa.field("agent_id", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("messages", pa.string(), nullable=False),
        pa.field("tools", pa.string(), nullable=False),
        pa.field("state_hash", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("n_turns", pa.int32(), nullable=False),
        pa.field("n_calls", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("persona", pa.string(), nullable=False),
        pa.field("wording", pa.string(), nullable=False),
        pa.field("unsolved", pa.int32(), nullable=False),
        pa.field("patch", pa.string(), nullable=False),
        pa.field("llm_verdict", pa.string(), nullable=False),
        pa.field("llm_reason", pa.string(), nullable=False),
    ]
)

ROLLOUTS = pa.schema(
    [
        pa.field("iteration", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("taskset", pa.string(), nullable=False),
        pa.field("task_id", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("surprise", pa.float64(), nullable=False),
        pa.field("stop", pa.string(), nullable=False),
        pa.field("temperature", pa.float64(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("hacked", pa.bool_(), nullable=False),
        pa.field("reward_task", pa.float64(), nullable=False),
        pa.field("reward_length", pa.float64(), nullable=False),
        pa.field("reward_budget", pa.float64(), nullable=False),
        pa.field("reward_repeat", pa.float64(), nullable=False),
        pa.field("reward", pa.float64(), nullable=False),
    ]
)


def _table(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table; half surrogate pairs, which no file can hold, become U+FFFD."""
    try:
        return pa.Table.from_pylist(list(rows), schema=schema)
    except UnicodeEncodeError:
        return pa.Table.from_pylist([well_formed(row) for row in rows], schema=schema)


def write_table(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Writes rows as parquet with `schema`; the same rows give the same bytes.

    Raises:
        pyarrow.ArrowInvalid, ArrowTypeError: a row doesn't fit the schema.
    """
    table = _table(rows, schema)
    with write_atomic(path) as tmp:
        pq.write_table(table, tmp, compression="zstd", version="2.6", store_schema=True, row_group_size=16384)


def write_batches(path: Path, batches: Iterable[Sequence[dict[str, Any]]], schema: pa.Schema) -> None:
    """Writes rows batch by batch, each one row group, so that only one batch is in memory.

    Raises:
        pyarrow.ArrowInvalid, ArrowTypeError: a row doesn't fit the schema.
    """
    with write_atomic(path) as tmp:
        options = {"compression": "zstd", "version": "2.6", "store_schema": True}
        with pq.ParquetWriter(tmp, schema, **options) as writer:
            for rows in batches:
                writer.write_table(_table(rows, schema))


def _open(path: Path, schema: pa.Schema) -> pq.ParquetFile:
    """The file, whose schema has been compared.

    Raises:
        InputError: not there, not parquet, or a column is missing or has another type.
    """
    try:
        file = pq.ParquetFile(path, pre_buffer=False)  # a row group of what is read is in memory, not the file
        columns = file.schema_arrow
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run the stage that makes it first") from None
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None
    for field in schema:
        if field.name not in columns.names:
            raise InputError(f"{path}: column {field.name!r} is missing")
        if columns.field(field.name).type != field.type:
            kind = columns.field(field.name).type
            raise InputError(f"{path}: column {field.name!r} is {kind}, expected {field.type}")
    return file


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a readable parquet file: {str(error).partition(chr(10))[0]}")


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Reads a whole parquet file and checks its schema.

    Raises:
        InputError: not there, not parquet, or a column is missing or has another type.
    """
    file = _open(path, schema)
    try:
        return file.read(columns=schema.names)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def read_batches(
    path: Path, schema: pa.Schema, columns: Sequence[str], rows: int = 1024
) -> Iterator[list[dict[str, Any]]]:
    """Some columns of a parquet file whose schema is checked, `rows` at a time, so that only those are in memory.

    Raises:
        InputError: see `read_table`.
    """
    file = _open(path, schema)
    try:
        for batch in file.iter_batches(rows, columns=list(columns)):
            yield batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def count_rows(path: Path, schema: pa.Schema) -> int:
    """How many rows a parquet file has.

    Raises:
        InputError: see `read_table`.
    """
    return int(_open(path, schema).metadata.num_rows)
