"""A mock of an OpenAI-compatible teacher: invents applications, words wishes, writes prompts, judges, acts and plays
the user."""

import json
import re
from functools import cache
from typing import Any

import yaml

from agents.worlds.reading import FOLDER, authored
from bench.mock_endpoint import Action


def invented(domain: str, broken: bool) -> str:
    """The bicycle workshop under another name; `broken` with an action that refers to nothing."""
    content = yaml.safe_load((FOLDER / "bike_workshop.yaml").read_text(encoding="utf-8"))
    content |= {"application": f"{domain}_yard", "domain": domain, "desk": f"a yard of {domain}"}
    if broken:
        content["actions"]["finish_job"]["parameters"] = {"job": "ref boat"}
    return json.dumps(content, default=str)


@cache
def asks() -> list[tuple[str, re.Pattern[str]]]:
    """Of every action of the authored applications, what its wishes look like."""
    patterns = []
    for app in authored().values():
        for action in app.writes:
            for ask in action.asks:
                parts = re.split(r"\{[a-z_]+\}", ask.text)
                patterns.append((action.name, re.compile(".+?".join(map(re.escape, parts)) + ".*")))
    return patterns


def answer(body: dict[str, Any]) -> str:
    """What the mock says to a request."""
    asked = str(body["messages"][-1]["content"])
    first = str(body["messages"][1]["content"]) if len(body["messages"]) > 1 else asked
    if "Invent a desk" in first:
        domain = re.search(r"domain '(\w+)'", first)
        assert domain is not None
        again = "does not work" in asked
        return invented(domain[1], broken=not again or domain[1] == "science")
    if asked.startswith("Say the same"):
        return f"be so good as to {asked.split(chr(10), 1)[1]}"
    if asked.startswith("A customer says: please "):
        wish = asked.split("\n", 1)[0].removeprefix("A customer says: please be so good as to ")
        names = [name for name, pattern in asks() if pattern.fullmatch(wish) and f"\n{name}: " in asked]
        return names[0] if names else "none"
    if "Reword this system prompt" in asked:
        return json.dumps({"prompt": f"You are a voice of your own, number {len(asked)}."})
    if asked.startswith("You judge an assistant"):
        said = re.findall(r"^(\d+) assistant: (\w[^\n]*)$", asked, re.M)
        number, quote = said[-1]
        met = len(asked) % 3 > 0
        names = ("honest", "understandable", "polite", "relevant")
        criteria = [{"name": n, "met": met, "message": int(number), "quote": quote[:20]} for n in names]
        return json.dumps({"criteria": criteria})
    return "<end>"


def acts(body: dict[str, Any]) -> dict[str, Any]:
    """An agent that calls its first tool without arguments and reports whatever came of it."""
    if body["messages"][-1]["role"] == "tool":
        return {"role": "assistant", "content": "Done."}
    call = {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function", "function": call}]}


def plays(body: dict[str, Any]) -> str:
    """A user who says his wishes one after the other and goes."""
    wishes = re.findall(r"^\d+\. (.*)$", str(body["messages"][0]["content"]), re.M)
    told = sum(message["role"] == "assistant" for message in body["messages"])
    return f"Please {wishes[told]}" if told < len(wishes) else "<end>"


def behave(body: dict[str, Any], before: int) -> Action:
    if body.get("tools"):
        message = acts(body)
    elif str(body["messages"][0]["content"]).startswith("You play a user"):
        message = {"role": "assistant", "content": plays(body)}
    else:
        message = {"role": "assistant", "content": answer(body)}
    usage = {"prompt_tokens": 50, "completion_tokens": 5}
    return Action(raw=json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).encode())
