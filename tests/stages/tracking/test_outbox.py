"""The queue of what a store has not taken: it grows on disk, survives kills, and sends each event once and in order."""

from pathlib import Path

import pytest

from stages.tracking import outbox
from stages.tracking.outbox import NAME, Event, Outbox


class Store:
    """Takes events while it is up, `room` of them at the most."""

    def __init__(self) -> None:
        self.up, self.room = False, 10**6
        self.taken: list[int] = []

    def __call__(self, event: Event) -> None:
        if not self.up or not self.room:
            raise OSError("away")
        self.room -= 1
        self.taken.append(event["n"])


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(outbox, "PAUSE_S", 0.0)
    return Store()


def _fill(box: Outbox, first: int, last: int) -> None:
    for n in range(first, last):
        box.put({"n": n})
        box.deliver()


def test_the_file_only_grows_while_nothing_is_sent(store: Store, tmp_path: Path) -> None:
    box = Outbox(tmp_path, store)
    _fill(box, 0, 1)
    inode = (tmp_path / NAME).stat().st_ino
    _fill(box, 1, 50)
    assert (tmp_path / NAME).stat().st_ino == inode, "not written anew"
    assert [line for line in (tmp_path / NAME).read_text().splitlines()] == [f'{{"n": {n}}}' for n in range(50)]


def test_each_event_is_sent_once_and_in_order_however_often_the_store_leaves(store: Store, tmp_path: Path) -> None:
    box = Outbox(tmp_path, store)
    _fill(box, 0, 10)
    store.up, store.room = True, 4
    _fill(box, 10, 12)
    assert store.taken == [0, 1, 2, 3] and len(box) == 8
    again = Outbox(tmp_path, store)  # another process, after a kill
    store.room = 3
    _fill(again, 12, 13)
    assert store.taken == list(range(7))
    store.room = 10**6
    assert again.deliver()
    assert store.taken == list(range(13)) and not (tmp_path / NAME).exists()


def test_a_line_that_a_kill_cut_off_is_no_event(store: Store, tmp_path: Path) -> None:
    _fill(Outbox(tmp_path, store), 0, 3)
    with (tmp_path / NAME).open("a") as handle:
        handle.write('{"n": 3, "points": [[')
    box = Outbox(tmp_path, store)
    _fill(box, 3, 5)
    store.up = True
    assert box.deliver()
    assert store.taken == [0, 1, 2, 3, 4]
