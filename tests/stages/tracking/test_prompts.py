"""Prompts on SQLite: a version for each wording, and a run says which versions it asked with."""

import json
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from agents.rephrase.styles import PERSPECTIVES, STYLES, Perspective, ask, shots
from stages.dial import load_params
from stages.tracking.runs import Track
from stages.trajectories.prompts import templates
from tests.conftest import ROOT


def _run(root: Path, number: int, prompts: dict[str, Any]) -> dict[str, str]:
    """A run that asks with these; its prompts' versions."""
    work = root / "work" / "trajectories" / f"f{number}"
    work.mkdir(parents=True)
    track = Track("trajectories", root, work, {"seed": number}, {}, system=False, apart=True)
    track.prompts(prompts)
    track.end("FINISHED", {})
    client = MlflowClient()
    run = client.get_run(json.loads((work / "mlflow_run.json").read_text())["run"])
    linked = {one["name"]: one["version"] for one in json.loads(run.data.tags.get("mlflow.linkedPrompts", "[]"))}
    tags = {f"k2-{key[7:]}": value for key, value in run.data.tags.items() if key.startswith("prompt.")}
    assert tags == linked
    return linked


def test_a_changed_wording_is_a_version_and_each_run_names_its_own(root: Path) -> None:
    chat = [{"role": "system", "content": "Say it."}, {"role": "user", "content": "Passage: {{passage}}"}]
    first = {"judge": "Was it polite? {{conversation}}", "teacher-faq": chat}
    assert _run(root, 0, first) == {"k2-judge": "1", "k2-teacher-faq": "1"}
    assert _run(root, 1, first) == {"k2-judge": "1", "k2-teacher-faq": "1"}
    assert _run(root, 2, first | {"judge": "Was it civil? {{conversation}}"}) == {
        "k2-judge": "2",
        "k2-teacher-faq": "1",
    }
    assert _run(root, 3, {}) == {}
    client = MlflowClient()
    judge = client.load_prompt("prompts:/k2-judge/2")
    assert judge.template == "Was it civil? {{conversation}}" and judge.variables == {"conversation"}
    assert client.load_prompt("prompts:/k2-judge/1").template == first["judge"]
    assert client.load_prompt("prompts:/k2-teacher-faq/1").format(passage="Etna.")[1]["content"] == "Passage: Etna."


def test_who_is_asked_by_these_parameters_has_a_template_and_scripts_have_none() -> None:
    p = load_params(ROOT / "params.yaml").trajectories
    assert templates(p) == {}, "scripts and rules ask nobody"
    url = "http://127.0.0.1:1/v1#m"
    asked = templates(p.model_copy(update={"judge": url, "teacher": url, "agent": url, "user": "agent"}))
    assert list(asked) == ["judge", "user", "teacher-words", "teacher-reads", "teacher-agent-prompt"]
    assert all("{{" in text and "{{{" not in text for text in asked.values())
    assert "{{conversation}}" in asked["judge"] and '{"criteria": [{"name": "honest"' in asked["judge"]
    assert templates(p.model_copy(update={"judge": "embedded"}))["judge"] != asked["judge"]


def test_the_rephrasings_template_is_what_a_request_says(root: Path) -> None:
    template = [
        *shots(STYLES["faq"]),
        {"role": "user", "content": ask(Perspective("", "{{voice}}", "", ""), "{{topic}}", "{{passage}}")},
    ]
    _run(root, 0, {"teacher-faq": template})
    voice = PERSPECTIVES["teacher"].voice
    said = MlflowClient().load_prompt("prompts:/k2-teacher-faq/1").format(voice=voice, topic="Etna", passage="High.")
    assert said[-1]["content"] == ask(PERSPECTIVES["teacher"], "Etna", "High.")
