"""The official IFEval (25) and IFBench (58) checkers of `if-verifiable`, made to work offline and always alike.

Their sentence model and stop words are NLTK's own, out of the package `llama-index-core`, which carries them; nothing
is downloaded. Language detection is seeded. One checker, IFBench's `words:start_verb`, wants NLTK's perceptron tagger,
which no package carries: here the tag of the first word comes from TextBlob's Brill lexicon, so a rare word may be
judged otherwise than upstream.
"""

import importlib.util
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import nltk
from if_verifiable.ifeval.instructions_registry import INSTRUCTION_CONFLICTS, INSTRUCTION_DICT
from langdetect import DetectorFactory

__all__ = ["IFEVAL", "conflicts", "ifbench", "make"]

IFEVAL: Mapping[str, Any] = INSTRUCTION_DICT
_STARTS_WITH_VERB = "words:start_verb"

DetectorFactory.seed = 0


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a language couldn't be told, which counts as followed: the line would hold the whole answer."""
    return not str(record.msg).startswith("Unable to detect language for text")


@cache
def _prepare() -> None:
    """Shows NLTK the sentence model of an installed package; without it a checker that needs it raises LookupError."""
    logging.getLogger().addFilter(_is_news)
    package = importlib.util.find_spec("llama_index")
    for root in (package.submodule_search_locations or []) if package is not None else []:
        nltk.data.path.insert(0, str(Path(root) / "core/_static/nltk_cache"))


@cache
def ifbench() -> Mapping[str, Any]:
    """IFBench's checkers by id; importing them would download, so downloading is off meanwhile."""
    _prepare()
    with mock.patch.object(nltk, "download", lambda *args, **kwargs: False):
        from if_verifiable.ifbench.instructions_registry import INSTRUCTION_DICT as registry
    return {**registry, _STARTS_WITH_VERB: _verb_checker(registry[_STARTS_WITH_VERB])}


def _verb_checker(official: Any) -> Any:
    from textblob.en import tag

    class StartsWithVerb(official):  # type: ignore[misc]
        """The official rule, that the tag of the first word contains VB, with another tagger."""

        def check_following(self, value: str) -> bool:
            words = nltk.word_tokenize(value)
            return bool(words) and "VB" in tag(" ".join(words[:5]), tokenize=False)[0][1]

    return StartsWithVerb


def make(name: str, arguments: Mapping[str, Any]) -> tuple[Any, str]:
    """(checker, its official wording) of an instruction.

    Raises:
        ValueError: no such instruction.
    """
    _prepare()
    kind = IFEVAL.get(name) or ifbench().get(name)
    if kind is None:
        raise ValueError(f"no instruction {name!r}")
    checker = kind(name)
    return checker, str(checker.build_description(**arguments))


def conflicts(name: str) -> frozenset[str]:
    """IFEval's instructions that can't stand beside this one."""
    return frozenset(INSTRUCTION_CONFLICTS.get(name, ())) | {
        other for other, against in INSTRUCTION_CONFLICTS.items() if name in against
    }
