"""Answers by content, in SQLite: what was once answered, or refused for good, is never asked again.

python -m agents.chat.store INTO FROM...                copies what the other stores hold
python -m agents.chat.store INTO --forget-refusals      asks the refused requests again in the next run
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from agents.chat.protocol import (
    Answers,
    Around,
    ChatAnswer,
    ChatClient,
    ChatError,
    ChatRefusal,
    ChatRequest,
    ChatResponse,
    Dialog,
    OnAnswer,
    request_key,
)
from k2model.chat.model_json import well_formed


class AnswerStore:
    """Tables key → answer and key → refusal. Many processes may use one file; what `put` returned from survives a kill.

    A refusal that another try might not meet (`failed`) is not kept. An answer counts more than a refusal.

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
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS refusals"
                " (key TEXT PRIMARY KEY, model TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            raise ChatError(f"{path}: not an answer store: {error}") from None

    def get(self, key: str) -> ChatAnswer | None:
        row = self._db.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        if row is not None:
            value = json.loads(row[0])
            return ChatResponse(**value | {"tool_calls": tuple(value["tool_calls"]), "cached": True})
        row = self._db.execute("SELECT kind, reason FROM refusals WHERE key = ?", (key,)).fetchone()
        return None if row is None else ChatRefusal(row[0], row[1], cached=True)

    def put(self, key: str, model: str, answer: ChatAnswer) -> None:
        """Stores an answer, half surrogate pairs as U+FFFD; the first one of a key stays."""
        if isinstance(answer, ChatRefusal):
            if answer.kind != "failed":
                row = (key, model, answer.kind, well_formed(answer.reason))
                self._db.execute("INSERT OR IGNORE INTO refusals VALUES (?, ?, ?, ?)", row)
            return
        value = asdict(answer)
        del value["cached"]
        text = json.dumps(well_formed(value), ensure_ascii=False, allow_nan=False)
        self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (key, model, text))

    def forget_refusals(self) -> int:
        """Requests that were refused will be asked again; returns how many there were."""
        return self._db.execute("DELETE FROM refusals").rowcount

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
            self._db.execute("INSERT OR IGNORE INTO refusals SELECT * FROM other.refusals")
        finally:
            self._db.execute("DETACH other")
        return len(self) - before

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        self._db.close()


class CachedClient(Around):
    """A client that looks into a store first, asks equal requests once and stores each answer as it comes."""

    def __init__(self, client: ChatClient, store: AnswerStore) -> None:
        super().__init__(client)
        self.store = store

    def complete(self, requests: Sequence[ChatRequest], on_answer: OnAnswer | None = None) -> list[ChatAnswer]:
        answers = Answers(on_answer)
        missing: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            key = request_key(self.model, request)
            if key in missing:
                missing[key].append(index)
            elif (known := self.store.get(key)) is not None:
                answers.give(index, known)
            else:
                missing[key] = [index]
        keys = list(missing)

        def arrived(index: int, answer: ChatAnswer) -> None:
            self.store.put(keys[index], self.model, answer)
            first, *others = missing[keys[index]]
            answers.give(first, answer)
            for other in others:
                answers.give(other, replace(answer, cached=True))

        if keys:
            self.client.complete([requests[missing[key][0]] for key in keys], arrived)
        return answers.in_order(len(requests))

    def converse(self, dialogs: Iterable[Dialog]) -> None:
        self.client.converse(self._stored(dialog) for dialog in dialogs)

    def _stored(self, dialog: Dialog) -> Dialog:
        """Asks for `dialog` what the store does not know, and tells it what the store keeps: a later run sees that."""
        try:
            request = next(dialog)
            while True:
                key = request_key(self.model, request)
                answer = self.store.get(key)
                if answer is None:
                    given = yield request
                    self.store.put(key, self.model, given)
                    kept = self.store.get(key)
                    answer = given if kept is None else replace(kept, cached=False)
                request = dialog.send(answer)
        except StopIteration:
            return
        finally:
            dialog.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Copies the answers of other stores into one.")
    parser.add_argument("into", type=Path)
    parser.add_argument("others", type=Path, nargs="*", metavar="from")
    parser.add_argument("--forget-refusals", action="store_true", help="so that they are asked again")
    args = parser.parse_args()
    try:
        if not args.others and not args.into.is_file():
            raise ChatError(f"{args.into}: no such store")
        store = AnswerStore(args.into)
        new = sum(store.take(other) for other in args.others)
        if args.forget_refusals:
            print(f"answers: {store.forget_refusals():,} refusals forgotten")
    except ChatError as error:
        print(f"answers: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"answers: {new:,} new of {len(store):,} in {args.into}")


if __name__ == "__main__":
    main()
