"""BFCL v4, multi-turn: dialogues over eight simulated applications, by the package's own simulators and checker.

Each turn of the user is answered by calls until the model calls nothing more, in at most 20 steps. The checker replays
the calls and the ground truth, and compares the applications' states and results after every turn. Calls are built out
of names that the model was given and of JSON values, so that nothing of the model's text is evaluated.
"""

import ast
import importlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Ask, Benchmark, ContextExceeded, DataError, Episode, Grade, Manifest, Reply, Sample
from gym.benchmarks.bfcl import tool_calls, tools_of
from k2model.chat.model_json import loads_arguments

CATEGORIES = ("multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param", "multi_turn_long_context")
STEPS = 20  # of a turn, as upstream
DOCS = {
    "GorillaFileSystem": "gorilla_file_system", "MathAPI": "math_api", "MessageAPI": "message_api",
    "TwitterAPI": "posting_api", "TicketAPI": "ticket_api", "TradingBot": "trading_bot", "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
}  # fmt: skip
MORE = "I have updated some more functions you can choose from. What about now?"
Row = Mapping[str, Any]
_runs = itertools.count()


def written(calls: Sequence[Mapping[str, Any]], allowed: Mapping[str, Row]) -> list[str]:
    """Calls as the package executes them.

    Raises:
        ValueError: an unknown function, or arguments that are no object with names for keys.
    """
    texts = []
    for call in calls:
        name, arguments = call["function"]["name"], loads_arguments(call["function"]["arguments"])
        if name not in allowed or not all(key.isidentifier() for key in arguments):
            raise ValueError(f"no such call: {name}")
        texts.append(f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})")
    return texts


class BfclMultiTurn(Benchmark):
    """`path` is a folder with `BFCL_v4_multi_turn_*.json`, `possible_answer/` and `multi_turn_func_doc/`."""

    name = "bfcl_multi_turn"

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        package = base.package_folder("bfcl_eval")
        if package is None:
            raise DataError(
                f"{self.name}: needs the package bfcl-eval (pip install --no-deps -r requirements-data.txt)"
            )
        folder = path or package / "data"
        checked = "bfcl_eval.eval_checker.multi_turn_eval"
        self.checker = importlib.import_module(f"{checked}.multi_turn_checker")
        self.simulators = importlib.import_module(f"{checked}.multi_turn_utils")
        docs = {name: folder / "multi_turn_func_doc" / f"{file}.json" for name, file in DOCS.items()}
        self.docs = {name: base.read_jsonl(file) for name, file in docs.items()}
        self.rows: dict[str, Row] = {}
        files = []
        for category in CATEGORIES:
            file = folder / f"BFCL_v4_{category}.json"
            gold = folder / "possible_answer" / file.name
            files += [file, gold]
            truth = {row["id"]: row["ground_truth"] for row in base.read_jsonl(gold)}
            for row in base.read_jsonl(file):
                self.rows[row["id"]] = {**row, "category": category, "ground_truth": truth[row["id"]]}
        count = len(self.rows)
        self.manifest: Manifest
        if path is not None:
            self.manifest = base.path_manifest(self.name, path, count)
        else:
            self.manifest = base.package_manifest("bfcl_v4_multi_turn", "bfcl-eval", "Apache-2.0", count, files)

    def functions(self, row: Row, turn: int) -> dict[str, Row]:
        """What the model may call in a turn: some functions come later."""
        later = {name for at, names in row.get("missed_function", {}).items() if int(at) > turn for name in names}
        gone = later | set(row.get("excluded_function", []))
        return {
            function["name"]: function
            for name in row["involved_classes"]
            for function in self.docs[name]
            if function["name"] not in gone
        }

    def items(self) -> list[Sample]:
        return [
            Sample(name, tuple(row["question"][0]), {"truth": row["ground_truth"]}, group=row["category"])
            for name, row in self.rows.items()
        ]

    def tool_names(self) -> list[str]:
        """Of every application; which of them a turn declares is its episode's matter."""
        return sorted({function["name"] for functions in self.docs.values() for function in functions})

    def episode(self, sample: Sample) -> Episode:
        row, run = self.rows[sample.id], f"run{next(_runs)}"
        messages: list[base.Message] = []
        turns: list[list[list[str]]] = []
        try:
            for turn, asked in enumerate(row["question"]):
                messages += asked or [{"role": "user", "content": MORE}]
                allowed = self.functions(row, turn)
                turns.append([])
                for _ in range(STEPS):
                    reply = yield Ask(tuple(messages), tools_of(list(allowed.values())))
                    message = {"role": "assistant", "content": reply.text}
                    if not reply.tool_calls:
                        messages.append(message)
                        break
                    messages.append(message | {"tool_calls": list(reply.tool_calls)})
                    try:
                        calls = written(reply.tool_calls, allowed)
                        results = self._execute(row, calls, run)
                        turns[-1].append(calls)
                    except (ValueError, KeyError, TypeError) as error:
                        results = [f"Error during execution: {error}"] * len(reply.tool_calls)
                    messages += [
                        {"role": "tool", "tool_call_id": str(call.get("id", "")), "content": result}
                        for call, result in zip(reply.tool_calls, results, strict=True)
                    ]
                else:
                    return base.scored(False, json.dumps(turns), f"turn {turn}: more than {STEPS} steps")
        except ContextExceeded:
            return base.scored(False, json.dumps(turns), "context full")
        finally:
            self._forget(run)
        return self.grade_turns(sample, turns)

    def _execute(self, row: Row, calls: Sequence[str], run: str) -> list[str]:
        long = "long_context" in row["category"]
        results, _ = self.simulators.execute_multi_turn_func_call(
            list(calls), row["initial_config"], row["involved_classes"], run, row["id"], long
        )
        return [str(result) for result in results]

    def _forget(self, run: str) -> None:
        """The package keeps every application as a global."""
        for name in [name for name in vars(self.simulators) if name.startswith(f"{run}_")]:
            delattr(self.simulators, name)

    def grade_turns(self, sample: Sample, turns: Sequence[Sequence[Sequence[str]]]) -> Grade:
        row, run = self.rows[sample.id], f"run{next(_runs)}"
        try:
            verdict = self.checker.multi_turn_checker(turns, row["ground_truth"], row, row["category"], run)
        finally:
            self._forget(run)
        reason = "valid" if verdict["valid"] else str(verdict.get("error_type", "")) or "invalid"
        return base.scored(bool(verdict["valid"]), json.dumps(turns), reason)

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        raise DataError(f"{self.name}: graded by its episode")

    def gold_reply(self, sample: Sample) -> Reply:
        return next(self.gold_replies(sample))

    def gold_replies(self, sample: Sample) -> Iterator[Reply]:
        """All calls of a turn at once, then a line of text."""
        row = self.rows[sample.id]
        functions = {function["name"]: function for name in row["involved_classes"] for function in self.docs[name]}
        for calls in row["ground_truth"]:
            if calls:
                yield Reply("", tool_calls=tool_calls([_parsed(call, functions) for call in calls]))
            yield Reply("Done.")


def _parsed(call: str, functions: Mapping[str, Row]) -> dict[str, dict[str, Any]]:
    node = ast.parse(call, mode="eval").body
    if not isinstance(node, ast.Call):
        raise DataError(f"no call: {call}")
    name = ast.unparse(node.func)
    names = list(functions[name]["parameters"]["properties"])
    arguments = {key: ast.literal_eval(argument) for key, argument in zip(names, node.args, strict=False)}
    return {name: arguments | {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}}
