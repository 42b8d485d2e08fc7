"""How much of the data is more of the same, and what kinds of turns it has: figures of the card, MLflow and the report.

Counted over kept conversations; a user's sentence is compared with its values masked.
"""

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

Message = Mapping[str, Any]
TOP = 10
NUMBERS = re.compile(r"\d[\d,.:/-]*")


class Diversity:
    """Adds rows up, one at a time.

    Args:
        real: names of tools that are not this project's invention.
    """

    def __init__(self, real: Set[str]) -> None:
        self.real = real
        self.sentences: Counter[int] = Counter()
        self.trigrams: set[int] = set()
        self.words = 0
        self.declared: set[str] = set()
        self.count: Counter[str] = Counter()

    def add(self, row: Mapping[str, Any]) -> None:
        """A row of trajectories.parquet."""
        messages = json.loads(row["messages"])
        calls = [call["function"] for message in messages for call in message.get("tool_calls") or []]
        values = sorted(set(_texts(json.loads(call["arguments"]) for call in calls)), key=len, reverse=True)
        for message in messages:
            if message["role"] == "user":
                self._sentence(str(message["content"]), values)
        names = {tool["function"]["name"] for tool in json.loads(row["tools"])}
        self.count["declared"] += len(names)
        self.count["declared_real"] += len(names & self.real)
        self.declared |= names
        self.count["calls"] += len(calls)
        for kind, there in _kinds(messages).items():
            self.count[kind] += there
        self.count["conversations"] += 1

    def _sentence(self, text: str, values: Sequence[str]) -> None:
        for value in values:
            text = text.replace(value, "_")
        masked = NUMBERS.sub("#", text.lower())
        self.sentences[hash_of(masked)] += 1
        words = masked.split()
        self.words += len(words)
        self.trigrams |= {hash_of(" ".join(words[k : k + 3])) for k in range(len(words) - 2)}

    def metrics(self) -> dict[str, float]:
        """Shares of conversations, unless a name says otherwise."""
        n, said = self.count["conversations"], self.sentences.total()
        if not n or not said:
            return {}
        shares = {f"share_{kind}": self.count[kind] / n for kind in KINDS}
        return shares | {
            "distinct_sentences": len(self.sentences) / said,
            "top_sentences": sum(count for _, count in self.sentences.most_common(TOP)) / said,
            "trigrams_per_1000_words": 1000 * len(self.trigrams) / max(1, self.words),
            "distinct_tools": len(self.declared),
            "declared_real": self.count["declared_real"] / max(1, self.count["declared"]),
            "calls_per_conversation": self.count["calls"] / n,
        }


def hash_of(text: str) -> int:
    """The same in every process."""
    return zlib.crc32(text.encode()) << 32 | zlib.adler32(text.encode())


def _texts(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, dict):
            yield from _texts(value.values())
        elif isinstance(value, list):
            yield from _texts(value)
        elif isinstance(value, str) and len(value) > 2:
            yield value


KINDS = ("parallel", "dependent", "error", "no_call")


def _kinds(messages: Sequence[Message]) -> dict[str, bool]:
    """parallel: several calls in a turn. dependent: two calls or more hold a value of an earlier result that no user
    said. error: a result that reports one. no_call: a user is answered without a call."""
    said, results, dependent = "", "", 0
    found = dict.fromkeys(KINDS, False)
    for before, message in zip([None, *messages], messages, strict=False):
        if message["role"] == "user":
            said += str(message["content"])
        elif message["role"] == "tool":
            results += str(message["content"])
            found["error"] |= '"error"' in str(message["content"])
        elif message["role"] == "assistant":
            calls = message.get("tool_calls") or []
            found["parallel"] |= len(calls) > 1
            found["no_call"] |= not calls and before is not None and before["role"] == "user"
            for call in calls:
                values = _texts([json.loads(call["function"]["arguments"])])
                dependent += any(value in results and value not in said for value in values)
    return found | {"dependent": dependent > 1}
