"""A mock of an OpenAI-compatible teacher that invents tools, words sentences, writes prompts and judges."""

import json
from typing import Any

from bench.mock_endpoint import Action

KIND = {"name": "honey jar", "fields": ["status:full|empty", "owner:name", "grams:int", "filled:date", "note:text"]}
BAD_KIND = {"name": "broken", "fields": ["status:full|empty", "x:colour", "y:int", "z:int"]}
TOOLS = [
    ("get", ""), ("list", ""), ("create", ""), ("delete", ""), ("count", "status"), ("search", "owner"),
    ("update", "status"), ("update", "owner"), ("update", "grams"), ("adjust", "grams"), ("adjust", "note"),
    ("latest", "status"), ("fly", ""), ("update", "nothing"),
]  # fmt: skip


def answer(body: dict[str, Any]) -> str:
    """What the mock says to a request."""
    asked = str(body["messages"][-1]["content"])
    if asked.startswith("Domain: "):
        domain = asked.split()[1].rstrip(".")
        names = [f"{domain} hive", f"{domain} shed", "airline", "No Name!"]
        return json.dumps({"items": [{"name": name} for name in names]})
    if "Invent" in asked:
        return json.dumps({"items": [KIND, KIND | {"name": "bee colony"}, BAD_KIND, {"name": ""}]})
    if "Write its tools" in asked:
        place = asked.split(" application")[0].removeprefix("The ").replace(" ", "_")
        kind = asked.split("of the kind ")[1].split(" with the fields")[0].replace(" ", "_")
        items = [
            {
                "name": f"{place}_{action}_{kind}_{field}".rstrip("_"),
                "action": action,
                "field": field,
                "description": f"Does {action} on a {kind} of {place}; {field or 'the record'} comes back.",
            }
            for action, field in TOOLS
        ]
        return json.dumps({"items": items})
    if "Reword this system prompt" in asked:
        return json.dumps({"prompt": f"You are a voice of your own, number {len(asked)}."})
    if "Rubric: " in asked:
        return json.dumps({"good": len(asked) % 3 > 0, "reason": "read it"})
    return f"Please {asked[0].lower()}{asked[1:]}" if not asked.startswith("How") else f"Tell me: {asked.lower()}"


def acts(body: dict[str, Any]) -> dict[str, Any]:
    """An agent that calls its first tool without arguments and reports whatever came of it."""
    if body["messages"][-1]["role"] == "tool":
        return {"role": "assistant", "content": "Done."}
    call = {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function", "function": call}]}


def behave(body: dict[str, Any], before: int) -> Action:
    message = acts(body) if body.get("tools") else {"role": "assistant", "content": answer(body)}
    usage = {"prompt_tokens": 50, "completion_tokens": 5}
    return Action(raw=json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).encode())
