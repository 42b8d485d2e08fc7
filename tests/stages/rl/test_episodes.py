"""The agent loop, users and worlds as RL sees them: token ids in, token ids out."""

import json
from typing import Any

import pytest

from agents.conversations.trajectory import simulate
from agents.servers import rl_family
from agents.worlds.reading import authored
from gym.tasksets.task import Task
from gym.verifiers.result import Status
from k2model.chat.messages import call_id, encode_chat, encode_prompt
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from stages.rl.episodes import CHARACTERS, PERSONAS, OneCall, SingleAnswer, ToolUse, tool_tasks
from stages.rl.limits import Limits

LIMITS = Limits(context_tokens=1024, turn_tokens=160, max_turns=6)


@pytest.fixture(scope="module")
def tokenizer() -> K2Tokenizer:
    return K2Tokenizer(train_tokenizer(['{"id": "X1"} functions.set:0 The count is 4. Done. ' * 40], 296))


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return tool_tasks(LIMITS, 60, 40, "train")


def _first_call(tokenizer: K2Tokenizer, task: Task) -> dict[str, Any]:
    """The first message of the proven conversation; empty where it is no call, or nothing is to be changed."""
    case = ToolUse(tokenizer, task).case
    first: dict[str, Any] = simulate(case).messages[2]
    return first if first.get("tool_calls") and case.task.goals[0].expected == "done" else {}


@pytest.fixture(scope="module")
def changing(tokenizer: K2Tokenizer, tasks: list[Task]) -> Task:
    """A task in which a record must change."""
    return next(task for task in tasks if _first_call(tokenizer, task))


def _says(tokenizer: K2Tokenizer, message: dict[str, Any]) -> list[int]:
    """The completion that writes this message."""
    user = {"role": "user", "content": "x"}
    whole = encode_chat(tokenizer, [user, {"role": "assistant"} | message]).ids
    return whole[len(encode_prompt(tokenizer, [user])) :]


def _acts(*calls: tuple[str, str]) -> dict[str, Any]:
    made = [
        {"id": call_id(name, k), "type": "function", "function": {"name": name, "arguments": arguments}}
        for k, (name, arguments) in enumerate(calls)
    ]
    return {"content": "", "tool_calls": made}


def _again(message: dict[str, Any]) -> dict[str, Any]:
    """The message as a policy writes it, whose calls count from 0 each time."""
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or []]
    return _acts(*calls) if calls else {"content": message["content"]}


@pytest.mark.parametrize("persona", PERSONAS)
def test_a_proven_conversation_succeeds_with_every_user(
    tokenizer: K2Tokenizer, tasks: list[Task], persona: str
) -> None:
    for task in [task for task in tasks if task.payload["case"]["persona"] == persona][:6]:
        episode = ToolUse(tokenizer, task)
        assert task.tools == tuple(tool["function"]["name"] for tool in episode.case.declarations)
        proof = simulate(episode.case)
        tokens = episode.prompt()
        turns = [message for message in proof.messages if message["role"] == "assistant"]
        for turn in turns:
            completion = _says(tokenizer, _again(turn))
            follows = episode.reply(completion)
            assert bool(follows) == (turn is not turns[-1])
            tokens += [*completion, *follows]
        assert episode.verdict().score == 1.0, episode.verdict().reason
        assert episode.answer() == turns[-1]["content"]
        seen = tokenizer.decode(tokens)
        for message in proof.messages:
            assert message["content"] in seen


def test_the_sides_share_no_application_and_their_conversations_are_short(
    tokenizer: K2Tokenizer, tasks: list[Task]
) -> None:
    held = tool_tasks(LIMITS, 20, 40, "held")
    sides = [{task.payload["case"]["application"] for task in side} for side in (tasks, held)]
    assert sides[0] and sides[1] and not sides[0] & sides[1]
    assert not any(authored()[name].held for side in sides for name in side)
    assert tasks == tool_tasks(LIMITS, 60, 40, "train")
    for task in (*tasks, *held):
        proof = simulate(ToolUse(tokenizer, task).case)
        assert len(json.dumps([proof.messages, proof.tools])) <= CHARACTERS * LIMITS.context_tokens


def test_the_world_decides_not_the_words(tokenizer: K2Tokenizer, changing: Task) -> None:
    episode = ToolUse(tokenizer, changing)
    while episode.reply(_says(tokenizer, {"content": "Done. All is well, as you asked."})):
        pass
    assert episode.verdict().score == 0.0
    assert episode.verdict().status is Status.SCORED


def test_a_cut_conversation_is_no_answer_and_a_broken_turn_a_wrong_one(tokenizer: K2Tokenizer, changing: Task) -> None:
    episode = ToolUse(tokenizer, changing)
    assert episode.reply(_says(tokenizer, _again(_first_call(tokenizer, changing))))
    assert episode.verdict().status is Status.NO_ANSWER
    broken = ToolUse(tokenizer, changing)
    assert broken.reply(tokenizer.encode("<|tool_calls_section_begin|>", parse_special=True)) == []
    assert broken.verdict().score == 0.0
    assert broken.verdict().reason.startswith("malformed")


def test_calls_that_fail_again_and_again_end_the_conversation(tokenizer: K2Tokenizer, changing: Task) -> None:
    episode = ToolUse(tokenizer, changing)
    wrong = _says(tokenizer, _acts(("no_such_tool", '{"id": "X"}')))
    replies = [episode.reply(wrong) for _ in range(3)]
    assert [bool(reply) for reply in replies] == [True, True, False]
    assert "tool_failure" in episode.verdict().reason


def test_an_answer_that_mentions_a_marker_is_an_answer(tokenizer: K2Tokenizer) -> None:
    task = Task("t", "facts", 0, 0.0, "x", ({"role": "user", "content": "What ends thinking?"},), 20, {})
    for text in ("It is </think>.", "<|tool_calls_section_begin|>", "A turn ends with <|im_end|>"):
        episode = SingleAnswer(tokenizer, None, task)
        episode.reply([*tokenizer.encode(text), tokenizer.im_end])
        assert episode.answer() == text


def test_a_call_in_letters_is_the_answer_and_no_call(tokenizer: K2Tokenizer, changing: Task) -> None:
    episode = ToolUse(tokenizer, changing)
    spelled = tokenizer.decode(_says(tokenizer, _again(_first_call(tokenizer, changing))))
    assert "<|tool_call_begin|>" in spelled
    episode.reply([*tokenizer.encode(spelled.removesuffix("<|im_end|>")), tokenizer.im_end])
    assert not any(message["role"] == "tool" for message in episode.messages)


def test_a_request_is_right_with_the_wanted_call_alone(tokenizer: K2Tokenizer) -> None:
    schema = {"type": "object", "properties": {"bike": {"type": "string"}, "hours": {"type": "integer"}}}
    rows = [
        {
            "name": name,
            "application": "workshop",
            "source": "mcp",
            "description": f"{name.split('_')[0].capitalize()} a repair of a bike.",
            "parameters": json.dumps({**schema, "required": ["bike", "hours"]}),
            "returns": "{}",
            "state_model": "",
        }
        for name in ("book_repair", "move_repair", "close_repair")
    ]
    for task in rl_family.tasks(rows, 160, 6, 3, "train"):
        (wanted,) = task.payload["gold"]
        right = (wanted[0], json.dumps(wanted[1]))
        wrong = (wanted[0], json.dumps({**wanted[1], "hours": wanted[1]["hours"] + 1}))
        for calls, score in (([right], 1.0), ([wrong], 0.0), ([right, right], 0.0)):
            episode = OneCall(tokenizer, task)
            assert wanted[0] in tokenizer.decode(episode.prompt())
            assert episode.reply(_says(tokenizer, _acts(*calls))) == []
            assert episode.verdict().score == score
        assert OneCall(tokenizer, task).verdict().status is Status.NO_ANSWER
