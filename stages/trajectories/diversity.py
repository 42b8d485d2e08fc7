"""How much of the data is more of the same, and what kinds of turns it has: figures of the card, MLflow and the report.

Counted over kept conversations; a user's sentence is compared with its values masked.
"""

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from datasketch import MinHash, MinHashLSH

Message = Mapping[str, Any]
TOP = 10
NUMBERS = re.compile(r"\d[\d,.:/-]*")
CLOSING = re.compile(r"\b(thanks|thank you|bye|that's all|that was all|nothing else|cheers)\b", re.I)
NEAR, PERMUTATIONS = 0.8, 64  # Jaccard of masked 3-grams


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
        self.verbs: set[str] = set()
        self.count: Counter[str] = Counter()
        self.near = MinHashLSH(threshold=NEAR, num_perm=PERMUTATIONS)

    def add(self, row: Mapping[str, Any]) -> None:
        """A row of trajectories.parquet."""
        messages = json.loads(row["messages"])
        calls = [call["function"] for message in messages for call in message.get("tool_calls") or []]
        values = sorted(set(_texts(json.loads(call["arguments"]) for call in calls)), key=len, reverse=True)
        said = [masked(str(m["content"]), values) for m in messages if m["role"] == "user"]
        for text in said:
            self._sentence(text)
        names = {tool["function"]["name"] for tool in json.loads(row["tools"])}
        self.count["declared"] += len(names)
        self.count["declared_real"] += len(names) if row["source"] in SERVED else len(names & self.real)
        self.declared |= names
        self.verbs |= {_first_word(call["name"]) for call in calls}
        self.count["calls"] += len(calls)
        self.count["turns"] += sum(message["role"] == "assistant" for message in messages)
        for kind, there in _kinds(messages).items():
            self.count[kind] += there
        self.count["near_duplicates"] += self._near_another(said, calls)
        self.count["conversations"] += 1

    def _sentence(self, text: str) -> None:
        self.sentences[hash_of(text)] += 1
        words = text.split()
        self.words += len(words)
        self.trigrams |= {hash_of(" ".join(words[k : k + 3])) for k in range(len(words) - 2)}

    def _near_another(self, said: Sequence[str], calls: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a conversation before it has nearly the same masked sentences and calls."""
        words = f"{' '.join(said)} {' '.join(call['name'] for call in calls)}".split()
        shingles = sorted({" ".join(words[k : k + 3]) for k in range(max(1, len(words) - 2))})
        signature = MinHash(num_perm=PERMUTATIONS, seed=1)
        signature.update_batch([shingle.encode() for shingle in shingles])
        same = bool(self.near.query(signature))
        self.near.insert(str(self.count["conversations"]), signature)
        return same

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
            "distinct_verbs": len(self.verbs),
            "declared_real": self.count["declared_real"] / max(1, self.count["declared"]),
            "real_coverage": len(self.declared & self.real) / max(1, len(self.real)),
            "calls_per_conversation": self.count["calls"] / n,
            "turns_per_conversation": self.count["turns"] / n,
            "near_duplicates": self.count["near_duplicates"] / n,
        }


def masked(text: str, values: Sequence[str]) -> str:
    """A sentence without the values of calls and without numbers."""
    for value in values:
        text = text.replace(value, "_")
    return NUMBERS.sub("#", text.lower())


def _first_word(name: str) -> str:
    return re.split(r"[_.\-]|(?<=[a-z])(?=[A-Z])", name)[0].lower()


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


SERVED = ("server", "executed")  # sources whose tools are those of MCP servers
KINDS = ("parallel", "dependent", "error", "no_call", "ask_back", "no_call_or_ask_back")


def _kinds(messages: Sequence[Message]) -> dict[str, bool]:
    """parallel: several calls in a turn. dependent: two calls or more hold a value of an earlier result that no user
    said. error: a result that reports one. no_call: a wish is answered without a call. ask_back: the agent asks before
    it calls anything."""
    said, results, dependent = "", "", 0
    kinds = dict.fromkeys(KINDS, False)
    for before, message in zip([None, *messages], messages, strict=False):
        if message["role"] == "user":
            said += str(message["content"])
        elif message["role"] == "tool":
            results += str(message["content"])
            kinds["error"] |= '"error"' in str(message["content"])
        elif message["role"] == "assistant":
            calls = message.get("tool_calls") or []
            kinds["parallel"] |= len(calls) > 1
            if not calls and before is not None and before["role"] == "user" and not _closes(before):
                kinds["ask_back" if "?" in str(message["content"]) else "no_call"] = True
            for call in calls:
                values = _texts([json.loads(call["function"]["arguments"])])
                dependent += any(value in results and value not in said for value in values)
    either = kinds["no_call"] or kinds["ask_back"]
    return kinds | {"dependent": dependent > 1, "no_call_or_ask_back": either}


def _closes(message: Message) -> bool:
    """Whether a user only says goodbye."""
    text = str(message["content"])
    return len(text) < 90 and CLOSING.search(text) is not None
