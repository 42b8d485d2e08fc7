"""ACEBench's own data, prompts and applications, out of a checkout of its repository that the user has.

Nothing of it is kept here. The applications of the agent tasks are imported from the checkout and run in this process,
as upstream does.
"""

import ast
import importlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.acebench import AceBench, AceBenchData, Prompts
from gym.benchmarks.acebench_rules import CATEGORIES, Row
from gym.benchmarks.base import DataError

# What upstream saves of each class at the end of a task.
SAVED: Mapping[str, tuple[str, ...]] = {
    "BaseApi": ("wifi", "logged_in"),
    "MessageApi": ("inbox",),
    "ReminderApi": ("reminder_list",),
    "FoodPlatform": ("users", "logged_in_users", "orders"),
    "Finance": (
        "user_accounts", "is_logged_in", "deposit_history", "withdrawal_history", "loan_history", "orders", "holdings",
    ),
    "Travel": ("users", "reservations"),
}  # fmt: skip
FAILED = "Error during execution: {str(e)}"  # upstream's text, braces and all


def read(checkout: Path) -> AceBenchData:
    """The English half of a checkout: `data_all/data_en` and `model_inference`.

    Raises:
        DataError: something is missing, or not in the official schema.
    """
    folder, code = checkout / "data_all/data_en", checkout / "model_inference"
    if not folder.is_dir() or not code.is_dir():
        raise DataError(f"{checkout.name}: no checkout of ACEBench (needs data_all/data_en and model_inference)")
    rows: dict[str, list[dict[str, Any]]] = {}
    answers: dict[str, list[dict[str, Any]]] = {}
    for category in CATEGORIES:
        path = folder / f"data_{category}.json"
        if not path.exists():
            raise DataError(f"{checkout.name}: no data_en/{path.name}")
        rows[category] = base.read_jsonl(path)
        by_id = {row["id"]: row for row in base.read_jsonl(folder / "possible_answer" / path.name)}
        for row in rows[category]:
            base.missing(row, ("id", "question", "function"), path.name)
            if row["id"] not in by_id:
                raise DataError(f"{path.name}: {row['id']} has no possible answer")
        answers[category] = [by_id[row["id"]] for row in rows[category]]
    manifest = base.path_manifest("acebench", folder, sum(map(len, rows.values())))
    return AceBenchData(manifest, rows, answers, _prompts(code), lambda row: OfficialScene(checkout, row))


def _texts(path: Path) -> dict[str, str]:
    """The text constants of a module, without running it."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError) as error:
        raise DataError(f"{path.name}: {error}") from None
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def _prompts(code: Path) -> Prompts:
    prompts = _texts(code / "prompt_en.py")
    turn, step = _texts(code / "multi_turn/APIModel_agent.py"), _texts(code / "multi_step/APIModel_agent.py")
    user = _texts(code / "multi_turn/APIModel_user.py")
    try:
        return Prompts(
            normal=prompts["SYSTEM_PROMPT_FOR_NORMAL_DATA_EN"],
            preference=prompts["SYSTEM_PROMPT_FOR_PREFERENCE_DATA_EN"],
            special=prompts["SYSTEM_PROMPT_FOR_SPECIAL_DATA_EN"],
            question=prompts["USER_PROMPT_EN"],
            turn_system=turn["MULTI_TURN_AGENT_PROMPT_SYSTEM_EN"],
            turn_user=turn["MULTI_TURN_AGENT_PROMPT_USER_EN"],
            step_system=step["MULTI_TURN_AGENT_PROMPT_SYSTEM_EN"],
            step_user=step["MULTI_TURN_AGENT_PROMPT_USER_EN"],
            simulated={"BaseApi": user["SYSTEM_PROMPT_BASE_EN"], "Travel": user["SYSTEM_PROMPT_TRAVEL_EN"]},
            rules={"Travel": prompts["TRAVEL_PROMPT_EN"], "BaseApi": prompts["BASE_PROMPT_EN"]},
        )
    except KeyError as error:
        raise DataError(f"model_inference: no prompt {error}") from None


class OfficialScene:
    """The checkout's own classes, each loaded with the task's configuration."""

    def __init__(self, checkout: Path, row: Row) -> None:
        part = "multi_turn" if "multi_turn" in row["id"] else "multi_step"
        config: Mapping[str, Any] = row["initial_config"]
        self.instances: dict[str, Any] = {}
        for name in row["involved_classes"]:
            instance = _class(checkout, part, name)()
            for scenario in (config.get(name, {}), config.get("BaseApi", {})):
                instance._load_scenario(json.loads(json.dumps(scenario)), long_context=False)
            self.instances[name] = instance

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Made on every class that has the method, as upstream; the last result counts."""
        result: Any = None
        for instance in self.instances.values():
            method = None if name.startswith("_") else getattr(instance, name, None)
            if not inspect.ismethod(method):
                continue
            try:
                inspect.signature(method).bind(**arguments)
            except TypeError:
                return FAILED
            try:
                result = method(**arguments)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                return FAILED
        return result

    def state(self) -> list[dict[str, Any]]:
        return [
            {name: {key: value for key, value in vars(instance).items() if key in SAVED.get(name, ())}}
            for name, instance in self.instances.items()
        ]


def _class(checkout: Path, part: str, name: str) -> type[Any]:
    root = checkout / "model_inference"
    paths: Sequence[Path] = [
        path
        for folder in (part, "multi_turn", "multi_step", "scenarios")
        for path in sorted((root / folder / "scenariosen").rglob("*.py"))
        if f"class {name}" in path.read_text(encoding="utf-8")
    ]
    if not paths:
        raise DataError(f"{checkout.name}: no class {name} under model_inference/{part}/scenariosen")
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    module = ".".join(paths[0].relative_to(checkout).with_suffix("").parts)
    try:
        kind: type[Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DataError(f"{paths[0].name}: {error}") from None
    return kind


def open_acebench(path: Path | None) -> AceBench:
    """The official data at `path`, with a scripted user.

    Raises:
        DataError: no path, or data that isn't in the official schema.
    """
    if path is None:
        raise DataError("acebench: needs its official items by a path")
    return AceBench(read(path))
