"""Answers by content, in SQLite: what was once answered is never asked again.

python -m agents.chat.store INTO FROM...    copies what the other stores hold
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from agents.chat.protocol import ChatClient, ChatError, ChatRequest, ChatResponse, OnResponse, request_key


class AnswerStore:
    """A table key → answer. Many processes may use one file; an answer that `put` returned from survives a kill.

    Raises:
        ChatError: the file isn't such a store.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS answers"
                " (key TEXT PRIMARY KEY, model TEXT NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            raise ChatError(f"{path}: not an answer store: {error}") from None

    def get(self, key: str) -> ChatResponse | None:
        row = self._db.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value = json.loads(row[0])
        return ChatResponse(**value | {"tool_calls": tuple(value["tool_calls"]), "cached": True})

    def put(self, key: str, model: str, answer: ChatResponse) -> None:
        """Stores an answer; the first one of a key stays."""
        value = asdict(answer)
        del value["cached"]
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (key, model, text))

    def take(self, other: Path) -> int:
        """Copies the answers of another store; returns how many were new.

        Raises:
            ChatError: there is no such store.
        """
        if not other.is_file():
            raise ChatError(f"{other}: no such store")
        before = len(self)
        AnswerStore(other).close()
        self._db.execute("ATTACH ? AS other", (str(other),))
        try:
            self._db.execute("INSERT OR IGNORE INTO answers SELECT * FROM other.answers")
        finally:
            self._db.execute("DETACH other")
        return len(self) - before

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        self._db.close()


class CachedClient:
    """A client that looks into a store first, asks equal requests once and stores each answer as it comes."""

    def __init__(self, client: ChatClient, store: AnswerStore) -> None:
        self.client, self.store = client, store

    @property
    def model(self) -> str:
        return self.client.model

    def complete(self, requests: Sequence[ChatRequest], on_response: OnResponse | None = None) -> list[ChatResponse]:
        answers: dict[int, ChatResponse] = {}

        def give(place: int, answer: ChatResponse) -> None:
            answers[place] = answer
            if on_response is not None:
                on_response(place, answer)

        missing: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            key = request_key(self.model, request)
            if key in missing:
                missing[key].append(place)
            elif (found := self.store.get(key)) is not None:
                give(place, found)
            else:
                missing[key] = [place]
        keys = list(missing)

        def arrived(index: int, answer: ChatResponse) -> None:
            self.store.put(keys[index], self.model, answer)
            first, *others = missing[keys[index]]
            give(first, answer)
            for place in others:
                give(place, replace(answer, cached=True))

        if keys:
            self.client.complete([requests[missing[key][0]] for key in keys], arrived)
        return [answers[place] for place in range(len(requests))]


def main() -> None:
    parser = argparse.ArgumentParser(description="Copies the answers of other stores into one.")
    parser.add_argument("into", type=Path)
    parser.add_argument("others", type=Path, nargs="+", metavar="from")
    args = parser.parse_args()
    try:
        store = AnswerStore(args.into)
        new = sum(store.take(other) for other in args.others)
    except ChatError as error:
        print(f"answers: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"answers: {new:,} new of {len(store):,} in {args.into}")


if __name__ == "__main__":
    main()
