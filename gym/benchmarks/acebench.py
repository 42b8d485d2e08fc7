"""ACEBench (English): calls written as `[Api(key='value')]` in 17 categories (arXiv:2501.12851).

Overall = 0.578 · Normal + 0.2676 · Special + 0.1545 · Agent. Normal is the mean of twelve categories, multi-turn ones
by whole dialogues; Special the mean of three, by fixed phrases; Agent the mean of two, by the state that a task ends
in, while the share of milestones reached is reported apart. Each mean is rounded to three digits, as upstream does.
"""

import ast
import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gym.benchmarks import base
from gym.benchmarks.base import Ask, Benchmark, DataError, Episode, Grade, Manifest, Reply, Sample
from gym.verifiers.result import Result, Status

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
DIALOG_TURNS = 40
FINISH = "finish conversation"
ASK_NOTHING = "Please do not ask me any questions, use the known conditions to solve the problem"
OPENING = "Is there anything you need help with today?"
PHRASES = {
    "special_incomplete": "Missing necessary parameters",
    "special_error_param": "There is incorrect value",
    "special_irrelevant": "the limitations of the function",
}
Row = Mapping[str, Any]
Call = dict[str, dict[str, Any]]  # {name: arguments}


class Scene(Protocol):
    """The applications of one agent task."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """The result of a call; what a caller did wrong is a result too."""

    def state(self) -> list[dict[str, Any]]:
        """[{class: {attribute: value}}] as JSON values: what the end state is compared by."""


@dataclass(frozen=True)
class Prompts:
    """Templates: `time`, `function`, `profile`, `question`, `instruction`, `history` are filled in by name.

    `rules` are appended to an agent's system prompt for each involved class that has some.
    """

    normal: str
    preference: str
    special: str
    question: str
    turn_system: str
    turn_user: str
    step_system: str
    step_user: str
    simulated: Mapping[str, str]
    rules: Mapping[str, str]


@dataclass(frozen=True)
class Data:
    """Everything of one data set, by category: rows and their answers in the official schema."""

    manifest: Manifest
    rows: Mapping[str, Sequence[Row]]
    answers: Mapping[str, Sequence[Row]]
    prompts: Prompts
    scene: Callable[[Row], Scene]


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
        found = [_value(one) for one in node.elts]
        return found if isinstance(node, ast.List) else tuple(found)
    if isinstance(node, ast.Dict):
        return {_value(key): _value(one) for key, one in zip(node.keys, node.values, strict=True) if key is not None}
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
    return {ast.unparse(node.func): {str(one.arg): _value(one.value) for one in node.keywords}}


def decode(text: str) -> list[Call]:
    """The calls of `[Api(key='value'), ...]`, positional arguments left out.

    Raises:
        ValueError: anything else.
    """
    try:
        body = ast.parse(text, mode="eval").body
        if not isinstance(body, ast.List | ast.Tuple | ast.Set) or not all(isinstance(e, ast.Call) for e in body.elts):
            raise ValueError("no list of calls")
        return [_call(one) for one in body.elts if isinstance(one, ast.Call)]
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
        for one in gold:
            if not isinstance(one, list) or all(_typed(item, one, nested, None)[0] for item in value):
                return True, loose
    elif gold_type is not None and (type(value) is gold_type or gold == value):
        valid = True
    return valid, True


def _same_dict(value: Any, gold: Mapping[str, Any]) -> bool:
    """As many keys, the same ones; below, the gold's text is found inside the value's."""
    if not isinstance(value, dict) or len(value) != len(gold):
        return False
    for key, one in value.items():
        if key not in gold:
            return False
        if isinstance(gold[key], dict):
            if not _same_dict(_truth(one), gold[key]):
                return False
        elif str(_plain(gold[key])) not in str(_plain(_truth(one))):
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
        return [_plain(one) for one in value] == [_plain(one) for one in gold]
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
    (said,), (gold,) = output.values(), answer.values()
    parameters = function["parameters"]
    if said == {} or parameters == {}:
        return bool(said == {} and parameters == {})
    if not fixed and gold == parameters["properties"]:
        return True
    if gold == {} or function["name"] not in output or any(name not in said for name in parameters["required"]):
        return False
    for name, value in said.items():
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
    if Counter(next(iter(one)) for one in output) != Counter(next(iter(one)) for one in wanted):
        return False
    for name, one in zip(answer, wanted, strict=True):
        function = next((some for some in functions if some["name"] in name), None)
        if function is None:
            raise KeyError(name)
        own = [said for said in output if next(iter(said)) == next(iter(one))]
        if not any(_one_call(function, said, one, fixed) for said in own):
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
        found = next((one for one in state if set(one) == set(gold)), None)
        if found is None:
            continue
        (name, wanted), (attributes,) = next(iter(gold.items())), found.values()
        for key, value in attributes.items():
            if key not in wanted:
                return False, f"{name}.{key} is not wanted"
            if not isinstance(wanted[key], dict):
                if wanted[key] != value:
                    return False, f"{name}.{key} differs"
            elif any(part not in value or value[part] != one for part, one in wanted[key].items()):
                return False, f"{name}.{key} differs"
    return True, "the state is right"


def milestones(done: Sequence[str], wanted: Sequence[Any]) -> float:
    """The share of milestones met in order; of several ways the best one, rounded as upstream does."""
    if wanted and isinstance(wanted[0], list):
        return max(round(_met(done, way), 3) for way in wanted)
    return _met(done, wanted)


def _met(done: Sequence[str], wanted: Sequence[str]) -> float:
    place = met = 0
    for stone in wanted:
        while place < len(done):
            place += 1
            if done[place - 1].strip() == stone.strip():
                met += 1
                break
    return met / len(wanted) if wanted else 1.0


def overall(means: Mapping[str, float]) -> dict[str, float]:
    """`normal`, `special`, `agent` and `overall` from the mean of each category; a part with a gap is left out."""
    found = {}
    for part, names in (("normal", NORMAL), ("special", SPECIAL), ("agent", AGENT)):
        if all(name in means for name in names):
            found[part] = round(sum(round(means[name], 3) for name in names) / len(names), 3)
    if len(found) == len(WEIGHTS):
        found["overall"] = round(sum(WEIGHTS[part] * value for part, value in found.items()), 3)
    return found


class AceBench(Benchmark):
    """All 17 categories. `official` passes over numbers and truth values of a call; `fixed` compares every value.

    With `scripted`, the user of a multi-turn agent task tells its whole instruction and agrees once: the data set's
    name says so. Otherwise the user is a model, as officially.
    """

    name = "acebench"
    presets: Mapping[str, base.Settings] = {
        "k2": replace(base.K2, temperature=0.0),
        "k2-thinking": base.K2_THINKING,
    }
    stratified = True

    def __init__(self, data: Data, *, scripted: bool = True) -> None:
        super().__init__()
        self.data, self.scripted = data, scripted
        self.manifest = data.manifest
        if scripted:
            self.manifest = replace(data.manifest, name=f"{data.manifest.name}-scripted-user")

    def items(self) -> list[Sample]:
        found = []
        for category in CATEGORIES:
            rows, answers = self.data.rows.get(category, ()), self.data.answers.get(category, ())
            for turns in _dialogues(category, list(zip(rows, answers, strict=True))):
                row, _ = turns[0]
                name = row["id"].rsplit("_", 1)[0] if category in DIALOGUES else row["id"]
                messages = () if category in AGENT else self._messages(category, row)
                found.append(Sample(name, messages, {"turns": turns}, group=category))
        return found

    def texts(self) -> list[str]:
        return [str(row["question"]) for rows in self.data.rows.values() for row in rows]

    def _messages(self, category: str, row: Row) -> tuple[base.Message, ...]:
        p = self.data.prompts
        template = p.special if category in SPECIAL else p.preference if category.endswith("preference") else p.normal
        fields = {"time": row.get("time", ""), "profile": row.get("profile", ""), "function": row["function"]}
        system = {"role": "system", "content": template.format(**fields)}
        return (system, {"role": "user", "content": p.question.format(question=row["question"])})

    def episode(self, sample: Sample) -> Episode:
        if sample.group in AGENT:
            return (yield from self._agent(sample))
        said = []
        for row, _ in sample.gold["turns"]:
            said.append((yield Ask(self._messages(sample.group, row))))
        return self.grade_turns(sample, [reply.text for reply in said])

    def grade_turns(self, sample: Sample, texts: Sequence[str]) -> Grade:
        """A dialogue is right when every turn is; `process` is the share of turns."""
        turns = sample.gold["turns"]
        extracted = "\n".join(texts)
        if sample.group in SPECIAL:
            right, reason = special(sample.group, texts[0], turns[0][1]["ground_truth"])
            return base.scored(right, extracted, reason, process=float(right), fixed=float(right))
        try:
            found = [normal(text, row, answer) for text, (row, answer) in zip(texts, turns, strict=True)]
        except (KeyError, TypeError) as error:
            reason = f"the official checker can't read this item: {type(error).__name__} {error}"
            return Grade(Result(None, Status.VERIFIER_ERROR, reason), extracted)
        official = [one[0] for one in found]
        reason = next((one[2] for one in found if not one[0]), "right")
        process = sum(official) / len(official)
        return base.scored(all(official), extracted, reason, process=process, fixed=float(all(one[1] for one in found)))

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        """Of one answer, given to every turn."""
        if sample.group in AGENT:
            raise DataError(f"{self.name}: {sample.group} is graded by its episode")
        return self.grade_turns(sample, [reply.text] * len(sample.gold["turns"]))

    def _agent(self, sample: Sample) -> Episode:
        """Agent, user and applications take turns, at most 40; a multi-step task has no user."""
        ((row, answer),) = sample.gold["turns"]
        scene = self.data.scene(row)
        multi_turn = sample.group == "agent_multi_turn"
        user = _User(row, self.data.prompts, self.scripted) if multi_turn else None
        opening = row["question"]
        if user is not None:
            opening = yield from user.say(OPENING)
        history, done = f"user:{opening}\n", list[str]()
        ran = False
        result = "execution" if multi_turn else "execution result"
        speaker = "agent"
        message = ""
        for turn in range(DIALOG_TURNS):
            if speaker == "agent":
                message = (yield Ask(self._agent_messages(row, history, multi_turn))).text
                history += f"agent:{message}\n"
                speaks = multi_turn and (not re.search(r"\[.*\]", message) or _executable(message) is None)
                speaker = "user" if speaks else "execution"
            elif speaker == "user" and user is not None:
                message = yield from user.say(message)
                history += f"user:{message}\n"
                speaker = "agent"
            else:
                done.append(message)
                calls = _executable(message)
                if calls is None:
                    message = ASK_NOTHING
                else:
                    message = str([scene.call(name, said) for call in calls for name, said in call.items()])
                    ran = True
                history += f"{result}:{message}\n"
                speaker = "agent"
            if turn > 1 and FINISH in message:
                break
        state = json.loads(json.dumps(scene.state())) if ran else []
        right, reason = same_state(state, answer["ground_truth"])
        process = 1.0 if right else milestones(done, answer["mile_stone"])
        return base.scored(right, "\n".join(done), reason, process=process, fixed=float(right))

    def _agent_messages(self, row: Row, history: str, multi_turn: bool) -> tuple[base.Message, ...]:
        p = self.data.prompts
        system = p.turn_system if multi_turn else p.step_system
        if multi_turn:
            system += "".join(rules for name, rules in p.rules.items() if name in row["involved_classes"])
        template = p.turn_user if multi_turn else p.step_user
        content = template.format(functions=row["function"], history=history)
        return ({"role": "system", "content": system}, {"role": "user", "content": content})

    def gold_replies(self, sample: Sample) -> list[Reply]:
        """What a perfect model says, turn by turn."""
        turns = sample.gold["turns"]
        if sample.group in AGENT:
            stones = turns[0][1]["mile_stone"]
            way = stones[0] if stones and isinstance(stones[0], list) else stones
            return [Reply(stone) for stone in (*way, FINISH)]
        return [Reply(_gold(sample.group, answer["ground_truth"])) for _, answer in turns]

    def gold_reply(self, sample: Sample) -> Reply:
        return self.gold_replies(sample)[0]

    def overall(self, means: Mapping[str, float]) -> float | None:
        return overall(means).get("overall")

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Each category and part; process accuracy and the repaired overall apart."""
        found = _means(rows, lambda row: row["score"])
        parts = {key: value for key, value in overall(found).items() if key != "overall"}
        process = _means(rows, lambda row: row["parts"]["process"])
        fixed = overall(_means(rows, lambda row: row["parts"]["fixed"]))
        found |= parts | {f"{name}_process": process[name] for name in (*DIALOGUES, *AGENT) if name in process}
        return found | ({"fixed": fixed["overall"]} if "overall" in fixed else {})


def _means(rows: Sequence[Mapping[str, Any]], value: Callable[[Mapping[str, Any]], float]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["group"], []).append(value(row))
    return {name: sum(values) / len(values) for name, values in found.items()}


def _gold(category: str, truth: Any) -> str:
    if category == "special_irrelevant":
        return json.dumps([truth])
    if category == "special_incomplete":
        return json.dumps([f"{PHRASES[category]} ({', '.join(v)}) for the api ({name})" for name, v in truth.items()])
    if category == "special_error_param":
        said = (f"{PHRASES[category]} ({', '.join(v)}) for the parameters ({name})" for name, v in truth.items())
        return json.dumps([f"{one} in the conversation history." for one in said])
    one = truth[0] if isinstance(truth, list) else truth
    return encode([{re.sub(r"_\d+$", "", name): arguments} for name, arguments in one.items()])


def _dialogues(category: str, pairs: list[tuple[Row, Row]]) -> list[list[tuple[Row, Row]]]:
    """Neighbouring rows of one dialogue together; ids end in _<dialogue>_<turn>."""
    found: list[list[tuple[Row, Row]]] = []
    last = ""
    for row, answer in pairs:
        dialogue = row["id"].split("_")[-2] if category in DIALOGUES else row["id"]
        if found and dialogue == last:
            found[-1].append((row, answer))
        else:
            found.append([(row, answer)])
        last = dialogue
    return found


def _executable(message: str) -> list[Call] | None:
    """The calls of an agent's message, or None when there are none."""
    inner = message.strip().removeprefix("[").removesuffix("]")
    try:
        return decode(f"[{inner}]")
    except ValueError:
        return None


class _User:
    """A user who is a model under the instruction, or a script that tells it, agrees once and ends."""

    def __init__(self, row: Row, prompts: Prompts, scripted: bool) -> None:
        self.lines = [str(row["question"]), "Yes, please go ahead.", FINISH] if scripted else []
        self.told = 0
        known = [text for name, text in prompts.simulated.items() if name in row["involved_classes"]]
        system = (known or list(prompts.simulated.values()))[0].format(instruction=row["question"])
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": system}]

    def say(self, heard: str) -> Generator[Ask, Reply, str]:
        """The next line; asks the user's model where there is one."""
        self.messages.append({"role": "user", "content": heard})
        if self.lines:
            text = self.lines[min(self.told, len(self.lines) - 1)]
            self.told += 1
        else:
            text = (yield Ask(tuple(self.messages), of="user")).text
        self.messages.append({"role": "assistant", "content": text})
        return text
