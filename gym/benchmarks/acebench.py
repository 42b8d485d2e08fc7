"""ACEBench (English): calls written as `[Api(key='value')]` in 17 categories (arXiv:2501.12851).

Overall = 0.578 · Normal + 0.2676 · Special + 0.1545 · Agent. Normal is the mean of twelve categories, multi-turn ones
by whole dialogues; Special the mean of three, by fixed phrases; Agent the mean of two, by the state that a task ends
in, while the share of milestones reached is reported apart. Each mean is rounded to three digits, as upstream does.
"""

import itertools
import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gym.benchmarks import base
from gym.benchmarks.acebench_rules import (
    AGENT,
    CATEGORIES,
    DIALOGUES,
    PHRASES,
    SPECIAL,
    Call,
    Row,
    decode,
    encode,
    milestones,
    normal,
    overall,
    same_state,
    special,
)
from gym.benchmarks.base import Ask, Benchmark, DataError, Episode, Grade, Manifest, Reply, Sample
from gym.verifiers.result import Result, Status

DIALOG_TURNS = 40
FINISH = "finish conversation"
ASK_NOTHING = "Please do not ask me any questions, use the known conditions to solve the problem"
OPENING = "Is there anything you need help with today?"


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
class AceBenchData:
    """Everything of one data set, by category: rows and their answers in the official schema."""

    manifest: Manifest
    rows: Mapping[str, Sequence[Row]]
    answers: Mapping[str, Sequence[Row]]
    prompts: Prompts
    scene: Callable[[Row], Scene]


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

    def __init__(self, data: AceBenchData, *, scripted: bool = True) -> None:
        super().__init__()
        self.data, self.scripted = data, scripted
        self.manifest = data.manifest
        if scripted:
            self.manifest = replace(data.manifest, name=f"{data.manifest.name}-scripted-user")

    def items(self) -> list[Sample]:
        samples = []
        for category in CATEGORIES:
            rows, answers = self.data.rows.get(category, ()), self.data.answers.get(category, ())
            for turns in _dialogues(category, list(zip(rows, answers, strict=True))):
                row, _ = turns[0]
                name = row["id"].rsplit("_", 1)[0] if category in DIALOGUES else row["id"]
                messages = () if category in AGENT else self._messages(category, row)
                samples.append(Sample(name, messages, {"turns": turns}, group=category))
        return samples

    def texts(self) -> list[str]:
        return [str(row["question"]) for rows in self.data.rows.values() for row in rows]

    def tool_names(self) -> list[str]:
        """They stand in the prompts."""
        rows = itertools.chain.from_iterable(self.data.rows.values())
        return sorted({function["name"] for row in rows for function in row["function"]})

    def _messages(self, category: str, row: Row) -> tuple[base.Message, ...]:
        p = self.data.prompts
        template = p.special if category in SPECIAL else p.preference if category.endswith("preference") else p.normal
        fields = {"time": row.get("time", ""), "profile": row.get("profile", ""), "function": row["function"]}
        system = {"role": "system", "content": template.format(**fields)}
        return (system, {"role": "user", "content": p.question.format(question=row["question"])})

    def episode(self, sample: Sample) -> Episode:
        if sample.group in AGENT:
            return (yield from self._agent(sample))
        replies = []
        for row, _ in sample.gold["turns"]:
            replies.append((yield Ask(self._messages(sample.group, row))))
        return self.grade_turns(sample, [reply.text for reply in replies])

    def grade_turns(self, sample: Sample, texts: Sequence[str]) -> Grade:
        """A dialogue is right when every turn is; `process` is the share of turns."""
        turns = sample.gold["turns"]
        extracted = "\n".join(texts)
        if sample.group in SPECIAL:
            right, reason = special(sample.group, texts[0], turns[0][1]["ground_truth"])
            return base.scored(right, extracted, reason, process=float(right), fixed=float(right))
        try:
            verdicts = [normal(text, row, answer) for text, (row, answer) in zip(texts, turns, strict=True)]
        except (KeyError, TypeError) as error:
            reason = f"the official checker can't read this item: {type(error).__name__} {error}"
            return Grade(Result(None, Status.VERIFIER_ERROR, reason), extracted)
        official = [verdict[0] for verdict in verdicts]
        reason = next((verdict[2] for verdict in verdicts if not verdict[0]), "right")
        process = sum(official) / len(official)
        return base.scored(
            all(official), extracted, reason, process=process, fixed=float(all(verdict[1] for verdict in verdicts))
        )

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
                    message = str([scene.call(name, arguments) for call in calls for name, arguments in call.items()])
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
        means = _means(rows, lambda row: row["score"])
        parts = {key: value for key, value in overall(means).items() if key != "overall"}
        process = _means(rows, lambda row: row["parts"]["process"])
        fixed = overall(_means(rows, lambda row: row["parts"]["fixed"]))
        means |= parts | {f"{name}_process": process[name] for name in (*DIALOGUES, *AGENT) if name in process}
        return means | ({"fixed": fixed["overall"]} if "overall" in fixed else {})


class FunctionCalling(AceBench):
    """ACEBench's categories and rules on items that are made of this project's own tools."""

    name = "function_calling"


def _means(rows: Sequence[Mapping[str, Any]], value: Callable[[Mapping[str, Any]], float]) -> dict[str, float]:
    by_group: dict[str, list[float]] = {}
    for row in rows:
        by_group.setdefault(row["group"], []).append(value(row))
    return {name: sum(values) / len(values) for name, values in by_group.items()}


def _gold(category: str, truth: Any) -> str:
    if category == "special_irrelevant":
        return json.dumps([truth])
    if category == "special_incomplete":
        return json.dumps([f"{PHRASES[category]} ({', '.join(v)}) for the api ({name})" for name, v in truth.items()])
    if category == "special_error_param":
        phrases = (f"{PHRASES[category]} ({', '.join(v)}) for the parameters ({name})" for name, v in truth.items())
        return json.dumps([f"{phrase} in the conversation history." for phrase in phrases])
    calls = truth[0] if isinstance(truth, list) else truth
    return encode([{re.sub(r"_\d+$", "", name): arguments} for name, arguments in calls.items()])


def _dialogues(category: str, pairs: list[tuple[Row, Row]]) -> list[list[tuple[Row, Row]]]:
    """Neighbouring rows of one dialogue together; ids end in _<dialogue>_<turn>."""
    dialogues: list[list[tuple[Row, Row]]] = []
    last = ""
    for row, answer in pairs:
        dialogue = row["id"].split("_")[-2] if category in DIALOGUES else row["id"]
        if dialogues and dialogue == last:
            dialogues[-1].append((row, answer))
        else:
            dialogues.append([(row, answer)])
        last = dialogue
    return dialogues


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
