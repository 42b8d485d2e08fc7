"""The scripted programmer: what it says and opens it has read, its orders of work differ, its slips are slips."""

import json
import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from agents.coding.evidence import SCRIPTS
from agents.coding.expert import ASTRAY, ORDERS, Expert
from agents.coding.sessions import OPTIONS, CodingSessions
from agents.conversations.agents import Agent
from agents.loop import loop
from gym.repositories.solving import working_copy
from gym.repositories.task import RepairTask
from gym.sandbox import open_sandbox
from gym.sandbox.workspace import Workspace
from tests.agents.coding.conftest import agent

Messages = Sequence[Mapping[str, Any]]


def work(coding: CodingSessions, task: RepairTask, who: Agent, seed: int) -> tuple[Expert, loop.Run, Workspace]:
    """A session without its verdict."""
    copy = working_copy(coding.project, task, coding.box)
    expert = Expert(coding.project, task, copy.start, who, seed, shell=copy.shell)
    opening = [{"role": "system", "content": "Repair it."}, {"role": "user", "content": task.issue}]
    run = loop.run(expert, copy.call, opening, copy.tools(), OPTIONS)
    assert run.stop is loop.Stop.ANSWERED, run.detail
    return expert, run, copy


def calls(messages: Messages) -> list[tuple[str, dict[str, Any]]]:
    made = [call["function"] for message in messages for call in message.get("tool_calls") or []]
    return [(function["name"], json.loads(function["arguments"])) for function in made]


def repaired(coding: CodingSessions, copy: Workspace) -> bool:
    return all(copy.files[path] == coding.project.files[path] for path in coding.project.code)


def unfounded(messages: Messages) -> list[str]:
    """Names, lines, paths and texts in thoughts and calls that no earlier message has."""
    seen = "\n".join(str(message["content"]) for message in messages[:2]) + " ".join(SCRIPTS)
    own = {*keyword.kwlist, "trace", "async", "def", "test"}
    found = []
    for message in messages[2:]:
        if message["role"] == "tool":
            seen += f"\n{message['content']}"
            continue
        words = set(re.findall(r"\w+", seen)) | own
        thought = message.get("reasoning_content", "")
        said = " ".join(re.findall(r"`([^`]+)`", thought))
        found += [f"name {word}" for word in re.findall(r"[A-Za-z_]\w*", said) if word not in words]
        found += [f"line {number}" for number in re.findall(r"line (\d+)", thought) if number not in words]
        found += [f"path {path}" for path in re.findall(r"[\w/]+\.py", thought) if path not in seen]
        for name, given in calls([message]):
            if name == "search_dir":
                pattern = re.sub(r"\\\w", " ", given["pattern"])
                found += [f"pattern {word}" for word in re.findall(r"[A-Za-z_]\w*", pattern) if word not in words]
            if name in ("search_dir", "view") and given.get("path", "") not in seen:
                found.append(f"path {given['path']}")
            lines = range(given["start"] - 1, given["end"] + 1) if "start" in given else None  # None: a folder
            if lines and not any(str(line) in words for line in lines):
                found.append(f"view {given}")
            if name == "edit" and given["old_str"]:
                found += [f"text {line}" for line in given["old_str"].split("\n") if line.strip() not in seen]
            if name == "edit":
                seen += f"\n{given['new_str']}"
            if name == "bash":
                named = re.findall(r"(?:pytest -q|grep -rlw) (\w\S*)", given["command"])
                found += [f"command {word}" for word in named if word not in seen]
    return found


def test_it_names_and_opens_what_it_has_read_alone(
    coding: CodingSessions, tasks: list[RepairTask], pair: RepairTask
) -> None:
    for seed, task in enumerate([*tasks, *tasks, pair]):
        _, run, copy = work(coding, task, agent(thinks=bool(seed % 2)), seed)
        assert repaired(coding, copy), (task.id, seed)
        assert unfounded(run.messages) == [], (task.id, seed)
        assert any(message.get("reasoning_content") for message in run.messages) == bool(seed % 2), seed


@pytest.mark.slow
def test_sessions_differ_over_seeds(coding: CodingSessions, tasks: list[RepairTask]) -> None:
    orders: Counter[str] = Counter()
    sequences = set()
    for seed in range(15):
        expert, run, copy = work(coding, tasks[0], agent(thinks=bool(seed % 2), together=seed % 3 == 0), seed)
        assert repaired(coding, copy) and unfounded(run.messages) == [], seed
        orders[expert.order] += 1
        sequences.add(tuple(name for name, _ in calls(run.messages)))
    assert len(sequences) >= 8 and len(orders) >= 4, (len(sequences), orders)


def test_every_order_is_taken_at_its_share(coding: CodingSessions, tasks: list[RepairTask]) -> None:
    task = replace(tasks[2], shown=(*tasks[2].fail_to_pass, *tasks[2].shown))
    files = working_copy(coding.project, task, coding.box).start
    made = [Expert(coding.project, task, files, agent(), seed, shell=True) for seed in range(600)]
    orders = Counter(expert.order for expert in made)
    whole = sum(share for _, share in ORDERS.values())
    for name, (_, share) in ORDERS.items():
        assert orders[name] / 600 == pytest.approx(share / whole, abs=0.06), name
    assert sum(expert.finder.astray for expert in made) / 600 == pytest.approx(ASTRAY, abs=0.06)
    alone = [Expert(coding.project, tasks[2], files, agent(), seed, shell=False).order for seed in range(60)]
    assert "trace" not in alone and "tests" not in alone, "it has no shell, and no failing test is shown"


def test_wrong_turns_come_at_the_agents_rate_and_are_taken_back(
    coding: CodingSessions, tasks: list[RepairTask]
) -> None:
    mended = given_up = slips = 0
    for seed in range(5):
        _, run, copy = work(coding, tasks[0], agent(slip=0.5, recover=1.0), seed)
        edits = [given for name, given in calls(run.messages) if name == "edit" and given["old_str"]]
        slips += len(edits) > 1
        undone = any(one["old_str"] == other["new_str"] for one, other in zip(edits, edits[1:], strict=False))
        missed = any(str(message["content"]).startswith("error: old_str") for message in run.messages)
        mended += repaired(coding, copy) and (undone or missed)
        _, run, copy = work(coding, tasks[0], agent(slip=0.5, recover=0.0), seed)
        given_up += not repaired(coding, copy)
    assert slips >= 3 and mended >= 3 and given_up >= 1, (slips, mended, given_up)


def test_python_alone_is_enough(coding: CodingSessions, tasks: list[RepairTask]) -> None:
    with open_sandbox("fork", workers=1) as box:
        small = object.__new__(CodingSessions)
        small.project, small.box = coding.project, box
        for seed, task in enumerate(tasks[1:]):
            _, run, copy = work(small, task, agent(), seed)
            assert repaired(coding, copy) and unfounded(run.messages) == []
            assert not any("starts no programs" in str(message["content"]) for message in run.messages)
