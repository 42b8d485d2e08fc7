"""ACEBench's official rules: how a call is read, what counts as right, and how categories are weighed."""

import ast
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

ATOMS = tuple(f"normal_atom_{kind}" for kind in ("bool", "enum", "number", "list", "object_deep", "object_short"))
DIALOGUES = ("normal_multi_turn_user_adjust", "normal_multi_turn_user_switch")
NORMAL = (
    *ATOMS, "normal_single_turn_single_function", "normal_single_turn_parallel_function", *DIALOGUES,
    "normal_similar_api", "normal_preference",
)  # fmt: skip
SPECIAL = ("special_incomplete", "special_error_param", "special_irrelevant")
AGENT = ("agent_multi_turn", "agent_multi_step")
CATEGORIES = (*NORMAL, *SPECIAL, *AGENT)
WEIGHTS = {"normal": 0.578, "special": 0.2676, "agent": 0.1545}
PHRASES = {
    "special_incomplete": "Missing necessary parameters",
    "special_error_param": "There is incorrect value",
    "special_irrelevant": "the limitations of the function",
}
Row = Mapping[str, Any]
Call = dict[str, dict[str, Any]]  # {name: arguments}


ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


def _value(node: ast.expr) -> Any:
    """What an argument stands for; a bare name is its text, so `true` stays "true"."""
    if isinstance(node, ast.Constant):
        return "..." if node.value is Ellipsis else node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        return -node.operand.value  # type: ignore[operator]
    if isinstance(node, ast.List | ast.Tuple):
        values = [_value(element) for element in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    if isinstance(node, ast.Dict):
        return {
            _value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True) if key is not None
        }
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        return ARITHMETIC[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.Subscript):
        return ast.unparse(node)
    raise ValueError(f"{type(node).__name__} as a value")


def _call(node: ast.Call) -> Call:
    return {ast.unparse(node.func): {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}}


def decode(text: str) -> list[Call]:
    """The calls of `[Api(key='value'), ...]`, positional arguments left out.

    Raises:
        ValueError: anything else.
    """
    try:
        body = ast.parse(text, mode="eval").body
        if not isinstance(body, ast.List | ast.Tuple | ast.Set) or not all(isinstance(e, ast.Call) for e in body.elts):
            raise ValueError("no list of calls")
        return [_call(call) for call in body.elts if isinstance(call, ast.Call)]
    except (SyntaxError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from None


def encode(calls: Sequence[Call]) -> str:
    """Calls in the form that `decode` reads."""
    written = (
        f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
        for call in calls
        for name, arguments in call.items()
    )
    return f"[{', '.join(written)}]"


# ---- Normal: the official checker -----------------------------------------------------------------------------------

# `number` is an int, and `enum` a type that no value has, as upstream declares them.
TYPES: Mapping[str, type[Any]] = {
    "string": str, "any": str, "integer": int, "int": int, "number": int, "float": float, "boolean": bool,
    "array": list, "tuple": list, "list": list, "list(string)": list, "list(enum)": list, "objectArray": list,
    "dict": dict, "object": dict, "enum": enumerate,
}  # fmt: skip
NESTED = ("array", "tuple", "list(string)", "list(enum)", "object", "objectArray")


def plain(text: str) -> str:
    """Upstream's normal form of a string: no spaces or , . / - _ * ^, lower case, one kind of quote."""
    return re.sub(r"[ ,./\-_*^]", "", text).lower().replace("'", '"')


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value


def _truth(value: Any) -> Any:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _typed(value: Any, gold: Any, wanted: type[Any], nested: type[Any] | None) -> tuple[bool, bool]:
    """(type as expected, the value is not compared any more)."""
    gold_type = None if isinstance(gold, str) and gold == "" else type(gold)
    loose = gold_type is not None and gold_type is not wanted
    value = _truth(value)
    valid = False
    if type(value) is wanted:
        if nested is None:
            return True, loose
        for gold_item in gold:
            if not isinstance(gold_item, list) or all(_typed(item, gold_item, nested, None)[0] for item in value):
                return True, loose
    elif gold_type is not None and (type(value) is gold_type or gold == value):
        valid = True
    return valid, True


def _same_dict(value: Any, gold: Mapping[str, Any]) -> bool:
    """As many keys, the same ones; below, the gold's text is found inside the value's."""
    if not isinstance(value, dict) or len(value) != len(gold):
        return False
    for key, entry in value.items():
        if key not in gold:
            return False
        if isinstance(gold[key], dict):
            if not _same_dict(_truth(entry), gold[key]):
                return False
        elif str(_plain(gold[key])) not in str(_plain(_truth(entry))):
            return False
    return True


def _argument(value: Any, gold: Any, detail: Mapping[str, Any]) -> bool:
    kind = detail["type"]
    wanted = TYPES[kind]
    nested = None
    if kind in NESTED:
        items = detail.get("items")
        inner = items.get("type") if isinstance(items, dict) else None
        nested = TYPES[inner or ("string" if "string" in kind else "enum" if "enum" in kind else "dict")]
    if kind == "tuple" and isinstance(value, tuple):
        value = list(value)
    if kind == "float" and type(value) is int:
        value = float(value)
    right, loose = _typed(value, gold, wanted, nested)
    if not right or loose:
        return right
    if wanted is dict:
        return _same_dict(value, gold)
    if wanted is list and nested is dict:
        return len(value) == len(gold) and all(_same_dict(a, b) for a, b in zip(value, gold, strict=True))
    if wanted is str:
        return plain(gold) in plain(value)
    if wanted is list:
        return [_plain(item) for item in value] == [_plain(item) for item in gold]
    return True  # numbers and truth values: the type alone, as upstream


def _same(value: Any, gold: Any) -> bool:
    """The repaired comparison: every value, however deep."""
    value = _truth(value)
    if isinstance(gold, dict):
        return isinstance(value, dict) and set(value) == set(gold) and all(_same(value[key], gold[key]) for key in gold)
    if isinstance(gold, list):
        as_list = isinstance(value, list | tuple) and len(value) == len(gold)
        return as_list and all(_same(a, b) for a, b in zip(value, gold, strict=True))
    if isinstance(gold, str):
        return isinstance(value, str) and plain("".join(value.split())) == plain("".join(gold.split()))
    return isinstance(value, bool) is isinstance(gold, bool) and bool(value == gold)


def _one_call(function: Row, output: Call, answer: Call, fixed: bool) -> bool:
    (arguments,), (gold,) = output.values(), answer.values()
    parameters = function["parameters"]
    if arguments == {} or parameters == {}:
        return bool(arguments == {} and parameters == {})
    if not fixed and gold == parameters["properties"]:
        return True
    if gold == {} or function["name"] not in output or any(name not in arguments for name in parameters["required"]):
        return False
    for name, value in arguments.items():
        if name not in parameters["properties"] or name not in gold:
            return False
        if not (_same(value, gold[name]) if fixed else _argument(value, gold[name], parameters["properties"][name])):
            return False
    return True


def calls_right(functions: Sequence[Row], output: Sequence[Call], answer: Mapping[str, Any], *, fixed: bool) -> bool:
    """As many calls, the same names as often, and one of the calls meets each wanted one.

    Raises:
        KeyError, TypeError: a function or an answer that the official checker can't read either.
    """
    if len(output) != len(answer):
        return False
    wanted = [{re.sub(r"_\d+$", "", name): arguments} for name, arguments in answer.items()]
    if Counter(next(iter(call)) for call in output) != Counter(next(iter(call)) for call in wanted):
        return False
    for name, wanted_call in zip(answer, wanted, strict=True):
        function = next((some for some in functions if some["name"] in name), None)
        if function is None:
            raise KeyError(name)
        own = [call for call in output if next(iter(call)) == next(iter(wanted_call))]
        if not any(_one_call(function, call, wanted_call, fixed) for call in own):
            return False
    return True


def normal(text: str, row: Row, answer: Row) -> tuple[bool, bool, str]:
    """(right by the official rule, by the repaired one, why not).

    Raises:
        KeyError, TypeError: see calls_right.
    """
    try:
        output = decode("".join(text.split()))  # upstream takes the spaces out first
    except ValueError as error:
        return False, False, f"not in the call format: {error}"
    golds = answer["ground_truth"] if isinstance(answer["ground_truth"], list) else [answer["ground_truth"]]
    official = any(calls_right(row["function"], output, gold, fixed=False) for gold in golds)
    fixed = any(calls_right(row["function"], output, gold, fixed=True) for gold in golds)
    return official, fixed, "right" if official else "other calls"


# ---- Special and Agent ----------------------------------------------------------------------------------------------


def special(category: str, text: str, truth: Any) -> tuple[bool, str]:
    """The fixed phrase, then for missing parameters the function's name, then every parameter or value by its text."""
    phrase = PHRASES[category]
    if category == "special_irrelevant":
        return phrase in text, "right" if phrase in text else f"no {phrase!r}"
    for name, values in truth.items():
        if phrase not in text:
            return False, f"no {phrase!r}"
        named = [name] if category == "special_incomplete" else []
        missed = [value for value in (*named, *values) if str(value) not in text]
        if missed:
            return False, f"{missed[0]!r} is not named"
    return True, "right"


def same_state(state: Sequence[Mapping[str, Any]], truth: Any) -> tuple[bool, str]:
    """Every attribute of every class as it should be; in a table, extra entries are not looked at, as upstream.

    A wanted class that the model's state lacks counts as the one before it did, as upstream.
    """
    golds = truth if isinstance(truth, list) else [truth]
    if len(golds) != len(state):
        return False, f"{len(state)} classes, wanted {len(golds)}"
    for gold in golds:
        match = next((instance for instance in state if set(instance) == set(gold)), None)
        if match is None:
            continue
        (name, wanted), (attributes,) = next(iter(gold.items())), match.values()
        for key, value in attributes.items():
            if key not in wanted:
                return False, f"{name}.{key} is not wanted"
            if not isinstance(wanted[key], dict):
                if wanted[key] != value:
                    return False, f"{name}.{key} differs"
            elif any(part not in value or value[part] != entry for part, entry in wanted[key].items()):
                return False, f"{name}.{key} differs"
    return True, "the state is right"


def milestones(done: Sequence[str], wanted: Sequence[Any]) -> float:
    """The share of milestones met in order; of several ways the best one, rounded as upstream does."""
    if wanted and isinstance(wanted[0], list):
        return max(round(_met(done, way), 3) for way in wanted)
    return _met(done, wanted)


def _met(done: Sequence[str], wanted: Sequence[str]) -> float:
    position = met = 0
    for stone in wanted:
        while position < len(done):
            position += 1
            if done[position - 1].strip() == stone.strip():
                met += 1
                break
    return met / len(wanted) if wanted else 1.0


def overall(means: Mapping[str, float]) -> dict[str, float]:
    """`normal`, `special`, `agent` and `overall` from the mean of each category; a part with a gap is left out."""
    scores = {}
    for part, names in (("normal", NORMAL), ("special", SPECIAL), ("agent", AGENT)):
        if all(name in means for name in names):
            scores[part] = round(sum(round(means[name], 3) for name in names) / len(names), 3)
    if len(scores) == len(WEIGHTS):
        scores["overall"] = round(sum(WEIGHTS[part] * value for part, value in scores.items()), 3)
    return scores
