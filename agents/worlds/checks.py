"""Checks of what a YAML file holds; each raises ValueError with `where` in its line."""

import keyword
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
RESERVED = {"today", "each", "id", "true", "false", "null", "count", "total", "all", "min", "max", "round", "abs"}


def only_keys(content: Mapping[str, Any], keys: str, where: str) -> None:
    if not isinstance(content, Mapping):
        raise ValueError(f"{where} is no mapping")
    unknown = sorted(str(key) for key in content if key not in keys.split())
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(unknown)}; there are {', '.join(keys.split())}")


@contextmanager
def located(where: str) -> Iterator[None]:
    """Says of an error that does not say it where it is: what is missing, or of another kind than it must be."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{where}: {error.args[0]!r} is missing") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{where}: {error}") from None
    except ValueError as error:
        raise error if str(error).startswith(where) else ValueError(f"{where}: {error}") from None


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no mapping")
    return value


def listed(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is no list")
    return value


def named(text: Any, where: str) -> str:
    if not isinstance(text, str) or not NAME.fullmatch(text) or text in RESERVED or keyword.iskeyword(text):
        raise ValueError(f"{where}: {text!r} is no name here (small letters and _, no word that is taken)")
    return text


def word_list(given: Any, where: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
        raise ValueError(f"{where}: also is a list of words")
    return tuple(given)
