"""Every command of the documentation: it exists, every option is one that it takes, and a test runs it.

Commands are the lines of bash blocks and the code spans that begin with a program's name, in README.md and docs/. Our
own programs read the arguments as they stand in the docs, up to the end of their parser. `RUN` and `PROOF` say where a
command of the user's pages really runs; `ELSEWHERE` lists programs that this machine hasn't, and why. A command that
fits nowhere is an error.
"""

import functools
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from flows.cli import COMMANDS
from tests.conftest import ROOT, checkout_env, make_checkout
from tests.docs_commands import parser_problems

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPTS = sorted(path for path in (ROOT / "docs" / "cluster").iterdir() if path.suffix in (".sh", ".sbatch"))
GUIDES = {
    "README.md",
    "docs/operations.md",
    "docs/scaling.md",
    "docs/stages.md",
    "docs/architecture.md",
    "docs/your-tools.md",
    "docs/your-texts.md",
    "docs/your-checkpoint.md",
    "docs/your-cluster.md",
    "docs/applications.md",
}  # what a user reads

PROGRAMS = "k2 python make dvc pytest prefect torchrun deepspeed srun sbatch kubectl vllm lint-imports pip git"
FIRST = re.compile(rf"^(?:{'|'.join(map(re.escape, PROGRAMS.split()))}|\.ci/run|docs/cluster/\S+)(?= |$)")
ELSEWHERE = {
    "srun": "Slurm",
    "sbatch": "Slurm",
    "kubectl": "a Kubernetes cluster",
    "vllm": "a GPU",
    "sglang.launch_server": "a GPU",
    "lm_eval": "a package of its own",
}
STANDS_FOR = {  # placeholders in the docs → a value of the right kind
    "…": "", "...": "", "URL": "http://127.0.0.1:9/v1", "NAME": "aime_2025", "FOLDER": "work",
    "CHECKPOINT": "models/rl", "KEY=VALUE": "seed=1", "PORT": "9", "HOST": "127.0.0.1", "N": "8", "KIND": "h100",
    "PRESET": "laptop", "<preset>": "laptop", "<name>": "corpus",
}  # fmt: skip
NEEDS_ARGUMENT = {"k2 sweep --grid": "seed=0,1", "k2 sweep --study": "seed=int:0:3"}  # before an ellipsis

# What runs here, on a checkout at smoke size in which nothing has run yet.
RUN = [
    "python -m stages.dial --size smoke --write",
    "python -m stages.inputs",
    "python -m stages.corpus",
    "python -m agents.worlds.reach rail_tickets",
    "python -m agents.conversations.solved rail_tickets",
    "k2 --help",
    "k2 doctor",
    "k2 models",
    "make help",
    "python -m k2model.describe laptop",
    "python -m k2model.training.plan laptop --gpus 8",
    "dvc metrics show",
    "dvc exp show",
]

# What other tests run: a pattern of the command → file and test.
PROOF = {
    r"make (repro|flow)|dvc repro.*": "tests/test_pipeline.py::test_a_second_repro_runs_nothing",
    r"make test": "tests/test_docs.py::test_the_two_commands_of_the_readme_are_made_of_what_the_tests_run",
    r"make ui": "tests/flows/test_ui.py::test_both_uis_answer_and_stop_together",
    r"python -m stages.dial --size (scratch|moonlight) --write": (
        "tests/stages/test_dial.py::test_the_checked_in_file_is_valid_at_every_size"
    ),
    r"dvc exp run -S .*": "tests/test_pipeline.py::test_metrics_plots_and_experiments_are_readable",
    r"dvc (metrics|plots) diff.*": "tests/test_pipeline.py::test_metrics_plots_and_experiments_are_readable",
    r"dvc (push|pull|remote add .*)": (
        "tests/test_pipeline.py::test_what_one_checkout_pushes_another_pulls_and_runs_nothing"
    ),
    r"python -m experiments\.your_texts .*": "tests/experiments/test_your_texts.py::test_the_change_stands_by_source",
    r"python -m experiments\.your_tools .*": (
        "tests/experiments/test_your_tools.py::test_right_calls_of_both_models_stand_by_tool_and_server"
    ),
    r"k2 experiment .*": "tests/flows/test_sweep.py::test_an_experiment_leaves_the_checkout_as_it_is",
    r"dvc exp run --(queue|run-all) .*": (
        "tests/flows/test_sweep.py::test_queued_experiments_run_together_and_leave_the_checkout_as_it_is"
    ),
    r"dvc (artifacts )?get .*": "tests/test_dvc.py::test_a_model_is_fetched_by_its_name_from_a_checkout",
    r"dvc exp (show .*|apply .*)": "tests/test_pipeline.py::test_metrics_plots_and_experiments_are_readable",
    r"pytest -m (soak|drivers) .*": "tests/k2model/serving/test_soak.py",
    r"k2 models --send": (
        "tests/stages/tracking/test_runs.py::test_a_server_that_is_away_or_killed_in_a_run_is_told_later"
    ),
    r"k2 models --promote": "tests/test_pipeline.py::test_with_postgresql_and_s3_by_environment_variables_alone",
    r"python -m experiments( aime_2025)?": (
        "tests/experiments/test_ledger.py::test_the_program_lists_dispatches_and_knows_near_names"
    ),
    r"python -m experiments\.pretraining": (
        "tests/experiments/test_pretraining.py::test_an_experiments_arms_and_seeds_are_children_of_one_parent"
    ),
    r"python -m experiments\.fidelity.*": "tests/experiments/test_fidelity.py::test_a_judge_is_compared_with_the_check",
    r"python -m experiments\.rephrase": (
        "tests/test_pipeline.py::test_the_rephrasing_experiment_leaves_an_arm_per_seed_in_mlflow"
    ),
    r"python -m experiments\.rl": (
        "tests/experiments/test_rl.py::test_arms_and_seeds_are_children_of_one_parent_in_mlflow"
    ),
    r"k2 sweep --study .*": "tests/flows/test_sweep.py::test_a_study_asks_optuna_and_names_the_best",
    r"k2 sweep .*": "tests/flows/test_sweep.py::test_a_grid_gives_experiments_that_dvc_and_the_table_agree_on",
    r"k2 deploy.*": "tests/flows/test_deployments.py::test_deployments_are_served_scheduled_and_take_parameters",
    r"python -m flows\.sandbox .*": "tests/flows/test_workers.py::test_sandbox_jobs_run_on_the_workers_of_a_pool",
    r"python -m gym\.sandbox\.image .*": "tests/gym/sandbox/test_rootfs.py::test_the_image_is_one_file",
    r"pip install swebench==.*": (
        "tests/gym/benchmarks/test_swe.py::test_official_instances_need_an_engine_the_harness_and_the_schema"
    ),
    r"k2 recovery": "tests/flows/test_workers.py::test_a_crashed_workers_run_goes_on_at_another_worker",
    r"python -m flows\.shards .*": (
        "tests/flows/test_shards.py::test_shards_go_to_a_pools_workers_and_the_stage_then_asks_nothing"
    ),
    r"python -m stages\.rephrase\.shard .*": (
        "tests/stages/rephrase/test_rephrase.py::test_two_shard_processes_fill_one_store_and_the_stage_asks_nothing"
    ),
    r"python -m agents\.chat\.store .*": (
        "tests/agents/chat/test_store.py::test_stores_that_were_filled_apart_are_united"
    ),
    r"k2 (sft|rl|qat) .*": "tests/stages/test_own_folders.py::test_a_stage_goes_on_from_a_folder_alone",
    r"k2 serve.*": "tests/k2model/serving/test_server.py",
    r"k2 export .*": "tests/k2model/formats/test_gguf_export.py::test_the_command_says_what_it_wrote",
    r"python -m tests\.agents\.playground\.picture .*": (
        "tests/agents/playground/test_browser.py::test_the_readmes_picture_is_taken_of_any_model"
    ),
    r"k2 chat.*": (
        "tests/agents/playground/test_chat.py::test_one_process_serves_model_page_and_tools_and_ctrl_c_ends_all"
    ),
    r"pytest -m drivers .*": "tests/k2model/serving/test_drivers.py",
    r"lm_eval .*": "tests/k2model/serving/test_drivers.py::test_lm_eval_measures_what_the_model_says",
    r"(k2|python -m stages\.) ?evaluate .*": "tests/stages/evaluate/test_evaluate.py",
    r"prefect automation create .*": (
        "tests/flows/test_automation.py::test_two_failed_nights_pause_the_nightly_run_and_nothing_else"
    ),
    r"prefect (server|work-pool|worker|--no-prompt deploy).*": (
        "tests/flows/test_workers.py::test_a_crashed_workers_run_goes_on_at_another_worker"
    ),
    r"(torchrun|deepspeed) .*": (
        "tests/test_cluster.py::test_two_nodes_by_torchrun_and_by_deepspeeds_launcher_train_the_same_weights"
    ),
    r"docs/cluster/serve\.sh rollouts-ours": "tests/k2model/serving/test_server.py",
    r"lint-imports": "tests/test_docs.py::test_the_two_commands_of_the_readme_are_made_of_what_the_tests_run",
    r"pip install k2-pipeline\[ray\]": "tests/stages/harness/test_ray.py",
    r"pip install -e .*": "tests/test_pipeline.py::test_with_postgresql_and_s3_by_environment_variables_alone",
    r"(k2 plan|python -m k2model\.training\.plan) .*": (
        "tests/test_cluster.py::test_the_table_of_plans_is_what_the_planner_says"
    ),
}


@dataclass(frozen=True)
class Command:
    """One command: its words, with placeholders filled in, and where it stands."""

    words: tuple[str, ...]
    page: str

    @property
    def text(self) -> str:
        return " ".join(self.words)


def _fill(word: str) -> str:
    if word in STANDS_FOR:
        return STANDS_FOR[word]
    return re.sub(r"(?<=//)HOST|(?<=:)PORT|(?<==)N\b|<name>", lambda found: STANDS_FOR[found[0]], word)


def parse(line: str, page: str) -> Iterator[Command]:
    """The commands of a line; assignments, comments and the shell's own words are left out."""
    for part in re.split(r"\s(?:&&|;)\s|;(?= )", re.sub(r"(^|\s)#\s.*$", "", line)):
        words = shlex.split(re.sub(r" \[([^]]*)\]", r" \1", part))
        while words and (re.match(r"^[A-Z_0-9]+=", words[0]) or words[0] in ("exec", "export")):
            words = words[1:]
        if not words or words[0] in ("set", "source", "cd", "echo", "exit", "case", "esac", "#"):
            continue
        known = NEEDS_ARGUMENT.get(" ".join(words[:-1]))
        filled = [known if known and word == "…" else _fill(word) for word in words]
        yield Command(tuple(word for word in filled if word), page)


def blocks(text: str) -> list[str]:
    """The lines of bash blocks; a line that goes on is one line."""
    found = re.findall(r"^```(?:bash|sh)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def spans(text: str) -> list[str]:
    """Code spans of prose and tables that begin with a program's name and have more to say."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))
    return [span for span in found if FIRST.match(span) and " " in span and not span.startswith("python -m …")]


def commands() -> list[Command]:
    found: dict[Command, None] = {}
    for page in PAGES:
        text, name = page.read_text(), page.relative_to(ROOT).as_posix()
        for line in [*blocks(text), *spans(text)]:
            found |= dict.fromkeys(parse(line, name))
    for script in SCRIPTS:
        text = script.read_text().replace("\\\n", " ")
        for line in re.findall(r"^\s*(?:exec )?((?:dvc|prefect|vllm|python) .*)$", text, re.MULTILINE):
            line = re.sub(r'"?\$\{MODEL:-[^}]*\}"?', "model", line)
            found |= dict.fromkeys(parse(line, script.relative_to(ROOT).as_posix()))
    return list(found)


FOUND = [*commands(), *(one for _, _, example in COMMANDS.values() for one in parse(example, "k2 --help"))]


def _module(command: Command) -> tuple[str, list[str]] | None:
    """The module of our own that a command runs, and its arguments."""
    first, *rest = command.words
    if first == "k2" and rest and not rest[0].startswith("-"):
        assert rest[0] in COMMANDS, f"{command.page}: {command.text}: no such command"
        return COMMANDS[rest[0]][0], rest[1:]
    if first == "python" and rest[:1] == ["-m"] and rest[1] not in ELSEWHERE:
        name = rest[1]
        folder = ROOT / name.replace(".", "/")
        assert folder.is_dir() or folder.with_suffix(".py").exists(), f"{command.page}: {command.text}: no module"
        return (f"{name}.__main__" if folder.is_dir() else name), rest[2:]
    return None


def test_there_are_commands_of_every_kind() -> None:
    assert len(FOUND) > 100
    assert {command.page for command in FOUND} >= GUIDES - {"docs/architecture.md"}


def test_our_programs_read_the_arguments_that_the_docs_give_them() -> None:
    asked = [found for command in FOUND if (found := _module(command))]
    with_arguments = [[module, words] for module, words in asked if words]
    for module, _ in asked:
        file = ROOT / f"{module.replace('.', '/')}.py"
        assert "def main(" in file.read_text(), module
    assert parser_problems(with_arguments) == {}
    assert len(with_arguments) > 20


def _check_pytest(words: list[str]) -> None:
    """Its files are there, and every word of `-k` stands in them."""
    paths = [ROOT / word for word in words if word.startswith("tests")] or [ROOT / "tests"]
    assert all(path.exists() for path in paths), words
    if "-k" in words:
        files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py"))]
        text = " ".join(f"{file} {file.read_text().lower()}" for file in files)
        for word in re.findall(r"\w+", words[words.index("-k") + 1].lower()):
            assert word in ("or", "and", "not") or word in text, f"-k {word}: no such test in {words}"


def _check_dvc(words: list[str]) -> None:
    from dvc.cli import parse_args

    parse_args([word for word in words if word])


def _check_make(words: list[str]) -> None:
    subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, check=True, env=checkout_env())


def _check_prefect(words: list[str]) -> None:
    """The sub-command's help names every option."""
    options = [word.split("=")[0] for word in words if word.startswith("--") and word != "--no-prompt"]
    names = [word for word in words if word != "--no-prompt"]
    plain = names[: next((k for k, word in enumerate(names) if word.startswith("-")), len(names))]
    if plain[0] == "work-pool":
        plain = plain[:2]  # its name follows
    shown = _prefect_help(tuple(plain))
    assert all(option in shown for option in options), (words, shown)


@functools.cache
def _prefect_help(words: tuple[str, ...]) -> str:
    env = checkout_env() | {"COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "prefect", *words, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


def _check_torchrun(words: list[str]) -> None:
    from torch.distributed.run import get_args_parser

    read = get_args_parser().parse_args(words)
    assert (ROOT / f"{read.training_script.replace('.', '/')}").is_dir()


def _check_deepspeed(words: list[str]) -> None:
    from deepspeed.launcher.runner import parse_args

    read = parse_args(words)
    assert (ROOT / read.hostfile).exists()
    assert (ROOT / read.user_script.replace(".", "/")).is_dir()


def _check_script(words: list[str]) -> None:
    text = (ROOT / words[0]).read_text()
    assert all(f"\n{word})" in text for word in words[1:]), words


def _nothing(words: list[str]) -> None:
    """Checked by what its page says; see ELSEWHERE."""


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "pytest": _check_pytest,
    "dvc": _check_dvc,
    "make": _check_make,
    "prefect": _check_prefect,
    "torchrun": _check_torchrun,
    "deepspeed": _check_deepspeed,
    "lint-imports": _nothing,
}


@pytest.mark.parametrize("command", FOUND, ids=lambda command: f"{command.page}: {command.text}")
def test_a_command_is_known(command: Command) -> None:
    first, *rest = command.words
    if first in CHECKS:
        CHECKS[first](rest)
    elif first.startswith("docs/cluster/"):
        _check_script(list(command.words))
    elif first in ("sbatch", "kubectl"):
        (file,) = [word for word in rest if "/" in word]
        assert (ROOT / file).exists()
    elif first == "pip":
        assert rest[0] == "install"
        for extra in re.findall(r"\.\[(\w+)\]", command.text):
            assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()
    elif first == "git":
        assert rest[0] == "clone" or (rest[0] == "checkout" and all((ROOT / file).exists() for file in rest[1:]))
    elif first == ".ci/run":
        assert (ROOT / first).exists()
    else:
        named = rest[1] if first == "python" and rest[:1] == ["-m"] else first
        assert named in ELSEWHERE or _module(command) or command.text in RUN, f"unknown command: {command.text}"


@pytest.mark.parametrize(
    "command", [one for one in FOUND if one.page in GUIDES], ids=lambda command: f"{command.page}: {command.text}"
)
def test_a_command_of_a_guide_is_run_by_a_test(command: Command) -> None:
    if command.text in RUN or command.words[0] in ELSEWHERE or command.words[:2] == ("git", "checkout"):
        return
    if command.words[0].startswith("docs/cluster/") and re.search(r"-(vllm|sglang)$", command.text):
        return
    proofs = [where for pattern, where in PROOF.items() if re.fullmatch(pattern, command.text)]
    assert proofs, f"no test runs: {command.text}"
    for where in proofs:
        file, _, test = where.partition("::")
        assert f"def {test}" in (ROOT / file).read_text(), where


def test_the_two_commands_of_the_readme_are_made_of_what_the_tests_run() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "dvc --wait-for-lock repro" in makefile
    assert "python -m pytest -n 4 --dist loadfile" in makefile
    assert "\n\t@lint-imports\n" in makefile
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("stage", yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
def test_a_stages_section_names_its_parameters_and_outputs(stage: str) -> None:
    page = (ROOT / "docs" / "stages.md").read_text()
    found = re.search(rf"^## {stage}\b.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/stages.md: no section {stage}"
    section = {"base": "upcycle"}.get(stage, stage)
    params = yaml.safe_load((ROOT / "params.yaml").read_text()).get(section, {})
    assert [key for key in params if f"`{key}`" not in found[0]] == []
    outs = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["outs"]
    assert [out for out in outs if out not in found[0] and not out.endswith("_card.md")] == []


@pytest.mark.slow
def test_what_runs_here_runs(tmp_path: Path, run_in: Run) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    for text in RUN:
        first, *rest = text.split()
        program = {"k2": [sys.executable, "-m", "flows.cli"], "python": [sys.executable]}.get(first, [first])
        done = run_in(checkout, *program, *rest)
        assert done.stdout.strip(), text
