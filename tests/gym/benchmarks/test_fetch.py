"""An official name has official items, or says in one line where they come from."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from agents.benchmarks.open import open_named
from gym.benchmarks.base import DataError
from gym.benchmarks.fetch import DOWNLOADS, line
from gym.benchmarks.open import NAMES, open_benchmark
from stages.evaluate import standalone
from stages.evaluate.published import PUBLISHED

ROOT = Path(__file__).parents[3]
OFFICIAL = {name for reference in PUBLISHED for name in reference.scores} | {"bfcl", "gsm8k", "humaneval"}
OWN = "arithmetic_mc competition_templates function_calling logic_grids stdin_programs verifiable_instructions".split()


@pytest.mark.parametrize("name", sorted(OFFICIAL & set(NAMES)))
def test_no_official_name_has_a_built_in_set(name: str) -> None:
    try:
        bench = open_named(name)
    except DataError as error:
        assert "\n" not in str(error) and ("--data" in str(error) or "needs the package" in str(error))
        return
    assert name not in DOWNLOADS
    assert not bench.manifest.name.startswith("builtin-") and bench.manifest.source.startswith("package ")


@pytest.mark.parametrize("name", OWN)
def test_a_built_in_set_has_one_name_everywhere_and_takes_no_data(name: str, tmp_path: Path) -> None:
    bench = open_named(name)
    assert (bench.name, name in NAMES, name in OFFICIAL) == (name, True, False)
    assert bench.manifest.name.removesuffix("-scripted-user") == f"builtin-{name}"
    assert bench.manifest.count >= len(bench.items()) > 0
    with pytest.raises(DataError, match=f"{name} is generated and takes no data"):
        open_named(name, tmp_path)


@pytest.mark.parametrize("name", DOWNLOADS)
def test_what_is_missing_is_one_line_and_fetch_says_the_same(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError) as error:
        open_benchmark(name)
    with pytest.raises(DataError) as named:
        open_named(name)
    assert standalone.run(["--fetch", name]) == 0
    said = capsys.readouterr().out.strip()
    assert said == str(error.value) == str(named.value) == line(name)
    assert "\n" not in said and "licence: " in said and "sha256" in said and said.endswith(DOWNLOADS[name].place)
    assert f"--data {name}={DOWNLOADS[name].place}" in said
    folder = DOWNLOADS[name].command.split(" ")[-1] if "hf download" in said else "data/official"
    assert DOWNLOADS[name].place.startswith(folder)
    assert standalone.run(["--target", "embedded", "--benchmarks", name]) == 2
    assert capsys.readouterr().err == f"evaluate: {said}\n"


def test_of_what_is_here_the_hash_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "aime.jsonl"
    path.write_text(json.dumps({"ID": "1", "Problem": "Find 200+4.", "Answer": 204}) + "\n")
    assert standalone.run(["--fetch", "aime_2024", "--data", f"aime_2024={path}"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("aime_2024: 1 items are here (aime_2024@")
    assert said.endswith(f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}\n")
    assert standalone.run(["--fetch", "aime_2024", "--data", f"aime_2024={tmp_path / 'gone'}"]) == 2
    assert standalone.run(["--fetch", "nothing"]) == 2
    assert standalone.run(["--fetch", "arithmetic_mc"]) == 0
    assert "100 items are here (builtin-arithmetic_mc): generated here" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["params.yaml", "sizes/smoke.yaml", "sizes/scratch.yaml", "sizes/moonlight.yaml"])
def test_the_pipelines_own_benchmarks_need_no_download(file: str) -> None:
    asked = yaml.safe_load((ROOT / file).read_text()).get("evaluate", {}).get("benchmarks", [])
    assert [one["name"] for one in asked if one["name"] in DOWNLOADS and "data" not in one] == []
