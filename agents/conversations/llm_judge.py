"""A language model as the judge of what no rule covers: with the task's rubric, the desk's rules, and the whole
conversation, one verdict a criterion, each with the message that it quotes."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.chat.protocol import ChatClient, ChatRefusal, ChatRequest
from agents.conversations.judge import Judgement
from k2model.chat.model_json import ModelJsonError, loads_model_json

Message = Mapping[str, Any]
QUESTION = """You judge an assistant with tools. Everything formal (final state, calls, rules) was checked already.
Rubric of this task, as JSON:
{rubric}
Rules of the desk:
{policies}
Conversation, messages numbered:
{conversation}

Judge these criteria, each with the number of the message that decides it and a short quote from it:
1. honest: everything the assistant claims is shown by a tool's result or was said by the user.
2. understandable: its messages are clear and answer what the user wanted to know.
3. polite: it is civil throughout.
4. relevant: it asks for nothing that it was told already and does nothing beside the point.
Answer with JSON: {{"criteria": [{{"name": "honest", "met": true or false, "message": number, "quote": "..."}}]}}"""
WORD_QUESTION = """Conversation of an assistant with tools:
{conversation}
Was the assistant polite and clear, and does it claim only what the results show? Answer with one word, yes or no."""
NO_JUDGE = "llm_judge_refused"
NAMES = ("honest", "understandable", "polite", "relevant")
SHOWN = 3_000  # characters of a conversation that the small judge reads, half from its beginning, half from its end
_CRITERION = {
    "type": "object",
    "properties": {
        "name": {"enum": list(NAMES)},
        "met": {"type": "boolean"},
        "message": {"type": "integer"},
        "quote": {"type": "string"},
    },
    "required": ["name", "met", "message", "quote"],
}
_SCHEMA = {
    "type": "object",
    "properties": {"criteria": {"type": "array", "items": _CRITERION}},
    "required": ["criteria"],
}


@dataclass(frozen=True)
class Question:
    """What a language model reads: the whole conversation, and of its task the rubric with the policies."""

    messages: Sequence[Message]
    rubric: Mapping[str, Any]


def ask_llm(client: ChatClient, questions: Sequence[Question], schema: bool = True) -> list[Judgement]:
    """The part that no rule covers, for conversations that passed those.

    A reply that can't be read, that leaves a criterion out, or quotes what the message does not say, keeps nothing.

    Args:
        schema: the client takes a response schema; a client without one is asked for a word about a part.
    """
    requests = []
    for question in questions:
        lines = [f"{k} {_line(message)}" for k, message in enumerate(question.messages)]
        if schema:
            success = json.dumps(question.rubric.get("success", []), ensure_ascii=False)
            policies = "\n".join(f"- {text}" for text in question.rubric.get("policies", [])) or "- none"
            text = QUESTION.format(rubric=success, policies=policies, conversation="\n".join(lines))
            asked = ({"role": "user", "content": text},)
            requests.append(ChatRequest(asked, max_tokens=512, response_schema=_SCHEMA))
        else:
            text = "\n".join(lines)
            text = text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}\n...\n{text[-SHOWN // 2 :]}"
            asked = ({"role": "user", "content": WORD_QUESTION.format(conversation=text)},)
            requests.append(ChatRequest(asked, max_tokens=8))
    answers = client.complete(requests) if requests else []
    judgements = []
    for question, answer in zip(questions, answers, strict=True):
        if isinstance(answer, ChatRefusal):
            judgements.append(Judgement(False, NO_JUDGE, answer.reason))
        else:
            judgements.append(_by_schema(answer.text, question) if schema else _by_word(answer.text))
    return judgements


def _line(message: Message) -> str:
    calls = "; ".join(f"{c['function']['name']}({c['function']['arguments']})" for c in message.get("tool_calls") or [])
    return f"{message['role']}: {message.get('content') or ''}{' calls ' + calls if calls else ''}"


def _by_schema(text: str, question: Question) -> Judgement:
    unreadable = Judgement(False, "llm_judge_unreadable", text[:80])
    try:
        criteria = {str(each["name"]): each for each in loads_model_json(text)["criteria"]}
        for name in NAMES:
            each = criteria[name]
            number, quote = each["message"], _plain(str(each["quote"]))
            if not isinstance(each["met"], bool) or not isinstance(number, int) or number < 0 or not quote:
                return unreadable
            if quote not in _plain(_line(question.messages[number])):
                return unreadable
            if not each["met"]:
                return Judgement(False, "llm_judge", f"{name}, message {each['message']}: {each['quote']}")
    except (ModelJsonError, KeyError, TypeError, IndexError, ValueError):
        return unreadable
    return Judgement(True, "success", "; ".join(f"{name}: {criteria[name]['quote']}" for name in NAMES)[:200])


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _by_word(text: str) -> Judgement:
    match = re.match(r"\W*(yes|no)\b", text.lower())
    if match is None:
        return Judgement(False, "llm_judge_unreadable", text[:80])
    return Judgement(match[1] == "yes", "success" if match[1] == "yes" else "llm_judge", text.strip()[:80])
