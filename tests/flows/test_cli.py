import importlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flows import doctor
from flows.cli import COMMANDS, usage
from tests.conftest import ROOT


def test_every_command_is_listed_with_an_example() -> None:
    for name, (_, text, example) in COMMANDS.items():
        assert f"  {name} " in usage() and text in usage() and example in usage()
        assert example.split()[:2] == ["k2", name]


@pytest.mark.parametrize("module", sorted({module for module, _, _ in COMMANDS.values()}))
def test_every_command_has_a_main(module: str) -> None:
    assert callable(importlib.import_module(module).main)


def test_an_unknown_command_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "trane"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("k2: no command 'trane'")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stages.inputs", "--nope", "extra"], "python -m stages.inputs: error: unrecognized arguments: --nope extra"),
        (["flows.recovery", "--silence", "nan"], "error: --silence: at least 10"),
        (["flows.sweep", "--grid", "seed=0", "--jobs", "0"], "--jobs: 0 is below 1"),
        (["flows.sweep", "--study", "seed=int:x:y"], "--study seed=int:x:y: wanted int:LO:HI with two numbers"),
        (["flows.sweep", "--study", "seed=log:-1:1"], "--study seed=log:-1:1: wanted LO up to HI, above 0"),
        (["flows.experiment", "--set", "seed=[1"], "seed: '[1' is not YAML"),
        (["k2model.training.plan", "laptop", "--gpus", "8", "--tokens", "inf"], "--tokens: inf is no number from 1 on"),
        (["experiments", "nosuch"], "nosuch"),
    ],
)
def test_what_a_command_cannot_take_is_one_line(words: list[str], said: str) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    *usage_lines, last = done.stderr.splitlines()
    assert said in last and "Traceback" not in done.stderr
    assert all(line.startswith(("usage:", " ")) for line in usage_lines)


def test_a_target_that_is_no_stage_is_one_line_before_a_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = [sys.executable, "-m", "flows.pipeline", "--target", "nope"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("dvc.yaml: no stage named 'nope'; stages: inputs, ") and done.stderr.count("\n") == 1


def test_the_doctor_says_what_a_missing_thing_disables(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {finding.what: finding for finding in doctor.examine()}
    assert found["python"].good
    assert found["sandbox fork"].good
    assert {"disk", "memory", "g++", "Landlock", "seccomp", "user namespaces", "port 4200", "port 5000", "GPU"} <= set(
        found
    )
    assert found["disk"].line().startswith("ok    disk ")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(doctor, "landlock_abi", lambda: 0)
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        taken = doctor._port(mine.getsockname()[1], "--mlflow-port N")
    bare = {finding.what: finding for finding in doctor.examine()}
    assert bare["g++"].line().startswith("miss  g++                not found: INT4 kernels and ")
    assert not bare["Landlock"].good and not bare["git"].good
    assert "k2 ui --mlflow-port N" in taken.line()
    assert all(finding.disables for finding in bare.values() if not finding.good)


def test_the_doctor_says_which_form_each_hot_loop_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["k2 doctor"])
    monkeypatch.setattr(doctor, "examine", lambda: iter(()))
    monkeypatch.setenv("K2_PROCESSOR", "generic")
    assert doctor.main() == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("form  ")]
    assert len(lines) == 6 and lines[0].startswith("form  INT4, 16-bit activations torch: ")
    monkeypatch.setenv("K2_PROCESSOR", "z80")
    assert doctor.main() == 2
    assert capsys.readouterr().err.startswith("doctor: K2_PROCESSOR: 'z80' is none of generic, avx2")


def test_the_doctor_tries_the_chosen_back_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "params.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    assert list(doctor._backend()) == []  # no pipeline here
    (tmp_path / "params.yaml").write_text(text)
    assert list(doctor._backend()) == []  # this machine's kernel, which has its own lines
    (tmp_path / "params.yaml").write_text(text.replace("  backend: fork ", "  backend: container "))
    monkeypatch.setenv("PATH", "/nowhere")
    (finding,) = doctor._backend()
    assert not finding.good
    assert "needs podman or docker on PATH: code tasks of rl" in finding.line()
