"""What can happen in an application is found by trying: actions, errors, bans."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.worlds.expression import ExpressionError
from agents.worlds.reach import reached, wanted
from agents.worlds.reading import FOLDER, authored, parse


def content() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / "bike_workshop.yaml").read_text(encoding="utf-8"))
    return read


def test_what_is_wanted_is_every_change_error_and_ban() -> None:
    assert wanted(authored()["bike_workshop"]) == [
        "open_job", "assign_mechanic", "finish_job", "postpone_job", "collect_payment",
        "open_job: already_here", "assign_mechanic: not_waiting", "assign_mechanic: no_time", "finish_job: not_in_work",
        "postpone_job: not_later", "collect_payment: not_ready", "postpone_job forbidden by far_postponement",
    ]  # fmt: skip


@pytest.mark.parametrize("name", list(authored())[::7])
def test_everything_in_the_authored_ones_happens(name: str) -> None:
    app = authored()[name]
    counts = reached(app)
    assert [what for what in wanted(app) if not counts[what]] == []


def test_what_never_happens_is_missing() -> None:
    app = content()
    app["actions"]["finish_job"]["require"][0]["if"] = "job.status == paid and job.hours > 99"
    app["actions"]["open_job"]["require"][0]["if"] = "1 == 1"
    app["policies"][0]["when"] = "due - today > 400"
    made = parse(app)
    counts = reached(made)
    assert [what for what in wanted(made) if not counts[what]] == [
        "finish_job", "open_job: already_here", "postpone_job forbidden by far_postponement",
    ]  # fmt: skip


def test_a_value_that_cant_be_computed_or_a_dangling_reference_is_an_error() -> None:
    app = content()
    app["actions"]["finish_job"]["effects"][0]["to"] = {"mechanic": "null", "estimate": "job.mechanic.hours_free * 2"}
    app["actions"]["finish_job"]["require"] = []
    with pytest.raises(ExpressionError, match="job.mechanic.hours_free"):
        reached(parse(app))
    app = content()
    app["actions"]["finish_job"]["effects"] = [{"remove": "job.bike"}]
    with pytest.raises(ExpressionError, match="finish_job: bike of J[0-9]+ is B[0-9]+, which is not there"):
        reached(parse(app))


def test_the_command_names_files_that_are_broken_or_never_reached(tmp_path: Path) -> None:
    dead = content()
    dead["application"] = "dead_desk"
    dead["actions"]["finish_job"]["require"][0]["if"] = "job.hours > 99"
    broken = content() | {"application": "broken_desk", "domain": "nowhere"}
    for app in (dead, broken):
        (tmp_path / f"{app['application']}.yaml").write_text(yaml.safe_dump(app), encoding="utf-8")
    names = [str(tmp_path / "dead_desk.yaml"), str(tmp_path / "broken_desk.yaml"), "bike_workshop", "bike_shop"]
    command = [sys.executable, "-m", "agents.worlds.reach", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and not done.stderr
    assert lines[0] == "dead_desk: 4 entities, 10 actions, 4 policies; never: finish_job"
    assert lines[1].endswith(
        "broken_desk.yaml: application broken_desk: domain 'nowhere' is none of: " + lines[1].split("none of: ")[1]
    )
    assert lines[2] == "bike_workshop: 4 entities, 10 actions, 4 policies; everything is reached"
    assert lines[3:] == ["bike_shop: neither an application of agents/worlds/applications nor a file *.yaml"]
