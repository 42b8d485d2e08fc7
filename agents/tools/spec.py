"""A tool: a clear interface and, for a simulated one, the operation on a small world that it stands for."""

from collections.abc import Mapping
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
