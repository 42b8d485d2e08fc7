"""The agent loop, users and worlds as RL sees them: token ids in, token ids out."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from agents.conversations.tasks import Application, PlannedCall, applications
from agents.tools.evolve import evolve
from gym.tasksets.task import Task
from gym.verifiers.result import Status
from k2model.chat.messages import call_id, encode_chat, encode_prompt
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from stages.rl.episodes import SingleAnswer, ToolUse, tool_tasks


@pytest.fixture(scope="module")
def tokenizer() -> K2Tokenizer:
    return K2Tokenizer(train_tokenizer(['{"id": "X1"} functions.set:0 The count is 4. Done. ' * 40], 296))


@pytest.fixture(scope="module")
def apps() -> list[Application]:
    return applications(evolve())


def _with(apps: list[Application], persona: str) -> Task:
    return next(task for task in tool_tasks(apps, 20, 40) if task.payload["persona"] == persona)


def _says(tokenizer: K2Tokenizer, message: dict[str, Any]) -> list[int]:
    """The completion that writes this message."""
    user = {"role": "user", "content": "x"}
    whole = encode_chat(tokenizer, [user, {"role": "assistant"} | message]).ids
    return whole[len(encode_prompt(tokenizer, [user])) :]


def _acts(calls: Sequence[PlannedCall], first: int = 0) -> dict[str, Any]:
    made = [
        {
            "id": call_id(call.tool, first + place),
            "type": "function",
            "function": {"name": call.tool, "arguments": json.dumps(call.arguments)},
        }
        for place, call in enumerate(calls)
    ]
    return {"content": "", "tool_calls": made}


def _play(tokenizer: K2Tokenizer, episode: ToolUse) -> list[int]:
    """Everything as a careful agent says it; the tokens of the whole conversation."""
    tokens = episode.prompt()
    for turn, gold in enumerate(episode.script.gold_turns):
        for call in gold:
            said = _says(tokenizer, _acts([call]))  # an id that starts at 0 each time
            tokens += said
            tokens += (follows := episode.reply(said))
            assert follows
        counts = [json.loads(m["content"]).get("count") for m in episode.messages if m["role"] == "tool"]
        text = "What exactly?" if turn in episode.script.ask_first else f"Done. {[c for c in counts if c is not None]}"
        said = _says(tokenizer, {"content": text})
        tokens += said
        tokens += episode.reply(said)
    return tokens


@pytest.mark.parametrize("persona", ["plain", "hesitant", "mind_changer"])
def test_the_gold_plan_succeeds_with_every_user(tokenizer: K2Tokenizer, apps: list[Application], persona: str) -> None:
    episode = ToolUse(tokenizer, apps, _with(apps, persona))
    assert episode.task.tools == tuple(tool["function"]["name"] for tool in episode.declared)
    tokens = _play(tokenizer, episode)
    assert episode.verdict().score == 1.0, episode.verdict().reason
    said = tokenizer.decode(tokens)
    for words in episode.script.turns:
        assert words in said


def test_the_world_decides_not_the_words(tokenizer: K2Tokenizer, apps: list[Application]) -> None:
    episode = ToolUse(tokenizer, apps, _with(apps, "plain"))
    assert episode.reply(_says(tokenizer, {"content": "Done. All is well, as you asked."})) == []
    assert episode.verdict().score == 0.0
    assert episode.verdict().status is Status.SCORED


def test_a_cut_conversation_is_no_answer_and_a_broken_turn_a_wrong_one(
    tokenizer: K2Tokenizer, apps: list[Application]
) -> None:
    task = _with(apps, "plain")
    episode = ToolUse(tokenizer, apps, task)
    (call,) = episode.script.gold_turns[0][:1]
    assert episode.reply(_says(tokenizer, _acts([call])))
    assert episode.verdict().status is Status.NO_ANSWER
    broken = ToolUse(tokenizer, apps, task)
    assert broken.reply(tokenizer.encode("<|tool_calls_section_begin|>", parse_special=True)) == []
    assert broken.verdict().score == 0.0
    assert broken.verdict().reason.startswith("malformed")


def test_calls_that_fail_again_and_again_end_the_conversation(tokenizer: K2Tokenizer, apps: list[Application]) -> None:
    episode = ToolUse(tokenizer, apps, _with(apps, "plain"))
    wrong = _says(tokenizer, _acts([PlannedCall("no_such_tool", {"id": "X"})]))
    replies = [episode.reply(wrong) for _ in range(3)]
    assert [bool(reply) for reply in replies] == [True, True, False]
    assert "tool_failure" in episode.verdict().reason


def test_an_answer_that_mentions_a_marker_is_an_answer(tokenizer: K2Tokenizer) -> None:
    task = Task("t", "facts", 0, 0.0, "x", ({"role": "user", "content": "What ends thinking?"},), 20, {})
    for text in ("It is </think>.", "<|tool_calls_section_begin|>", "A turn ends with <|im_end|>"):
        episode = SingleAnswer(tokenizer, None, task)
        episode.reply([*tokenizer.encode(text), tokenizer.im_end])
        assert episode.answer() == text


def test_a_call_in_letters_is_the_answer_and_no_call(tokenizer: K2Tokenizer, apps: list[Application]) -> None:
    episode = ToolUse(tokenizer, apps, _with(apps, "plain"))
    episode.prompt()
    spelled = tokenizer.decode(_says(tokenizer, _acts(episode.script.gold_turns[0])))
    assert "<|tool_call_begin|>" in spelled
    episode.reply([*tokenizer.encode(spelled.removesuffix("<|im_end|>")), tokenizer.im_end])
    assert not any(message["role"] == "tool" for message in episode.messages)
