from pathlib import Path

import pytest

from stages.corpus import parts as module
from stages.corpus.document import Document
from stages.corpus.parts import Parts
from stages.corpus.prepare import Recipe, pieces, prepare


def _parts(folder: Path, documents: list[Document], size: int) -> Parts:
    parts = Parts(folder)
    for number, begin in enumerate(range(0, len(documents), size)):
        parts.write(number, prepare(documents[begin : begin + size], Recipe(3, 5, 11)))
    parts.open(-(-len(documents) // size))
    return parts


DOCUMENTS = [Document(f"user/x/{row}", f"t{row}", f"text {row}", "user:x", "MIT") for row in range(300)]


@pytest.mark.parametrize(("size", "fan_in"), [(300, 64), (7, 64), (7, 3), (100, 2)])
def test_rows_come_in_the_order_of_their_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, fan_in: int
) -> None:
    monkeypatch.setattr(module, "FAN_IN", fan_in)
    parts = _parts(tmp_path, DOCUMENTS, size)
    asked: list[int] = []

    def wanted(source: str, number: int) -> bool:
        asked.append(number)
        return number % 3 > 0

    rows = list(parts.rows(wanted))
    assert sorted(asked) == list(range(300))
    assert rows == [
        (document.doc_id, number, document.title, document.text, document.source, document.license)
        for number, document in sorted(enumerate(DOCUMENTS), key=lambda pair: pair[1].doc_id)
        if number % 3
    ]


def test_equal_ids_come_in_the_order_of_the_documents(tmp_path: Path) -> None:
    same = [Document("a", str(number), f"text {number}", "s", "l") for number in range(20)]
    parts = _parts(tmp_path, same, 3)
    assert [row[2] for row in parts.rows(lambda source, number: True)] == [str(number) for number in range(20)]


def test_a_part_counts_what_was_too_short(tmp_path: Path) -> None:
    parts = _parts(tmp_path, [Document("a", "", "x", "s", "l"), Document("b", "", "long", "s", "l")], 1)
    assert parts.short == {"s": 1} and parts.size == 1


def test_pieces_are_cut_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.corpus.prepare.PIECE_BYTES", 20)
    assert [len(piece) for piece in pieces(DOCUMENTS[:7])] == [4, 3]
    assert list(pieces([])) == []
