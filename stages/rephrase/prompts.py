"""What teacher and judge are told, as the registry of prompts keeps it."""

from agents.chat.protocol import Message
from agents.rephrase.judge import SYSTEM
from agents.rephrase.styles import STYLES, Perspective, ask, free_task, shots
from stages.rephrase.params import RephraseParams

ANYONE = Perspective("", "{{voice}}", "{{asks}}", "{{answers}}")


def templates(p: RephraseParams) -> dict[str, list[Message]]:
    """By name: a prompt for each style, framed or free, and the judge's where one is asked."""
    asked: Message = {"role": "user", "content": ask(ANYONE, "{{topic}}", "{{passage}}")}
    if p.wording == "free":
        found: dict[str, list[Message]] = {
            f"teacher-free-{name}": [
                {"role": "system", "content": free_task(STYLES[name], ANYONE, foreign=False)},
                asked,
            ]
            for name in p.styles
        }
    else:
        found = {f"teacher-{name}": [*shots(STYLES[name]), asked] for name in p.styles}
    if p.judge:
        found["rephrasing-judge"] = [{"role": "system", "content": SYSTEM}]
    return found
