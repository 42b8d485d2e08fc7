"""Short conversations of every application, for vocabularies and new tokens."""

import subprocess
import sys

from agents.conversations.samples import samples
from agents.worlds.reading import authored

PROGRAM = """
import hashlib, json
from agents.conversations.samples import samples
made = [[each.messages, each.tools] for each in samples(40, 5)]
print(hashlib.sha256(json.dumps(made).encode()).hexdigest())
"""


def test_every_application_but_the_held_ones_has_its_turn_and_all_are_kept() -> None:
    trained = [name for name, app in authored().items() if not app.held]
    made = samples(len(trained) + 5, 3)
    assert len(made) == len(trained) + 5
    assert all(each.verdict.kept for each in made)
    assert {each.task.application for each in made} >= set(trained[:-5])
    assert not any(authored()[each.task.application].held for each in made)
    roles = {(message["role"], bool(message.get("tool_calls"))) for each in made for message in each.messages}
    assert roles >= {("system", False), ("user", False), ("assistant", True), ("assistant", False), ("tool", False)}


def test_they_are_the_same_in_every_process() -> None:
    first, second = (
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    )
    assert first == second and len(first) == 65
