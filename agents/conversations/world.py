"""A small world behind an application's tools: entities with typed fields, deterministic given its seed."""

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agents.tools.spec import Field, Kind

NAMES = (
    "Ada Bo Carl Dina Emil Fay Gus Hana Ivan Jill Kim Lars Mia Nils Olga Paul Rosa Sven Tina Uwe Vera Will Yara Zoe"
).split()
NOTES = ("call back", "checked twice", "as agreed", "see file", "urgent", "none")
Entity = dict[str, Any]


def value(rng: np.random.Generator, spec: Field) -> Any:
    """A random value of a field."""
    if spec.type == "enum":
        return str(rng.choice(spec.values))
    if spec.type == "int":
        return int(rng.integers(1, 20))
    if spec.type == "money":
        return int(rng.integers(1, 50)) * 10
    if spec.type == "date":
        return f"2026-{int(rng.integers(1, 13)):02d}-{int(rng.integers(1, 29)):02d}"
    return str(rng.choice(NAMES if spec.type == "name" else NOTES))


@dataclass
class World:
    """Entities by kind and id, ids that can't be changed (no permission), and the next free number per kind."""

    entities: dict[str, dict[str, Entity]]
    locked: set[str] = field(default_factory=set)
    next_number: dict[str, int] = field(default_factory=dict)

    @classmethod
    def generate(cls, kinds: Sequence[Kind], seed: int, per_kind: int = 5) -> "World":
        """A world with `per_kind` entities of each kind; equal for equal arguments."""
        rng = np.random.default_rng([seed, 11])
        entities: dict[str, dict[str, Entity]] = {}
        numbers: dict[str, int] = {}
        for kind in kinds:
            start = int(rng.integers(1, 60))
            ids = [f"{kind.prefix}{start + k}" for k in range(per_kind)]
            entities[kind.slug] = {entity_id: {f.name: value(rng, f) for f in kind.fields} for entity_id in ids}
            numbers[kind.slug] = start + per_kind
        return cls(entities, set(), numbers)

    def copy(self) -> "World":
        return World(copy.deepcopy(self.entities), set(self.locked), dict(self.next_number))

    def state_hash(self) -> str:
        """sha256 of the canonical JSON of everything that a tool can change."""
        text = json.dumps([self.entities, self.next_number], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
