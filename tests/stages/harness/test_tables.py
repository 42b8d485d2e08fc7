from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.harness.errors import InputError
from stages.harness.tables import FACTS, count_rows, read_batches, read_table, write_batches, write_table

SCHEMA = pa.schema([pa.field("name", pa.string(), nullable=False), pa.field("count", pa.int32(), nullable=False)])
ROWS = [{"name": f"row {number}", "count": number} for number in range(40_000)]


def test_what_is_written_is_read_whole_or_a_batch_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, ROWS, SCHEMA)
    assert pq.ParquetFile(path).num_row_groups == 3
    assert read_table(path, SCHEMA).to_pylist() == ROWS
    batches = list(read_batches(path, SCHEMA, ("count",), rows=1000))
    assert [row["count"] for rows in batches for row in rows] == list(range(40_000))
    assert max(map(len, batches)) <= 1000
    assert batches[0][0] == {"count": 0}
    assert count_rows(path, SCHEMA) == 40_000


def test_batches_are_row_groups_and_other_columns_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_batches(path, (ROWS[start : start + 7] for start in (0, 7, 14)), SCHEMA)
    assert pq.ParquetFile(path).num_row_groups == 3
    more = pq.read_table(path).append_column("other", pa.array([1] * 21))
    pq.write_table(more, path)
    assert read_table(path, SCHEMA).to_pylist() == ROWS[:21]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "not found; run the stage that makes it first"),
        (b"", "not a readable parquet file"),
        (b"PAR1 no parquet at all PAR1", "not a readable parquet file"),
        ({"name": ["a"]}, "column 'count' is missing"),
        ({"name": ["a"], "count": [1.5]}, "column 'count' is double, expected int32"),
        ({"name": [None], "count": [[1]]}, "column 'name' is null, expected string"),
    ],
)
def test_a_table_of_another_schema_is_one_line(tmp_path: Path, content: object, says: str) -> None:
    path = tmp_path / "t.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        pq.write_table(pa.table(content), path)
    for read in (read_table, count_rows, lambda path, schema: list(read_batches(path, schema, ("name",)))):
        with pytest.raises(InputError) as caught:
            read(path, SCHEMA)
        assert str(caught.value).startswith(f"{path}: {says}")
        assert "\n" not in str(caught.value)


def test_a_torn_page_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, ROWS[:5000], SCHEMA)
    raw = bytearray(path.read_bytes())
    raw[200:1200] = b"\xff" * 1000
    path.write_bytes(raw)
    with pytest.raises(InputError, match="not a readable parquet file"):
        read_table(path, SCHEMA)
    with pytest.raises(InputError, match="not a readable parquet file"):
        list(read_batches(path, SCHEMA, ("name", "count")))


def test_an_empty_table_has_a_schema(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", [], FACTS)
    assert read_table(tmp_path / "t.parquet", FACTS).num_rows == 0
    assert list(read_batches(tmp_path / "t.parquet", FACTS, ("answer",))) == []
