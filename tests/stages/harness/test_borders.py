"""What no file can hold becomes a replacement character where it would be written."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import model_validator

from stages.harness.endpoint import check_teacher
from stages.harness.errors import InputError
from stages.harness.section import Section, validate
from stages.harness.tables import read_table, write_batches, write_table
from stages.trajectories import shards

SCHEMA = pa.schema([pa.field("text", pa.string(), nullable=False), pa.field("tags", pa.list_(pa.string()))])
ROWS: list[dict[str, Any]] = [{"text": "a", "tags": ["b"]}, {"text": f"x{chr(0xD800)}", "tags": [chr(0xDFFF)]}]


@pytest.mark.parametrize("write", [write_table, lambda path, rows, schema: write_batches(path, [rows], schema)])
def test_a_table_holds_half_a_surrogate_pair_as_a_replacement_character(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "t.parquet", ROWS, SCHEMA)
    rows = read_table(tmp_path / "t.parquet", SCHEMA).to_pylist()
    assert rows == [ROWS[0], {"text": "x\ufffd", "tags": ["\ufffd"]}]


def test_a_shard_holds_it_so_too_and_a_line_ends_at_a_line_feed_alone(tmp_path: Path) -> None:
    text = f"a\u2028b\x85c\r{chr(0xD800)}"
    shards.make(tmp_path / "s.jsonl", lambda: [{"task": {"text": text}}])
    assert next(shards.read([tmp_path / "s.jsonl"], "task")) == [{"text": "a\u2028b\x85c\r\ufffd"}]


def test_a_refused_parameter_is_shown_without_the_password_in_it() -> None:
    class Asking(Section):
        teacher: str

        @model_validator(mode="after")
        def _known(self) -> "Asking":
            check_teacher("teacher", self.teacher, ["embedded"])
            return self

    for teacher in ("http://me:hunter2pass@h/v1", "https://h/v1?api_key=hunter2pass", "htp://me:hunter2pass@h/v1#m"):
        with pytest.raises(InputError, match="teacher") as failure:
            validate(Asking, {"teacher": teacher}, prefix="rephrase.")
        assert "hunter2" not in str(failure.value) and "\n" not in str(failure.value)
