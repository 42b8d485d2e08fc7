"""A tool: a clear interface and, for a simulated one, the operation on a small world that it stands for."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["get", "list", "search", "count", "create", "update", "adjust", "delete", "latest"]
READ_ONLY = frozenset({"get", "list", "search", "count", "latest"})
FieldType = Literal["name", "text", "int", "money", "date", "enum"]


@dataclass(frozen=True)
class Field:
    """One attribute of a kind of entity; `values` are the choices of an enum."""

    name: str
    type: FieldType
    values: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Field":
        """`name:type`, where the type is one of FieldType's, or an enum's values joined by `|`.

        Raises:
            ValueError: another type.
        """
        name, kind = text.split(":")
        if "|" in kind:
            return cls(name, "enum", tuple(kind.split("|")))
        types: dict[str, FieldType] = {"name": "name", "text": "text", "int": "int", "money": "money", "date": "date"}
        if kind not in types:
            raise ValueError(f"field {text!r}: no type {kind!r}")
        return cls(name, types[kind])

    def written(self) -> str:
        """What `parse` reads."""
        return f"{self.name}:{'|'.join(self.values) if self.type == 'enum' else self.type}"

    def schema(self) -> dict[str, Any]:
        """JSON Schema of a value."""
        if self.type == "enum":
            return {"type": "string", "enum": list(self.values)}
        if self.type in ("int", "money"):
            return {"type": "integer", "minimum": 0}
        if self.type == "date":
            return {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
        return {"type": "string"}


@dataclass(frozen=True)
class Kind:
    """A kind of entity that an application keeps, e.g. `seat reservation` of the airline."""

    domain: str
    application: str
    name: str
    fields: tuple[Field, ...]

    @property
    def slug(self) -> str:
        return self.name.replace(" ", "_").replace("-", "_")

    @property
    def prefix(self) -> str:
        """Letters that begin the ids of its entities."""
        return "".join(word[0] for word in self.slug.split("_")).upper()

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)


@dataclass(frozen=True)
class Tool:
    """A simulated tool. `field` is the attribute that search, count, update, adjust and latest are about."""

    name: str
    kind: Kind
    action: Action
    field: str | None
    description: str

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        properties: dict[str, Any] = {}
        if self.action in ("get", "update", "adjust", "delete"):
            properties["id"] = {"type": "string", "description": f"id of the {self.kind.name}"}
        if self.field is not None and self.action in ("search", "count", "update"):
            properties[self.field] = self.kind.field(self.field).schema()
        if self.action == "adjust":
            properties["by"] = {"type": "integer", "description": "may be negative"}
        if self.action == "create":
            properties |= {field.name: field.schema() for field in self.kind.fields if field.type != "text"}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    @property
    def returns(self) -> dict[str, Any]:
        """JSON Schema of a successful result."""
        if self.action == "count":
            return {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
        if self.action in ("list", "search"):
            ids = {"type": "array", "items": {"type": "string"}}
            return {"type": "object", "properties": {"ids": ids}, "required": ["ids"]}
        if self.action == "delete":
            return {"type": "object", "properties": {"deleted": {"type": "string"}}, "required": ["deleted"]}
        properties = {"id": {"type": "string"}} | {field.name: field.schema() for field in self.kind.fields}
        return {"type": "object", "properties": properties, "required": ["id"]}

    def state_model(self) -> dict[str, Any]:
        """The operation on the small world that the tool stands for, as JSON values; `simulated` reads it."""
        fields = ", ".join(field.written() for field in self.kind.fields)
        return {"kind": self.kind.name, "action": self.action, "field": self.field, "fields": fields}

    def declaration(self) -> dict[str, Any]:
        """The tool as a model sees it, in the OpenAI shape."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


def declaration(row: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The OpenAI shape of a row of tools.parquet."""
    return {
        "type": "function",
        "function": {"name": row["name"], "description": row["description"], "parameters": dict(parameters)},
    }


def simulated(rows: Iterable[Mapping[str, Any]]) -> list[Tool]:
    """The tools of rows of tools.parquet that have a state model, in order.

    Raises:
        ValueError, KeyError: a state model that `Tool.state_model` did not write.
    """
    kinds: dict[tuple[str, str, str, str], Kind] = {}
    tools = []
    for row in rows:
        if not row["state_model"]:
            continue
        state = json.loads(row["state_model"])
        key = (row["domain"], row["application"], state["kind"], state["fields"])
        if key not in kinds:
            kinds[key] = Kind(*key[:3], tuple(Field.parse(text) for text in state["fields"].split(", ")))
        tools.append(Tool(row["name"], kinds[key], state["action"], state["field"], row["description"]))
    return tools
