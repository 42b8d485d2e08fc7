"""The declarative files of servers: read with their errors named, drawn and written by a seed."""

from pathlib import Path
from random import Random

import pytest

from agents.servers.spec import HELD, SpecError, draw, read_spec, specs
from agents.servers.wording import expand, written

TOOLS = {  # as the servers list them
    "git": "add branch checkout commit create_branch diff diff_staged diff_unstaged log reset show status",
    "knowledge": "delete get get_relations list list_namespaces relate replace save search",
    "database": "explain export_query list_databases query schema table_info",
    "time": "convert_time get_current_time",
}
SMALL = """
about: a
module: m
intents:
  one: {say: [s], steps: [{call: c}], answer: [a]%s}
"""


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_of_a_server_has_a_task(name: str) -> None:
    calls = {step.call.removeprefix("git_") for intent in specs()[name].intents.values() for step in intent.steps}
    assert calls == set(TOOLS[name].split())


def test_every_intent_has_several_sentences_and_can_be_reached() -> None:
    for name, spec in specs().items():
        reached = {intent for intent, own in spec.intents.items() if not own.after}
        for _ in spec.intents:
            reached |= {intent for intent, own in spec.intents.items() if reached.intersection(own.after)}
        assert reached == set(spec.intents), name
        for intent in spec.intents.values():
            rng = Random(0)
            assert len({expand(frame, rng) for _ in range(60) for frame in intent.say}) >= (2 if name == HELD else 4)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (", uses: {n: notes}", "intent one: no notes"),
        (", after: [two]", "intent one: no two"),
        (", after: [one]", "no intent can open a conversation"),
        (", says: [x]", "intents.one.says: Extra inputs"),
        (", say: []", "server.yaml: "),
    ],
)
def test_a_file_that_describes_no_server_is_named(tmp_path: Path, more: str, problem: str) -> None:
    path = tmp_path / "server.yaml"
    path.write_text(SMALL % "", encoding="utf-8")
    assert list(read_spec(path).intents) == ["one"]
    path.write_text(SMALL % more, encoding="utf-8")
    with pytest.raises(SpecError, match="server.yaml: ") as caught:
        read_spec(path)
    assert problem in str(caught.value)


def test_values_are_drawn_and_put_into_sentences() -> None:
    rng = Random(1)
    assert {draw("int 3..5", {}, rng) for _ in range(60)} == {3, 4, 5}
    assert draw(["{a}-x"], {"a": "b"}, rng) == "b-x"
    assert draw("{n}", {"n": 4}, rng) == 4
    assert written("[A|B]{v}", {"v": ["x", "y"]}, rng) in ("Ax and y", "Bx and y")
    assert written("h{1} {v}", {"v": []}, rng) == "h{1} nothing"
