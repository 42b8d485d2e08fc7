"""BFCL v4, single turn: function calls held to possible answers by the official AST checker (package `bfcl-eval`).

Java and JavaScript calls are function calls too: every argument is a string that holds the language's literal, as the
package's own preprocessing asks; its converters read them, so that no parser of those languages is needed.
"""

import contextlib
import importlib
import io
import json
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Benchmark, DataError, Grade, Manifest, Reply, Sample
from k2model.chat.model_json import ModelJsonError, loads_arguments

CATEGORIES = (
    "simple_python",
    "simple_java",
    "simple_javascript",
    "multiple",
    "parallel",
    "parallel_multiple",
    "irrelevance",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
    "live_relevance",
)
LANGUAGES = {"simple_java": ("Java", "Java 8 SDK"), "simple_javascript": ("JavaScript", "JavaScript")}
SUFFIX = {"long": "L", "Bigint": "n"}
SIMPLE = ("simple_python", "simple_java", "simple_javascript")
NON_LIVE = ("multiple", "parallel", "parallel_multiple")
TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string", "hashmap": "object"}
MODEL = "k2"
_CONFIG = "bfcl_eval.constants.model_config"


def official_checker() -> tuple[Callable[..., dict[str, Any]], Any]:
    """`ast_checker` and its language enum. Its table of hosted models, which needs every vendor's SDK, is replaced by
    one entry: names with dots are written with underscores, as the OpenAI schema wants.

    Raises:
        DataError: the package isn't installed.
    """
    if base.package_folder("bfcl_eval") is None:
        raise DataError("bfcl: needs the package bfcl-eval (pip install --no-deps -r requirements-data.txt)")
    if _CONFIG not in sys.modules:
        table = types.ModuleType(_CONFIG)
        table.MODEL_CONFIG_MAPPING = {MODEL: types.SimpleNamespace(underscore_to_dot=True)}  # type: ignore[attr-defined]
        sys.modules[_CONFIG] = table
    checker = importlib.import_module("bfcl_eval.eval_checker.ast_eval.ast_checker")
    return checker.ast_checker, importlib.import_module("bfcl_eval.constants.enums").Language


def _schema(value: Any) -> Any:
    """BFCL's parameter types as JSON Schema."""
    if isinstance(value, list):
        return [_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    schema = {key: _schema(item) for key, item in value.items()}
    if isinstance(value.get("type"), str):
        schema["type"] = TYPES.get(value["type"], value["type"])
    return schema


def tools_of(functions: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """OpenAI tool specifications; dots in names become underscores."""
    return tuple(
        {
            "type": "function",
            "function": {
                "name": function["name"].replace(".", "_"),
                "description": function["description"],
                "parameters": _schema(function["parameters"]),
            },
        }
        for function in functions
    )


def described(function: Mapping[str, Any], category: str) -> dict[str, Any]:
    """The package's hints for a function of another language: each parameter is a string with a literal in it."""
    if category not in LANGUAGES:
        return dict(function)
    language, syntax = LANGUAGES[category]
    properties = {}
    for key, schema in function["parameters"]["properties"].items():
        text = schema.get("description", "")
        if schema["type"] == "any":
            text += f" This parameter can be of any type of {language} object in string representation."
        else:
            text += f" This is {language} {schema['type']} type parameter in string representation."
        if "items" in schema:
            text += f" The list elements are of type {schema['items']['type']}; they are not in string representation."
        properties[key] = {"type": "string", "description": text}
    parameters = {**function["parameters"], "properties": properties}
    note = f" Note that the provided function is in {syntax} syntax."
    return {**function, "description": function["description"] + note, "parameters": parameters}


def literal(value: Any, schema: Mapping[str, Any], category: str) -> str:
    """A value as Java or JavaScript writes it, for the type that the function declares.

    The package's converter keeps the quotes of text in a Java array, and of text whose type is `any`: there it must
    stand bare to be met.
    """
    kind, java = schema["type"], category == "simple_java"
    if isinstance(value, str):  # a variable, an expression, or text
        return value
    if isinstance(value, list):
        nested = schema.get("items", {}).get("type", "")
        bare = java and (kind == "Array" or nested == "any")
        inner = ", ".join(
            item if bare and isinstance(item, str) else _written(item) + SUFFIX.get(nested, "") * java for item in value
        )
        if not java:
            return f"[{inner}]"
        return f"new ArrayList<>(Arrays.asList({inner}))" if kind == "ArrayList" else f"new Object[]{{{inner}}}"
    if isinstance(value, dict):
        if not java:
            return "{" + ", ".join(f"{key}: {_written(item)}" for key, item in value.items()) + "}"
        return (
            "new HashMap<String, Object>() {{ "
            + " ".join(f'put("{key}", {_written(item)});' for key, item in value.items())
            + " }}"
        )
    return _written(value) + SUFFIX.get(kind, "")


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


NOTHING = object()


def _first(value: Any) -> Any:
    """A concrete value of a possible answer: the first alternative that isn't "left out"."""
    if isinstance(value, dict):
        chosen = {key: _chosen(some) for key, some in value.items()}
        return {key: _first(item) for key, item in chosen.items() if item is not NOTHING}
    if isinstance(value, list):
        return [_first(item) for item in value]
    return value


def _chosen(alternatives: Any) -> Any:
    """No alternative at all is an empty list; NOTHING is a value that can only be left out."""
    if not isinstance(alternatives, list):
        return alternatives
    return next((alternative for alternative in alternatives if alternative != ""), NOTHING) if alternatives else []


def gold_calls(
    answers: Sequence[Mapping[str, Mapping[str, list[Any]]]],
    functions: Sequence[Mapping[str, Any]],
    category: str = "",
) -> list[dict[str, Any]]:
    """Calls that a possible answer allows: what may be left out is, unless the function requires it."""
    required = {function["name"]: set(function["parameters"].get("required", [])) for function in functions}
    calls = []
    for answer in answers:
        for name, parameters in answer.items():
            arguments = {}
            for key, some in parameters.items():
                needed = key in required.get(name, set())
                if "" in some and not needed:
                    continue
                chosen = _chosen(some)
                value = "" if chosen is NOTHING else _first(chosen)
                if category in LANGUAGES:
                    (function,) = [candidate for candidate in functions if candidate["name"] == name]
                    value = literal(value, function["parameters"]["properties"][key], category)
                arguments[key] = value
            calls.append({name.replace(".", "_"): arguments})
    return calls


def _read(folder: Path) -> tuple[dict[str, list[dict[str, Any]]], list[Path]]:
    by_category: dict[str, list[dict[str, Any]]] = {}
    files = []
    for category in CATEGORIES:
        path = folder / f"BFCL_v4_{category}.json"
        gold = folder / "possible_answer" / path.name
        if not path.exists():
            continue
        rows = base.read_jsonl(path)
        files.append(path)
        if gold.exists():
            files.append(gold)
            truth = {row["id"]: row["ground_truth"] for row in base.read_jsonl(gold)}
            rows = [row | {"ground_truth": truth[row["id"]]} for row in rows]
        by_category[category] = rows
    if not by_category:
        raise DataError(f"{folder.name}: no BFCL_v4_*.json")
    return by_category, files


class Bfcl(Benchmark):
    """`path` is a folder with `BFCL_v4_*.json` and `possible_answer/`."""

    name = "bfcl"

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.checker, self.languages = official_checker()
        folder = base.package_folder("bfcl_eval")
        self.manifest: Manifest
        if path is not None:
            self.rows, _ = _read(path)
            self.manifest = base.path_manifest(self.name, path, sum(map(len, self.rows.values())))
        else:
            assert folder is not None
            self.rows, files = _read(folder / "data")
            count = sum(map(len, self.rows.values()))
            self.manifest = base.package_manifest("bfcl_v4_single_turn", "bfcl-eval", "Apache-2.0", count, files)

    def items(self) -> list[Sample]:
        return [
            Sample(
                row["id"],
                tuple(row["question"][0]),
                {"truth": row.get("ground_truth"), "functions": row["function"]},
                tools=tools_of([described(function, category) for function in row["function"]]),
                group=category,
            )
            for category, rows in self.rows.items()
            for row in rows
        ]

    def tool_names(self) -> list[str]:
        """As the data set writes them, with dots."""
        return sorted({function["name"] for item in self.items() for function in item.gold["functions"]})

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        try:
            calls = [
                {call["function"]["name"]: loads_arguments(call["function"]["arguments"])} for call in reply.tool_calls
            ]
        except (ModelJsonError, KeyError, TypeError) as error:
            return base.scored(False, str(reply.tool_calls)[:200], f"a call that can't be read: {error}")
        extracted = json.dumps(calls, ensure_ascii=False)
        if sample.group.endswith("relevance"):
            wanted = not sample.group.endswith("irrelevance")
            return base.scored(bool(calls) == wanted, extracted, "called" if calls else "no call")
        if not calls:
            return base.no_answer("no call")
        language = self.languages[LANGUAGES.get(sample.group, ("Python",))[0].upper()]
        with contextlib.redirect_stdout(io.StringIO()):
            verdict = self.checker(sample.gold["functions"], calls, sample.gold["truth"], language, sample.group, MODEL)
        reason = "valid" if verdict["valid"] else f"{verdict['error_type']}: {verdict['error']}"
        return base.scored(bool(verdict["valid"]), extracted, reason[:200])

    def gold_reply(self, sample: Sample) -> Reply:
        if sample.group.endswith("irrelevance"):
            return Reply("None of the tools can do that.")
        truth, functions = sample.gold["truth"], sample.gold["functions"]
        calls = gold_calls(truth, functions, sample.group) if truth else [{functions[0]["name"].replace(".", "_"): {}}]
        return Reply("", tool_calls=tool_calls(calls))

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """By category, and the unweighted mean of the non-live AST categories, the three simple ones as one."""
        by: dict[str, list[float]] = {}
        for row in rows:
            by.setdefault(row["group"], []).append(row["score"])
        means = {group: sum(scores) / len(scores) for group, scores in by.items()}
        simple = [means[group] for group in SIMPLE if group in means]
        present = [means[group] for group in NON_LIVE if group in means]
        present += [sum(simple) / len(simple)] if simple else []
        return means | ({"non_live_ast": sum(present) / len(present)} if present else {})


def tool_calls(calls: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Calls {name: arguments} in the OpenAI shape with K2's ids."""
    return tuple(
        {
            "id": f"functions.{name}:{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
        }
        for index, call in enumerate(calls)
        for name, arguments in call.items()
    )
