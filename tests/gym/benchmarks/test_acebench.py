"""ACEBench: the official rule by hand-made cases, the built-in set by its own answers, a checkout in small."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.benchmarks.acebench import builtin
from agents.worlds.reading import authored
from gym.benchmarks import acebench_official
from gym.benchmarks.acebench import AceBench, FunctionCalling
from gym.benchmarks.acebench_rules import (
    AGENT,
    CATEGORIES,
    DIALOGUES,
    NORMAL,
    calls_right,
    decode,
    encode,
    milestones,
    normal,
    overall,
    same_state,
    special,
)
from gym.benchmarks.base import Ask, DataError, Grade, Reply, Sample
from gym.benchmarks.open import open_benchmark
from gym.verifiers.result import Status
from stages.evaluate import scores
from stages.evaluate.runner import choose


def played(bench: AceBench, sample: Sample, texts: Sequence[str], asked: list[Ask] | None = None) -> Grade:
    """The episode with the model saying `texts`, the last one again and again."""
    episode = bench.episode(sample)
    ask, said = next(episode), 0
    while True:
        if asked is not None:
            asked.append(ask)
        try:
            ask = episode.send(Reply(texts[min(said, len(texts) - 1)]))
        except StopIteration as stop:
            grade: Grade = stop.value
            return grade
        said += 1


def row(bench: AceBench, sample: Sample, texts: Sequence[str]) -> dict[str, Any]:
    grade = played(bench, sample, texts)
    return {
        "task_id": sample.id, "group": sample.group, "score": grade.result.score, "status": "scored", "extracted": "",
        "finish_reason": "stop", "output_tokens": 1, "parts": json.dumps(dict(grade.parts)),
    }  # fmt: skip


def test_the_answers_score_1_overall_and_half_of_them_half() -> None:
    bench = FunctionCalling(builtin())
    assert bench.manifest.name == "builtin-function_calling-scripted-user"
    assert bench.manifest.count == 190
    assert len(bench.items()) == 170
    right = [row(bench, one, [reply.text for reply in bench.gold_replies(one)]) for one in bench.items()]
    found = scores.metrics(bench, right, 0)
    assert [found[f"function_calling{end}"] for end in ("", "_fixed", "_n")] == [1.0, 1.0, 170]
    assert found["function_calling_agent_multi_step_process"] == 1.0
    wrong = [
        one if number % 2 else row(bench, sample, ["I can't say."])
        for number, (one, sample) in enumerate(zip(right, bench.items(), strict=True))
    ]
    found = scores.metrics(bench, wrong, 0)
    assert [found[f"function_calling{end}"] for end in ("", "_special", "_agent")] == [0.5, 0.5, 0.5]
    assert found["function_calling_ci_low"] < 0.5 < found["function_calling_ci_high"]
    assert builtin().manifest.sha256 == builtin.__wrapped__().manifest.sha256


def test_a_wrong_value_costs_its_item_and_half_a_task_half_its_process() -> None:
    bench = FunctionCalling(builtin())
    for one in bench.items():
        texts = [reply.text for reply in bench.gold_replies(one)]
        if one.group == "agent_multi_step":
            grade = played(bench, one, [texts[0], "finish conversation"])
            assert grade.result.score == 0.0
            assert grade.parts["process"] == pytest.approx(1 / (len(texts) - 1))
            assert played(bench, one, [*texts[:-2], "finish conversation"]).result.score == 0.0  # all but the last call
        elif one.group in NORMAL and "number" not in one.group and "bool" not in one.group:
            (call, *rest) = decode(texts[-1])
            (name,) = call
            key = next(iter(call[name]))
            spoiled = encode([{name: call[name] | {key: "another"}}, *rest])
            assert played(bench, one, [*texts[:-1], spoiled]).result.score == 0.0, one.id
    dialogue = next(one for one in bench.items() if one.group in DIALOGUES)
    first = bench.gold_replies(dialogue)[0].text
    assert played(bench, dialogue, [first, "[]"]).parts["process"] == 0.5


def test_the_functions_are_those_of_applications_held_for_evaluation() -> None:
    held = [app for app in authored().values() if app.held]
    known = {name for app in held for name in app.actions}
    made = re.compile(r"(list_each|compare_every)_\w+|(\w+)_by_(details|order)")  # in another form
    names = {name for name in FunctionCalling(builtin()).tool_names() if not made.fullmatch(name)}
    assert len(names) > 60 and names <= known
    assert {row["involved_classes"][0] for row in builtin().rows["agent_multi_step"]} <= {app.name for app in held}


def test_weights_by_hand() -> None:
    means = dict.fromkeys(CATEGORIES, 0.0) | {
        "normal_preference": 0.6,
        "special_incomplete": 0.9,
        "agent_multi_turn": 1,
    }
    assert overall(means) == {
        "normal": 0.05, "special": 0.3, "agent": 0.5,
        "overall": round(0.05 * 0.578 + 0.3 * 0.2676 + 0.5 * 0.1545, 3),
    }  # fmt: skip
    assert "overall" not in overall({name: 1.0 for name in CATEGORIES if name not in AGENT})
    assert overall(dict.fromkeys(CATEGORIES, 1.0))["overall"] == 1.0  # the weights sum to 1.0001


FUNCTION = {
    "name": "book",
    "parameters": {
        "type": "object",
        "required": ["city"],
        "properties": {
            "city": {"type": "string"}, "nights": {"type": "integer"}, "price": {"type": "float"},
            "quiet": {"type": "boolean"}, "tags": {"type": "array", "items": {"type": "string"}},
            "loose": {"type": "array"}, "guest": {"type": "object", "properties": {"name": {"type": "string"}}},
            "rooms": {"type": "array", "items": {"type": "object"}}, "odd": {"type": "money"},
        },
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("gold", "said", "official", "fixed"),
    [
        ({"city": "New York"}, "[book(city='New York')]", True, True),
        ({"city": "New York"}, "[book(city='new-york, please')]", True, False),  # upstream: the gold is found inside
        ({"city": "Rome", "nights": 3}, "[book(city='Rome', nights=4)]", True, False),  # upstream: the type alone
        ({"city": "Rome", "nights": 3}, "[book(city='Rome', nights='3')]", False, False),
        ({"city": "Rome", "nights": 3}, "[book(city='Rome')]", True, True),  # not required, so not missed
        ({"city": "Rome"}, "[book(city='Rome', nights=3)]", False, False),
        ({"city": "Rome", "nights": 3}, "[book(nights=3)]", False, False),
        ({"city": "Rome", "price": 2.5}, "[book(city='Rome', price=2)]", True, False),
        ({"city": "Rome", "quiet": True}, "[book(city='Rome', quiet=true)]", True, True),
        ({"city": "Rome", "quiet": True}, "[book(city='Rome', quiet=False)]", True, False),
        ({"city": "Rome", "tags": ["a b", "c"]}, "[book(city='Rome', tags=['A-b', 'c'])]", True, True),
        ({"city": "Rome", "tags": ["a", "c"]}, "[book(city='Rome', tags=['c', 'a'])]", False, False),
        ({"city": "Rome", "loose": ["a"]}, "[book(city='Rome', loose=['a'])]", False, True),  # upstream's defect
        ({"city": "Rome", "guest": {"name": "Ann"}}, "[book(city='Rome', guest={'name': 'Joanna'})]", True, False),
        ({"city": "Rome", "guest": {"name": "Ann"}}, "[book(city='Rome', guest={'name': 'Bo'})]", False, False),
        ({"city": "Rome", "rooms": [{"n": 1}]}, "[book(city='Rome', rooms=[{'n': 1}])]", True, True),
        ({"city": "Rome", "rooms": [{"n": 1}]}, "[book(city='Rome', rooms=[])]", False, False),
        ({"city": "Rome"}, "[cook(city='Rome')]", False, False),
        ({"city": "Rome"}, "[book(city='Rome'), book(city='Rome')]", False, False),
        ({"city": "Rome"}, "book(city='Rome')", False, False),
        ({"city": "Rome"}, "['book']", False, False),
        ({"city": "Rome"}, "", False, False),
    ],
)
def test_the_official_checker_and_the_repaired_one(
    gold: dict[str, Any], said: str, official: bool, fixed: bool
) -> None:
    found = normal(said, {"function": [FUNCTION]}, {"ground_truth": {"book": gold}})
    assert found[:2] == (official, fixed)


def test_numbered_names_alternatives_and_what_upstream_cannot_read() -> None:
    both = {"book_1": {"city": "Rome"}, "book_2": {"city": "Oslo"}}
    said = decode("[book(city='Oslo'), book(city='Rome')]")
    assert calls_right([FUNCTION], said, both, fixed=False)
    assert not calls_right([FUNCTION], decode("[book(city='Oslo'), book(city='Oslo')]"), both, fixed=False)
    truth = [{"book": {"city": "Rome"}}, {"book": {"city": "Oslo"}}]
    assert normal("[book(city='Oslo')]", {"function": [FUNCTION]}, {"ground_truth": truth})[0]
    with pytest.raises(KeyError):
        normal(
            "[book(city='Rome',odd=1)]",
            {"function": [FUNCTION]},
            {"ground_truth": {"book": {"city": "Rome", "odd": 1}}},
        )


def test_calls_are_read_as_python_and_nothing_runs() -> None:
    calls = decode("[a.b(x=-1, y=2*3, z=(1, 'k'), w=true, v={'q': [None]}, u=f(t=1))]")
    assert calls == [{"a.b": {"x": -1, "y": 6, "z": (1, "k"), "w": "true", "v": {"q": [None]}, "u": {"f": {"t": 1}}}}]
    for text in ("[f(x=1/0)]", "[f(x=[y for y in z])]", "[f(", "f", "[1]", "[f(x=lambda: 1)]", "[f(x='a'*'b')]"):
        with pytest.raises(ValueError, match=r".*"):
            decode(text)


@pytest.mark.parametrize(
    ("category", "text", "truth", "right"),
    [
        (
            "special_incomplete",
            '["Missing necessary parameters (a, b) for the api (fetch)"]',
            {"fetch": ["a", "b"]},
            True,
        ),
        (
            "special_incomplete",
            '["Missing necessary parameters (a) for the api (fetch)"]',
            {"fetch": ["a", "b"]},
            False,
        ),
        (
            "special_incomplete",
            '["Missing necessary parameters (a, b) for the api (grab)"]',
            {"fetch": ["a", "b"]},
            False,
        ),
        ("special_incomplete", "missing necessary parameters (a, b) fetch", {"fetch": ["a", "b"]}, False),
        ("special_error_param", '["There is incorrect value (8:65) for the parameters (t)"]', {"t": ["8:65"]}, True),
        ("special_error_param", '["There is incorrect value (8:66) for the parameters (t)"]', {"t": ["8:65"]}, False),
        ("special_irrelevant", "Due to the limitations of the function, no.", "…", True),
        ("special_irrelevant", "I cannot.", "…", False),
    ],
)
def test_special_phrases(category: str, text: str, truth: Any, right: bool) -> None:
    assert special(category, text, truth)[0] is right


def test_end_states_and_milestones() -> None:
    truth = [{"Base": {"wifi": True}}, {"Box": {"inbox": {"1": {"a": 1}}}}]
    assert same_state(truth, truth)[0]
    assert same_state([{"Base": {"wifi": True}}, {"Box": {"inbox": {"1": {"a": 1}, "2": {}}}}], truth)[0]  # extra entry
    assert not same_state([{"Base": {"wifi": False}}, truth[1]], truth)[0]
    assert not same_state([truth[0]], truth)[0]
    assert not same_state([truth[0], {"Box": {"inbox": {}}}], truth)[0]
    assert not same_state([truth[0], {"Box": {"inbox": truth[1]["Box"]["inbox"], "sent": 1}}], truth)[0]
    assert milestones(["[a()]", "[x()]", " [c()]"], ["[a()]", "[c()] "]) == 1.0
    assert milestones(["[c()]", "[a()]"], ["[a()]", "[c()]"]) == 0.5
    assert milestones(["[b()]"], [["[a()]"], ["[b()]", "[c()]", "[d()]"]]) == 0.333
    assert milestones([], []) == 1.0


def test_part_of_the_items_has_some_of_every_category() -> None:
    samples = FunctionCalling(builtin()).items()
    assert {one.group for one in choose(samples, 17, 3, stratified=True)} == set(CATEGORIES)
    assert len(choose(samples, 17, 3, stratified=True)) == 17


CLASS = """
class BaseApi:
    def __init__(self):
        self.wifi, self.hidden = False, 1
    def _load_scenario(self, scenario, long_context=False):
        self.wifi = scenario.get("wifi", self.wifi)
    def turn_on_wifi(self):
        self.wifi = True
        return {"status": True}
    def divide(self, by):
        return 1 / by
"""
PROMPT = {
    "prompt_en.py": "SYSTEM_PROMPT_FOR_NORMAL_DATA_EN SYSTEM_PROMPT_FOR_PREFERENCE_DATA_EN "
    "SYSTEM_PROMPT_FOR_SPECIAL_DATA_EN USER_PROMPT_EN TRAVEL_PROMPT_EN BASE_PROMPT_EN",
    "multi_turn/APIModel_agent.py": "MULTI_TURN_AGENT_PROMPT_SYSTEM_EN MULTI_TURN_AGENT_PROMPT_USER_EN",
    "multi_step/APIModel_agent.py": "MULTI_TURN_AGENT_PROMPT_SYSTEM_EN MULTI_TURN_AGENT_PROMPT_USER_EN",
    "multi_turn/APIModel_user.py": "SYSTEM_PROMPT_BASE_EN SYSTEM_PROMPT_TRAVEL_EN",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The shape of the official repository with one item per category."""
    folder = tmp_path / "data_all/data_en"
    (folder / "possible_answer").mkdir(parents=True)
    for category in CATEGORIES:
        name = f"{category}_0_0" if category in DIALOGUES else f"{category}_0"
        item: dict[str, Any] = {"id": name, "question": "user: q\n", "function": [FUNCTION], "time": "noon"}
        answer: dict[str, Any] = {"id": name, "ground_truth": {"book": {"city": "Rome"}}}
        if category in AGENT:
            item |= {"initial_config": {"BaseApi": {"wifi": False}}, "involved_classes": ["BaseApi"]}
            answer |= {"ground_truth": [{"BaseApi": {"wifi": True}}], "mile_stone": ["[turn_on_wifi()]"]}
        if category in ("special_incomplete", "special_error_param"):
            answer["ground_truth"] = {"book": ["city"]}
        if category == "special_irrelevant":
            answer["ground_truth"] = "Due to the limitations of the function, I cannot solve this problem."
        (folder / f"data_{category}.json").write_text(json.dumps(item) + "\n")
        (folder / f"possible_answer/data_{category}.json").write_text(json.dumps(answer) + "\n")
    code = tmp_path / "model_inference"
    for part in ("multi_turn", "multi_step"):
        phone = code / part / "scenariosen/phone_platform"
        phone.mkdir(parents=True)
        (phone / "base_api.py").write_text(CLASS)
    for file, names in PROMPT.items():
        fields = "{time} {function} {functions} {profile} {question} {history} {instruction}"
        wanted = {"USER_PROMPT_EN": "asked {question}", "TRAVEL_PROMPT_EN": "fly", "BASE_PROMPT_EN": "phone rules"}
        lines = []
        for name in names.split():
            text = wanted.get(name) or ("{time} {function}" if "DATA" in name else name)
            if "PREFERENCE" in name:
                text = "{profile} {function}"
            if name.endswith("USER_EN"):
                text = "{functions} {history}"
            if file.endswith("user.py"):
                text = "play {instruction}"
            lines.append(f"{name} = {text!r}")
        assert fields
        (code / file).write_text("\n".join(["import openai", *lines]))
    return tmp_path


def test_a_checkout_of_the_official_repository(checkout: Path) -> None:
    bench = open_benchmark("acebench", checkout)
    assert isinstance(bench, AceBench)
    assert bench.manifest.count == 17
    assert bench.manifest.name.startswith("acebench@")
    assert bench.manifest.name.endswith("-scripted-user")
    asked: list[Ask] = []
    rows = []
    for one in bench.items():
        texts = [reply.text for reply in bench.gold_replies(one)]
        rows.append(row(bench, one, texts))
        if one.group == "agent_multi_turn":
            played(bench, one, texts, asked)
    assert scores.metrics(bench, rows, 0)["acebench"] == 1.0
    assert str(asked[0].messages[0]["content"]).endswith("phone rules")
    assert "execution:[{'status': True}]" in str(asked[1].messages[1]["content"])


def test_a_models_user_and_the_end_of_a_dialogue(checkout: Path) -> None:
    bench = AceBench(acebench_official.read(checkout), scripted=False)
    sample = next(one for one in bench.items() if one.group == "agent_multi_turn")
    episode = bench.episode(sample)
    ask = next(episode)
    assert (ask.of, ask.messages[0]["content"]) == ("user", "play user: q\n")
    assert episode.send(Reply("wifi on, please")).of == "model"
    ask = episode.send(Reply("Sure?"))
    assert (ask.of, ask.messages[-1]["content"]) == ("user", "Sure?")
    assert episode.send(Reply("yes")).of == "model"
    ask = episode.send(Reply("[divide(by=0)]"))
    assert "Error during execution" in str(ask.messages[1]["content"])
    with pytest.raises(StopIteration) as stop:
        episode.send(Reply("finish conversation"))
    assert stop.value.value.result.score == 0.0  # the wifi is still off
    endless = AceBench(acebench_official.read(checkout))
    assert played(endless, sample, ["What?"]).result.score == 0.0
    step = next(one for one in endless.items() if one.group == "agent_multi_step")
    asked: list[Ask] = []
    assert played(endless, step, ["What?"], asked).result.score == 0.0
    assert len(asked) == 20  # 40 turns, every other one the agent's
    assert "Please do not ask me any questions" in str(asked[1].messages[1]["content"])


def test_a_broken_checkout_is_one_line(checkout: Path, tmp_path: Path) -> None:
    (checkout / "data_all/data_en/data_agent_multi_turn.json").unlink()
    with pytest.raises(DataError, match="data_agent_multi_turn"):
        open_benchmark("acebench", checkout)
    with pytest.raises(DataError, match="no checkout of ACEBench"):
        open_benchmark("acebench", tmp_path / "data_all")
    with pytest.raises(DataError, match="git clone"):
        open_benchmark("acebench")


def test_an_item_that_the_official_checker_cannot_read_is_no_verdict() -> None:
    bench = FunctionCalling(builtin())
    sample = next(one for one in bench.items() if one.group == "normal_atom_enum")
    ((item, answer),) = sample.gold["turns"]
    broken = {**item, "function": []}
    grade = bench.grade_turns(
        Sample("x", (), {"turns": [(broken, answer)]}, group=sample.group), [bench.gold_reply(sample).text]
    )
    assert grade.result.status is Status.VERIFIER_ERROR
