"""How good a tuned model acts: calls that equal the reference, tasks that are solved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gym.intervals import wilson
from gym.tasksets.elementary import Elementary
from gym.tasksets.task import Task, TaskSet
from k2model.chat.messages import encode_prompt
from k2model.chat.model_json import loads_arguments
from k2model.chat.parse import ToolCall
from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import parse_ids
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model
from stages.posttraining.conversations import Conversation

MAX_BATCH = 64
CALL_TOKENS, LEAST_CALL_TOKENS = 128, 64


def _same_calls(calls: Sequence[ToolCall], wanted: Sequence[Mapping[str, Any]]) -> bool:
    """Equal functions and equal arguments, in order; ids don't count."""
    written = [(call.name, loads_arguments(call.arguments)) for call in calls]
    functions = [reference["function"] for reference in wanted]
    return written == [(function["name"], loads_arguments(function["arguments"])) for function in functions]


def call_accuracy(
    model: K2Model,
    tokenizer: K2Tokenizer,
    held: Sequence[Conversation],
    n: int,
    longest: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Share of held assistant turns with calls whose greedy continuation makes exactly the reference's calls.

    Args:
        n: turns that are drawn of those whose prompt leaves room for a call in `longest` tokens.
    """
    limit = min(longest, model.config.max_position_embeddings)
    requests: list[Request] = []
    references: list[Sequence[Mapping[str, Any]]] = []
    for messages, tools in held:
        for turn, message in enumerate(messages):
            if message["role"] != "assistant" or not message.get("tool_calls"):
                continue
            prompt = encode_prompt(tokenizer, list(messages[:turn]), tools)
            room = min(CALL_TOKENS, limit - len(prompt))
            if room >= LEAST_CALL_TOKENS:
                requests.append(Request(prompt, room, temperature=0.0, stop_ids=tokenizer.ends))
                references.append(message["tool_calls"])
    chosen = sorted(rng.permutation(len(requests))[:n].tolist())
    if not chosen:
        return {"call_accuracy_n": 0}
    rows = min(MAX_BATCH, len(chosen))
    results = Engine(model, tokenizer, max_batch=rows, max_length=limit).generate([requests[k] for k in chosen])
    right = 0
    for k, result in zip(chosen, results, strict=True):
        parsed = parse_ids(tokenizer, result.ids)
        right += not parsed.errors and _same_calls(parsed.tool_calls, references[k])
    low, high = wilson(right, len(chosen))
    return {
        "call_accuracy": right / len(chosen),
        "call_accuracy_n": len(chosen),
        "call_accuracy_ci_low": low,
        "call_accuracy_ci_high": high,
    }


def solved(
    model: K2Model, tokenizer: K2Tokenizer, taskset: TaskSet, tasks: Sequence[Task], scale: float = 1.0
) -> list[float | None]:
    """Scores of the greedy answers, None where the verifier failed; a prompt without room is not solved.

    Args:
        scale: of the tasks' own token budgets.
    """
    limit = model.config.max_position_embeddings
    prompts = [encode_prompt(tokenizer, list(task.messages)) for task in tasks]
    budgets = [max(1, round(task.token_budget * scale)) for task in tasks]
    rooms = [min(budget, limit - len(prompt)) for prompt, budget in zip(prompts, budgets, strict=True)]
    asked = [k for k, room in enumerate(rooms) if room > 0]
    scores: list[float | None] = [0.0] * len(tasks)
    if not asked:
        return scores
    longest = max(len(prompts[k]) + rooms[k] for k in asked)
    engine = Engine(model, tokenizer, max_batch=min(MAX_BATCH, len(asked)), max_length=longest)
    results = engine.generate([Request(prompts[k], rooms[k], temperature=0.0, stop_ids=tokenizer.ends) for k in asked])
    for k, result in zip(asked, results, strict=True):
        parsed = parse_ids(tokenizer, result.ids)
        scores[k] = taskset.score(tasks[k], parsed.content).score
    return scores


def elementary_scores(
    model: K2Model, tokenizer: K2Tokenizer, tasks: Mapping[str, Sequence[Task]]
) -> dict[str, list[float]]:
    """Scores of the greedy answers to the tasks of each elementary family; a verifier's failure counts 0."""
    return {
        family: [score or 0.0 for score in solved(model, tokenizer, Elementary(family), own)]
        for family, own in tasks.items()
    }
