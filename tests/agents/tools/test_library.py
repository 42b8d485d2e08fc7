"""Functions of installed packages as tools: what the packages themselves say decides."""

import hashlib
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agents.tools.library import MODULES, OPTIONAL_KEPT, functions
from agents.tools.real import RealTool, SourceMissing

pytestmark = pytest.mark.slow

MADE_UP = '''
from collections.abc import Callable, Sequence
from typing import Literal, Optional

def numpydoc(a, b, m, kind, n=3, tol=1e-3, out=None, hook=None, extra=0):
    """Fit a line to the points of a plane.

    It has more than one paragraph.

    Parameters
    ----------
    a, b : (N,) array_like
        The :func:`coordinates <made.up>`, of the points. At least two.
    m : array_like of shape (n_rows, 2)
        With a formula: :math:`\\sqrt x`. More.
    kind : {'linear', "spline"} or callable, optional
        Required. How it is *fitted*, e.g. ``linear``. Or not.
    n : int or float, default: 3
    tol : float, optional
        Tolerance.
    out : ndarray
    hook : callable, optional

    Returns
    -------
    line : ndarray of float
    """

def sphinx(text, width=70):
    """Break a text into lines of a width.

    :param text: the text
        that is broken
    :type text: str
    :param int width: columns
    :rtype: list of str
    """

def google(day, names=()):
    """Tell who works on a day of the week.

    Args:
        day (str): The day.
        names (list of str): Whom to ask
            about.
    """

def annotated(
    times: "Sequence[float]", mode: Literal["up", "down"] = "up", limit: Optional[int] = None,
    deep: list[list[int]] | None = None, pair: tuple[str, int] = ("a", 1), on: bool = True, top: int = 5, low: int = 6,
):
    """Count how often something happened."""

def called(back: Callable[[int], int]):
    """Call what was given with a number."""

def complicated(z):
    """Take a complex number and turn it around.

    Parameters
    ----------
    z : complex
    """

def gathered(*numbers):
    """Add all of the numbers together."""

def undocumented(n: int): ...

def short(n: int):
    """No."""

def old(n: int):
    """Do what is done otherwise now.

    .. deprecated:: 1.0
    """

def _private(n: int):
    """Do something that is nobody's business."""
'''


@pytest.fixture(scope="module")
def tools() -> list[RealTool]:
    return functions()


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, RealTool]]:
    (tmp_path / "made_up_module.py").write_text(MADE_UP)
    monkeypatch.syspath_prepend(tmp_path)
    yield {tool.name.removeprefix("made_up_module_"): tool for tool in functions(["made_up_module"])}
    sys.modules.pop("made_up_module")


def _function(tool: RealTool) -> Any:
    module = importlib.import_module(tool.service)
    return getattr(module, tool.name.removeprefix(tool.service.replace(".", "_") + "_"), None) or getattr(
        module, tool.name
    )


def _properties(tools: Sequence[RealTool]) -> list[dict[str, Any]]:
    return [schema for tool in tools for schema in tool.parameters["properties"].values()]


def test_there_are_many_from_every_module_and_numbers_prevail(tools: list[RealTool]) -> None:
    assert len(tools) >= 900
    assert {tool.service for tool in tools} == set(MODULES)
    assert {tool.source for tool in tools} == {"python"}
    names = [tool.name for tool in tools]
    assert names == sorted(set(names))
    assert all(re.fullmatch(r"[a-zA-Z0-9_.-]{2,64}", name) for name in names)
    properties = _properties(tools)
    numeric = [schema for schema in properties if schema["type"] in ("integer", "number", "array")]
    assert len(numeric) >= 0.4 * len(properties)
    prefixed = sum(tool.name.startswith(tool.service.replace(".", "_") + "_") for tool in tools)
    assert 0.4 * len(tools) < prefixed < 0.8 * len(tools)


def test_schemas_are_valid_and_so_are_their_defaults(tools: list[RealTool]) -> None:
    for tool in tools[::5]:
        jsonschema.Draft202012Validator.check_schema(tool.parameters)
        jsonschema.Draft202012Validator.check_schema(tool.returns)
    for tool in tools:
        for name, schema in tool.parameters["properties"].items():
            assert set(schema) <= {"type", "items", "enum", "description", "default"}
            if "default" in schema:
                jsonschema.validate(schema["default"], schema)
                assert name not in tool.parameters.get("required", [])
                assert not str(schema["default"]).startswith(str(Path(sys.prefix)))


def test_the_signature_decides_what_is_required(tools: list[RealTool]) -> None:
    for tool in tools:
        signature = inspect.signature(_function(tool)).parameters
        given = tool.parameters["properties"]
        named = {n: p for n, p in signature.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        required = [name for name, parameter in named.items() if parameter.default is parameter.empty]
        assert tool.parameters.get("required", []) == required, tool.name
        assert list(given) == [name for name in named if name in given]
        assert len(given) - len(required) <= OPTIONAL_KEPT
        for name, schema in given.items():
            assert "default" not in schema or schema["default"] == named[name].default


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", re.sub(r":[\w:]+:(?=`)", " ", text.lower())))


def test_every_sentence_is_of_the_docstring(tools: list[RealTool]) -> None:
    told = 0
    for tool in tools:
        doc = _words(inspect.getdoc(_function(tool)) or "")
        assert 12 <= len(tool.description) <= 130
        for text in (tool.description, *(s["description"] for s in _properties([tool]) if "description" in s)):
            assert len(text) <= 130
            assert not re.search(r"``|:\w+:`|\n|>>>", text)
            told += _words(text) in doc
    described = sum("description" in schema for schema in _properties(tools))
    assert described > 0.8 * len(_properties(tools))
    assert told > 0.97 * (described + len(tools))  # the rest has links, of which the label or the end is kept


def test_known_functions(tools: list[RealTool]) -> None:
    by_name = {(tool.service, tool.name.removeprefix(tool.service + "_")): tool for tool in tools}
    numbers = {"type": "array", "items": {"type": "number"}}
    comb = by_name["math", "comb"]
    assert comb.name == "math_comb"
    assert comb.parameters == {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "k": {"type": "integer"}},
        "required": ["n", "k"],
    }
    quantiles = by_name["statistics", "quantiles"].parameters["properties"]
    assert quantiles["data"] == numbers
    assert quantiles["n"] == {"type": "integer", "default": 4}
    test = next(t for t in tools if t.service == "scipy.stats" and t.name.endswith("ttest_1samp"))
    given = test.parameters["properties"]
    assert given["a"] == numbers | {"description": "Sample observations."}
    assert given["alternative"]["enum"] == ["two-sided", "less", "greater"]
    assert given["alternative"]["default"] == "two-sided"
    determinant = next(t for t in tools if t.service == "scipy.linalg" and t.name.endswith("_det"))
    assert determinant.parameters["properties"]["a"]["items"] == numbers
    ends = [tool.name for tool in tools if tool.service in ("scipy.integrate", "scipy.optimize", "builtins")]
    for takes_a_function in ("quad", "brentq", "map"):
        assert not any(re.fullmatch(rf"(\w+_)?{takes_a_function}", name) for name in ends)


def test_docstrings_of_every_style(made_up: dict[str, RealTool]) -> None:
    assert set(made_up) == {"numpydoc", "sphinx", "google", "annotated"}
    fit = made_up["numpydoc"]
    array = {"type": "array", "items": {"type": "number"}, "description": "The coordinates, of the points."}
    assert (fit.description, fit.returns) == ("Fit a line to the points of a plane.", {"type": "array"})
    assert fit.parameters["required"] == ["a", "b", "m", "kind"]
    assert fit.parameters["properties"] == {
        "a": array,
        "b": array,
        "m": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "kind": {"type": "string", "enum": ["linear", "spline"], "description": "How it is fitted, e.g. linear."},
        "n": {"type": "number", "default": 3},
        "tol": {"type": "number", "description": "Tolerance.", "default": 1e-3},
    }
    assert made_up["sphinx"].parameters["properties"] == {
        "text": {"type": "string", "description": "the text that is broken"},
        "width": {"type": "integer", "description": "columns", "default": 70},
    }
    assert made_up["google"].parameters["properties"] == {
        "day": {"type": "string", "description": "The day."},
        "names": {"type": "array", "items": {"type": "string"}, "description": "Whom to ask about."},
    }
    assert made_up["annotated"].parameters["properties"] == {
        "times": {"type": "array", "items": {"type": "number"}},
        "mode": {"type": "string", "enum": ["up", "down"], "default": "up"},
        "limit": {"type": "integer"},
        "deep": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "on": {"type": "boolean", "default": True},
    }


SAID_ELSEWHERE = """
import hashlib, json, sys
from dataclasses import asdict
connected = []
sys.addaudithook(lambda event, _: connected.append(event) if event in ("socket.connect", "os.system") else None)
from agents.tools.library import functions
said = json.dumps([asdict(tool) for tool in functions()])
assert not connected
assert "matplotlib.pyplot" not in sys.modules and "tkinter" not in sys.modules
print(hashlib.sha256(said.encode()).hexdigest())
"""


def test_every_process_says_the_same_and_none_connects_or_draws(tools: list[RealTool]) -> None:
    here = hashlib.sha256(json.dumps([asdict(tool) for tool in tools]).encode()).hexdigest()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", SAID_ELSEWHERE], env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.stdout.strip() == here, done.stderr


def test_a_module_that_is_not_installed_is_named() -> None:
    with pytest.raises(SourceMissing, match=r"no_such_package: .*make setup"):
        functions(["no_such_package"])
