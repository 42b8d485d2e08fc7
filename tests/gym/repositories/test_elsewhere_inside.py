"""What depends on addresses, on the seed of hashes or on the order of sets is in no snippet."""

from dataclasses import replace

import pytest

from gym.repositories.project import Project
from gym.repositories.snippets import Candidate, prove
from gym.repositories.task import Edit, apply_edits
from gym.sandbox import Box

PATH = "shapes/keys.py"
KEYS = """
from enum import Enum

class Query:
    def __init__(self, *path):
        self.path = path
    def __hash__(self):
        return hash((type(self).__name__, self.path))
    def __eq__(self, other):
        return self.path == other.path

class Number:
    def __init__(self, number):
        self.number = number
    def __hash__(self):
        return hash(self.number)

class Colour(Enum):
    RED = 1
    BLUE = 2

class Text(str):
    pass

class Plain:
    pass

KNOWN = {Query('a'): 1, Colour.RED: 2}
PLAIN = Plain()
MANY = [Plain() for _ in range(6)]
SEEN = {id(PLAIN): 3}

def count():
    return 1
"""
UNCERTAIN = {
    "a hash of texts": "hash(Query('a'))",
    "a hash of texts, by its method": "Query('a').__hash__()",
    "a part of a hash": "hash('a') % 2",
    "a slot in a table": "hash(('a', 1)) % 8",
    "the sign of a hash": "hash(Query('b')) > 0",
    "a hash of an address": "hash(PLAIN)",
    "a hash of an address, by its method": "Plain().__hash__()",
    "a hash of a class": "hash(Plain) % 1000000",
    "a hash of None": "hash(None)",
    "an address": "id(PLAIN)",
    "digits of an address": "str(id([]))[-7:-1]",
    "the order of a set": "list({'a', 'b'})",
    "the order of a frozen set, joined": "''.join(frozenset('abc'))",
    "the first of a set": "next(iter({'a', 'b', 'c'}))",
    "the order of a set of objects": "[MANY.index(one) for one in set(MANY)]",
    "the order of a set of classes": "[kind.__name__ for kind in {Plain, Query, Number, Colour, int, str}]",
    "the order of a set of pairs": "[one for one in {('a', 1), ('b', 2), ('c', 3)}]",
    "the order of a set of objects with hashes of texts": "[one.path for one in {Query(k) for k in 'abcd'}]",
    "the order of a union": "[*({'a'} | {'b'})]",
    "order by address": "[MANY.index(one) for one in sorted(MANY, key=id)]",
}
CERTAIN = {
    "a hash of a number": "hash(5), hash(2.5), hash((1, (2, 3))), hash(Number(7)), hash(True)",
    "equal hashes": "hash(Query('a')) == hash(Query('a')), hash(Query('a')) == Query('a').__hash__()",
    "what was kept by its hash": "KNOWN[Query('a')], KNOWN[Colour.RED], Query('c') in KNOWN",
    "what was kept by its address": "SEEN[id(PLAIN)], id(PLAIN) == id(PLAIN)",
    "what is kept by an object": "{PLAIN: 1}[PLAIN], {Plain, Query} == {Query, Plain}, len({*MANY, *MANY})",
    "a class that hashes as another": "{'a': 1}[Text('a')], {Text('a')} == {'a'}",
    "a sorted set": "sorted({'b', 'a'}), len({'a', 'b'}), {'a', 'b'} == {'b', 'a'}, 'a' in {'a', 'b'}",
    "a set of numbers": "{3, 1, 2}, list({3, 1, 2}), [*{(1, 2), (3, 4)}]",
}


@pytest.fixture(scope="module")
def certain(box: Box, toy_project: Project) -> dict[str, bool]:
    """Whether each expression, with a call of the changed function beside it, is proven."""
    files = {**toy_project.files, PATH: KEYS.encode()}
    project = replace(toy_project, files=files, code=(*toy_project.code, PATH))
    start = KEYS.index("return 1")
    edit = Edit(PATH, start, start + 8, "return 2", "constant", "count", KEYS.count("\n", 0, start) + 1)
    imports = ("from shapes.keys import KNOWN, MANY, PLAIN, SEEN, Colour, Number, Plain, Query, Text, count",)
    named = UNCERTAIN | CERTAIN
    asked = [
        Candidate(imports, (), f"(({text}), count())", "condition", "value[1] == 1", "", ()) for text in named.values()
    ]
    return {
        name: one is not None
        for name, one in zip(named, prove(box, project, apply_edits(files, (edit,)), asked, (edit,)), strict=True)
    }


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_another_interpreter_would_not_give_is_refused(certain: dict[str, bool], name: str) -> None:
    assert not certain[name]


@pytest.mark.parametrize("name", CERTAIN)
def test_what_every_interpreter_gives_is_not(certain: dict[str, bool], name: str) -> None:
    assert certain[name]
