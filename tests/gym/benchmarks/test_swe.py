"""SWE-bench: gold patches are resolved, nothing else is; the rule is the official one; agents of any chat target."""

import importlib
import json
import random
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.chat.protocol import ChatRequest, ChatResponse
from gym.benchmarks.base import DataError, Reply, package_folder
from gym.benchmarks.open import open_benchmark
from gym.benchmarks.swe_bench import RepairsMultilingual, best_by_verifier, resolved
from gym.benchmarks.swe_container import container_copy
from gym.benchmarks.swe_engine import Engine, engines, working
from gym.benchmarks.swe_instances import apply_patch, run_tests
from gym.sandbox import LOCAL, Box, SandboxError, open_sandbox
from gym.sandbox.pool import Level
from gym.sandbox.workspace import BASH, Workspace
from gym.verifiers.result import Status
from stages.evaluate.runner import run_benchmark
from stages.evaluate.scores import metrics
from tests.answering import Answering


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with LOCAL.open(workers=1) as found:
        yield found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> RepairsMultilingual:
    """The repositories in C: no package of npm is stored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gym.benchmarks.swe_bench.FOLDER", tmp_path_factory.mktemp("nothing"))
        try:
            return RepairsMultilingual(count=1)
        except DataError as error:
            pytest.skip(str(error))  # no gcc, or no namespaces here


def test_gold_patches_are_resolved_and_nothing_else_is(bench: RepairsMultilingual, box: Box) -> None:
    bench.box = box
    assert bench.manifest.name == "builtin-repairs-c"
    for sample in bench.items():
        one = bench.instances[sample.id]
        gold = bench.grade(sample, bench.gold_reply(sample))
        assert (gold.result.score, gold.parts["f2p"], gold.parts["p2p"]) == (1.0, 1.0, 1.0)
        assert bench.grade_patch(sample.id, "").result.status is Status.NO_ANSWER
        assert bench.grade_patch(sample.id, one.patch.replace("\n-", "\n-x")).result.reason.endswith("not apply")
        cheat = "diff --git a/tests/x.sh b/tests/x.sh\nnew file mode 100644\n--- /dev/null\n+++ b/tests/x.sh\n"
        cheated = bench.grade_patch(sample.id, f"{cheat}@@ -0,0 +1 @@\n+exit 0\n")
        assert cheated.result.score == 0.0
        assert cheated.parts.get("verifier", 0.0) == 0.0
        broken = run_tests(box, one, one.files)
        assert {test for test, status in broken.items() if status != "PASSED"} == set(one.fail_to_pass)
        assert set(one.fail_to_pass) | set(one.pass_to_pass) == set(one.expected)
        assert Workspace(one.files, box).bash(one.command).endswith("[exit status 1]")
        shown = one.files["tests/check.c"].decode()
        assert [test for test in one.pass_to_pass if test not in shown]


def test_patches_stay_in_their_folder() -> None:
    files = {"a.txt": b"one\n"}
    outside = "diff --git a/../x b/../x\nnew file mode 100644\n--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+bad\n"
    assert apply_patch(files, outside) is None
    link = "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n"
    assert apply_patch(files, link + "\\ No newline at end of file\n") == files
    fuzzy = "--- a/a.txt\n+++ b/a.txt\n@@ -5,1 +5,1 @@\n-one\n+two\n"
    assert apply_patch(files, fuzzy) == {"a.txt": b"two\n"}
    assert apply_patch(files, "no patch") is None


def _call(name: str, **arguments: str) -> ChatResponse:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return ChatResponse("", tool_calls=({"id": "same", "type": "function", "function": function},))


def _solver(bench: RepairsMultilingual, wrong: bool = False) -> Callable[[ChatRequest], ChatResponse]:
    def answer(request: ChatRequest) -> ChatResponse:
        text = str(request.messages[1]["content"])
        one = next(one for one in bench.instances.values() if text.startswith(one.statement))
        step = sum(message["role"] == "assistant" for message in request.messages)
        assert {tool["function"]["name"] for tool in request.tools} == {"bash", "view", "search_dir", "edit"}
        if step == 0:
            return _call("bash", command=one.command)
        if step == 1:
            assert "[exit status 1]" in str(request.messages[-1]["content"])
            fixed = apply_patch(one.files, one.patch)
            assert fixed is not None
            old, new = one.files[one.source].decode(), fixed[one.source].decode()
            return _call("edit", path=one.source, old_str=old, new_str=old + "\n" if wrong else new)
        return ChatResponse("Done.") if step > 2 else _call("bash", command=one.command)

    return answer


def test_an_agent_repairs_in_a_copy_and_is_judged_by_its_patch(bench: RepairsMultilingual) -> None:
    settings = bench.presets["k2"]
    rows = run_benchmark(bench, Answering(_solver(bench)), settings, seed=1)
    assert [row["score"] for row in rows] == [1.0] * len(rows)
    assert all(row["extracted"].startswith("diff --git") for row in rows)
    assert all(json.loads(row["parts"])["steps"] == 4 for row in rows)
    rows = run_benchmark(bench, Answering(_solver(bench, wrong=True)), settings, seed=1)
    assert {row["score"] for row in rows} == {0.0}
    idle = run_benchmark(bench, Answering(lambda request: ChatResponse("Done.")), settings, seed=1)
    assert {row["status"] for row in idle} == {"no_answer"}
    few = run_benchmark(bench, Answering(_solver(bench)), replace(settings, max_steps=1), seed=1)
    assert {row["reason"] for row in few} == {"empty patch"}
    # A context that is full after the edit ends the run, and the patch made so far counts.
    full = run_benchmark(
        bench, Answering(_solver(bench), fits=lambda request: len(request.messages) < 6), settings, seed=1
    )
    assert {row["score"] for row in full} == {1.0}
    assert all(row["reason"].startswith("context full; F2P") for row in full)


def test_best_of_n_by_a_verifier_is_not_pass_at_n(bench: RepairsMultilingual) -> None:
    rights = [_solver(bench), _solver(bench, wrong=True)]

    def answer(request: ChatRequest) -> ChatResponse:
        return rights[int(request.seed or 0) % 2](request)

    rows = run_benchmark(bench, Answering(answer), replace(bench.presets["k2"], repeats=4), seed=3)
    found = metrics(bench, rows, 1)
    name = bench.name
    assert found[f"{name}_best_of_n_verifier"] >= found[name]
    assert found[f"{name}_pass_at_4"] >= found[name]
    made = [{"task_id": "a", "score": score, "parts": {"verifier": vote}} for score, vote in ((0.0, 0.9), (1.0, 0.5))]
    assert best_by_verifier(made) == {"best_of_n_verifier": 0.0}  # a verifier that is wrong; pass@2 would say 1
    assert best_by_verifier(made[:1]) == {}


def test_a_sandbox_without_programs_has_no_multilingual_set(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"namespaces"}

    def opened(level: Level, *rest: Any) -> AbstractContextManager[Box]:
        if level in missing:
            raise SandboxError(f"level {level}: a layer is missing")
        return open_sandbox(level, *rest)

    monkeypatch.setattr("gym.sandbox.backend.open_sandbox", opened)
    with pytest.raises(DataError, match="needs gcc or node, and a sandbox of level namespaces"):
        RepairsMultilingual(count=1)
    missing.add("fork")
    with pytest.raises(DataError, match="level fork: a layer is missing"):
        RepairsMultilingual(count=1)


def test_a_sandbox_without_a_compiler_grades_nothing(
    bench: RepairsMultilingual, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gym.benchmarks.swe_bench.has_program", lambda box, name: name != "gcc")
    with pytest.raises(SandboxError, match=r"^repairs_multilingual: the sandbox \(fork\) has no gcc$"):
        run_benchmark(bench, Answering(_solver(bench)), bench.presets["k2"], seed=1)


LOGS = {
    "parse_log_pytest": (
        "PASSED tests/test_a.py::test_one\nFAILED tests/test_a.py::test_two - AssertionError: 1\n"
        "SKIPPED [1] tests/test_a.py:3: no\nXFAIL tests/test_a.py::test_x[1-2] - reason\n"
        "ERROR tests/test_a.py::test_e\nPASSED tests/test_a.py::test_p[log(photon flux)]"
    ),
    "parse_log_django": (
        "test_ok (app.tests.T) ... ok\ntest_bad (app.tests.T) ... FAIL\ntest_skip (app.tests.T) ... skipped 'no'\n"
        "test_err (app.tests.T) ... ERROR"
    ),
    "parse_log_tap": "TAP version 13\nok 1 - adds\nnot ok 2 - subtracts\nok 3 - divides # SKIP\n1..3\n# tests 3",
    "parse_log_gotest": "--- PASS: TestAdd (0.00s)\n--- FAIL: TestSub (0.01s)\n--- SKIP: TestMul (0.00s)",
    "parse_log_cargo": "test adds ... ok\ntest subtracts ... FAILED\ntest skips ... ignored",
    "parse_log_googletest": "[       OK ] Kit.Add (0 ms)\n[  FAILED  ] Kit.Sub (1 ms)",
    "parse_log_redis": "[ok]: sets a key (3 ms)\n[err]: gets a key in tests/unit/x.tcl\n[skip]: scans",
    "parse_log_karma": "nothing that this parser knows",
}


@pytest.fixture
def grading(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The official grader, without the harness's own imports (docker, modal)."""
    folder = package_folder("swebench")
    if folder is None:
        pytest.skip("the package swebench is not installed")
    parent = types.ModuleType("swebench.harness")
    parent.__path__ = [str(folder / "harness")]
    monkeypatch.setitem(sys.modules, "swebench.harness", parent)
    return importlib.import_module("swebench.harness.grading")


def _official(grading: Any, statuses: dict[str, str], f2p: list[str], p2p: list[str], fail_only: bool) -> bool:
    kind = grading.EvalType.FAIL_ONLY if fail_only else grading.EvalType.PASS_AND_FAIL
    report = grading.get_eval_tests_report(statuses, {"FAIL_TO_PASS": f2p, "PASS_TO_PASS": p2p}, eval_type=kind)
    return bool(grading.get_resolution_status(report) == grading.ResolvedStatus.FULL.value)


def test_our_rule_is_the_package_s_on_logs_and_on_any_statuses(grading: Any, tmp_path: Path) -> None:
    verdicts = set()
    rng = random.Random(5)
    for parser, text in LOGS.items():
        log = tmp_path / "test_output.txt"
        log.write_text(f"{grading.START_TEST_OUTPUT}\n{text}\n{grading.END_TEST_OUTPUT}\n")
        spec = types.SimpleNamespace(log_parser=parser, repo="made/made", version="1", instance_id="made")
        statuses, ran = grading.get_logs_eval(spec, str(log))
        assert ran is bool(statuses)
        names = [*statuses, "absent", *(name[:-3] for name in statuses if "[" in name)]
        for _ in range(60):
            chosen = rng.sample(names, min(len(names), rng.randint(1, 3)))
            cut = rng.randint(0, len(chosen))
            for fail_only in (False, True):
                ours = resolved(statuses, chosen[:cut], chosen[cut:], fail_only=fail_only)
                assert ours is _official(grading, statuses, chosen[:cut], chosen[cut:], fail_only), (parser, chosen)
                verdicts.add(ours)
    assert verdicts == {True, False}
    kinds = ["PASSED", "FAILED", "SKIPPED", "ERROR", "XFAIL"]
    names = ["t[a-b]", "t[a-c]", "t[a", "u", "v[1]", "v[", "w"]
    for _ in range(2000):
        statuses = {name: rng.choice(kinds) for name in rng.sample(names, rng.randint(0, 6))}
        f2p, p2p = rng.sample(names, rng.randint(0, 2)), rng.sample(names, rng.randint(0, 2))
        for fail_only in (False, True):
            ours = resolved(statuses, f2p, p2p, fail_only=fail_only)
            assert ours is _official(grading, statuses, f2p, p2p, fail_only), (statuses, f2p, p2p)


ROW = {
    "instance_id": "made__made-1", "repo": "made/made", "base_commit": "0", "patch": "", "test_patch": "",
    "problem_statement": "two() must give 2", "hints_text": "", "created_at": "", "version": "1", "image": "made:1",
    "FAIL_TO_PASS": '["two"]', "PASS_TO_PASS": "[]", "log_parser": "parse_log_pytest", "eval_type": "pass_and_fail",
    "eval_script": "python check.py",
}  # fmt: skip
GOLD = "--- a/kit.py\n+++ b/kit.py\n@@ -1,2 +1,2 @@\n def two():\n-    return 3\n+    return 2\n"
# Of a container it has a folder; where bash looks at /testbed, it looks there.
ENGINE = f"""#!{sys.executable}
import os, shutil, subprocess, sys, time
here, args = os.path.dirname(os.path.abspath(__file__)), sys.argv[1:]
name = os.path.basename(sys.argv[0])
open(here + "/log", "a").write(name + " " + " ".join(args[:8]) + chr(10))
if os.environ.get(name.upper() + "_FAILS") == args[0] and not os.environ.get("CONTAINERS_CONF"):
    sys.exit(args[0] + ": no " + name)
if args[0] == "run" and args[-1] == "true":
    assert "--rm" in args
elif args[0] == "run":
    assert "--network=none" in args
    container = next(a.split("=")[1] for a in args if a.startswith("--name="))
    shutil.copytree(here + "/image", here + "/" + container)
elif args[0] == "exec":
    assert args[2] == "--workdir=/testbed"
    folder = here + "/" + args[3]
    if not os.path.isdir(folder):
        sys.exit("no such container")
    words = [word.replace("/testbed", folder).replace("/opt/miniconda3", here + "/conda") for word in args[4:]]
    sys.exit(subprocess.run(words, cwd=folder).returncode)
elif args[0] == "rm":
    shutil.rmtree(here + "/" + args[2])
elif args[0] == "system":
    open(args[-1].removeprefix("unix://"), "w")
    time.sleep(60)
elif args[0] == "--version":
    print(os.environ.get("VERSION", name + " version 5"))
elif args[0] == "image":
    sys.exit(args[2] != "made:1")
"""
HARNESS = f"""#!{sys.executable}
import json, os, shutil, subprocess, sys, tempfile
args = sys.argv[1:]
assert args[:2] == ["-m", "swebench.harness.run_evaluation"]
open(os.environ["IMAGE"] + "/../log", "a").write("harness " + os.environ.get("DOCKER_HOST", "") + chr(10))
def value(flag):
    return args[args.index(flag) + 1]
row = json.loads(open(value("-d")).readline())
one = json.loads(open(value("-p")).readline())
if "crash" in one["model_patch"]:
    sys.exit("docker.errors.ImageNotFound: made:1")
place = "logs/run_evaluation/" + value("-id") + "/" + one["model_name_or_path"] + "/" + row["instance_id"]
os.makedirs(place)
with tempfile.TemporaryDirectory() as folder:
    shutil.copytree(os.environ["IMAGE"], folder, dirs_exist_ok=True)
    applied = subprocess.run(["git", "apply", "-"], cwd=folder, input=one["model_patch"].encode()).returncode == 0
    good = applied and subprocess.run([sys.executable, "-c", "import kit; assert kit.two() == 2"], cwd=folder).returncode == 0
if not applied:
    open(place + "/run_instance.log", "w").write("2026 - INFO - >>>>> Patch Apply Failed:")
    sys.exit()
json.dump({{row["instance_id"]: {{"resolved": good, "patch_successfully_applied": applied}}}}, open(place + "/report.json", "w"))
"""  # noqa: E501


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for docker, podman and the harness's Python, and an instance in the official schema."""
    image = tmp_path / "bin/image"
    image.mkdir(parents=True)
    (image / "kit.py").write_text("def two():\n    return 3\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"], ["branch", "future"]):
        subprocess.run([*git, *words], cwd=image, check=True)
    programs = {"bin/docker": ENGINE, "bin/podman": ENGINE, ".swebench/bin/python": HARNESS}
    for path, text in ((tmp_path / place, text) for place, text in programs.items()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    data = tmp_path / "made.jsonl"
    data.write_text(json.dumps({**ROW, "patch": GOLD}) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setenv("IMAGE", str(image))
    return data


def test_official_instances_by_docker_and_the_official_harness(official: Path) -> None:
    bench = open_benchmark("swe_bench_verified", official)
    assert bench.manifest.name.startswith("swe_bench_verified@")
    (sample,) = bench.items()
    assert bench.grade(sample, bench.gold_reply(sample)).result.score == 1.0
    assert bench.grade(sample, Reply("")).result.status is Status.NO_ANSWER
    assert bench.grade(sample, Reply(GOLD.replace("return 2", "return 4"))).result.score == 0.0
    other = bench.grade(sample, Reply(GOLD.replace("return 3", "return 5"))).result
    assert (other.score, other.reason) == (0.0, "the patch does not apply")
    crashed = bench.grade(sample, Reply("crash")).result
    assert (crashed.score, crashed.status) == (None, Status.VERIFIER_ERROR)
    assert "ImageNotFound" in crashed.reason

    seen = []

    def answer(request: ChatRequest) -> ChatResponse:
        seen.append(str(request.messages[-1]["content"]))
        step = sum(message["role"] == "assistant" for message in request.messages)
        return [
            _call("bash",
                  command="git branch --all; git log --all --oneline | wc -l; "
                          "python3 -c 'from kit import *; print(two())'; exit 3"),
            _call("view", path="kit.py"),
            _call("edit", path="kit.py", old_str="return 9", new_str=""),
            _call("edit", path="kit.py", old_str="return 3", new_str="return 2"),
            _call("edit", path="new.txt", old_str="", new_str="x\n"),
            ChatResponse("Done."),
        ][step]  # fmt: skip

    (row,) = run_benchmark(bench, Answering(answer), bench.presets["k2-thinking"].__class__(1, 1.0, 1.0, 100), seed=1)
    assert row["score"] == 1.0, row
    assert "+    return 2" in row["extracted"] and "new.txt" in row["extracted"]
    assert "future" not in seen[1] and "[exit status 3]" in seen[1] and "\n1\n" in seen[1]
    assert seen[2] == "1\tdef two():\n2\t    return 3"
    assert "occurs 0 times" in seen[3]
    assert not [path for path in official.parent.glob("bin/swe-*")]  # the container is gone


def test_a_container_is_looked_at_as_a_working_copy_is(official: Path) -> None:
    image = official.parent / "bin/image"
    (image / "lib").mkdir()
    (image / "lib/long.py").write_bytes(b"".join(b"x = %d\r\n" % number for number in range(1, 251)))
    (image / "lib/wide.txt").write_text("q" * 900 + "\n")
    (image / "empty.txt").touch()
    files = {
        path.relative_to(image).as_posix(): path.read_bytes()
        for path in image.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
    with LOCAL.open(workers=1) as box, container_copy(*_docker(official)) as container:
        copy = Workspace(files, box)
        assert container.tools() == [BASH, *copy.tools()[1:]]
        for name, arguments in (
            ("view", {"path": "lib/long.py"}),
            ("view", {"path": "lib/long.py", "start": 3, "end": 5}),
            ("view", {"path": "lib/long.py", "start": 3, "end": 240}),
            ("view", {"path": "/workspace/lib/long.py", "start": 249, "end": 300}),
            ("view", {"path": "lib/long.py", "start": 251}),
            ("view", {"path": "empty.txt"}),
            ("view", {"path": "."}),
            ("view", {"path": "lib"}),
            ("view", {"path": "none.py"}),
            ("search_dir", {"pattern": r"def \w+\("}),
            ("search_dir", {"pattern": r"x = (?:1|2)\d\r?$", "path": "lib"}),
            ("search_dir", {"pattern": "x = ", "path": "lib/long.py"}),
            ("search_dir", {"pattern": "q", "path": "/workspace/lib/"}),
            ("search_dir", {"pattern": "-x 'nowhere'"}),
            ("search_dir", {"pattern": "x", "path": "none"}),
        ):
            assert container.call(name, arguments) == copy.call(name, arguments), (name, arguments)
        assert container.call("view", {"path": "/testbed/kit.py"}) == copy.call("view", {"path": "kit.py"})
        text, error = container.call("search_dir", {"pattern": "("})
        assert error and text.startswith("error: invalid pattern: ")


def _docker(official: Path) -> tuple[Engine, str]:
    (engine, *_) = engines(official.parent)
    return engine, "made:1"


CONDA = """conda() { export CONDA_DEFAULT_ENV="$2" PATH="/env/$2:$PATH"; }
conda activate "${1-base}"
"""


def test_commands_run_in_a_login_shell_with_the_image_s_environment(
    official: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGES_OWN", "kept")
    (official.parent / ".bash_profile").write_text("echo noise >&2\nPATH=/login:/usr/bin:/bin\n")
    with container_copy(*_docker(official)) as copy:
        own = f"{official.parent}/bin:/usr/local/bin:/usr/bin:/bin"
        said = copy.bash('echo "$PATH $IMAGES_OWN $# ${command-none} ${path-none} $(basename $PWD | cut -c1-4)"')
        assert said == f"{own}:/login:/usr/bin:/bin kept 0 none none swe-\n[exit status 0]"
        (official.parent / "bin/conda/bin").mkdir(parents=True)
        (official.parent / "bin/conda/bin/activate").write_text(CONDA)
        said = copy.bash('echo "$PATH $CONDA_DEFAULT_ENV"; conda activate other; echo $CONDA_DEFAULT_ENV')
        assert said == f"/env/testbed:/env/base:{own} testbed\nother\n[exit status 0]"
        (official.parent / ".bash_profile").write_text("export CONDA_DEFAULT_ENV=testbed PATH=/by/bashrc:$PATH\n")
        assert copy.bash("echo ${PATH%%:*}; exit 4") == "/by/bashrc\n[exit status 4]"
        assert copy.bash("sleep 60 & echo left; none").endswith("none: command not found\n[exit status 127]")
        assert copy.bash("if").endswith("[exit status 2]")
        long = copy.bash("head -c 20000 /dev/zero | tr '\\0' x")
        assert long == "x" * 16_000 + "[4000 characters cut]\n[exit status 0]"


def test_a_patch_is_the_difference_to_the_base_whatever_the_agent_did_to_git(official: Path) -> None:
    image = official.parent / "bin/image"
    (image / ".gitignore").write_text("*.cfg\n")
    (image / "kept.cfg").write_text("a = 1\n")
    (image / "gone.cfg").write_text("a = 1\n")
    subprocess.run(["git", "add", "-f", "kept.cfg", "gone.cfg"], cwd=image, check=True)
    (image / "gone.cfg").unlink()
    engine, name = _docker(official)
    with container_copy(engine, name) as copy:
        assert copy.patch() == ""
        identity = "git config --global user.email a@localhost; git config --global user.name a"
        copy.bash(f"{identity}; echo b = 2 >> kept.cfg; git commit -qam mine; git config --global diff.noprefix true")
        copy.bash("git config --global color.ui always; echo new > new.cfg; printf '\\0' > bytes")
        patch = copy.patch()
        assert "--- a/kept.cfg\n+++ b/kept.cfg\n@@ -1 +1,2 @@\n a = 1\n+b = 2\n" in patch
        assert "GIT binary patch" in patch and "new.cfg" not in patch and "gone" not in patch
        copy.bash("rm -rf .git")
        assert copy.patch() == ""
        engine.run("rm", "-f", copy.container)
        for use in (copy.patch, lambda: copy.bash("true")):
            with pytest.raises(SandboxError, match="the container is gone: no such container"):
                use()
        (official.parent / "bin" / copy.container).mkdir()  # for what removes it


def test_the_engine_is_the_first_that_starts_a_container(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = official.parent / "bin/log"
    bench = open_benchmark("swe_bench_verified", official)
    (sample,) = bench.items()
    monkeypatch.setenv("DOCKER_FAILS", "run")
    monkeypatch.setenv("PODMAN_FAILS", "run")  # unless it has settings of ours
    assert bench.grade(sample, bench.gold_reply(sample)).result.score == 1.0
    lines = log.read_text().splitlines()
    starts = [line for line in lines if " run " in line]
    assert [line.split()[0] for line in starts] == ["docker", "podman", "podman"]
    assert [line for line in lines if line.startswith("podman system service")]
    assert lines[-1].startswith("harness unix:///") and lines[-1].endswith("/docker.sock")
    settings = (bench.work / "containers.conf").read_text()  # type: ignore[attr-defined]
    assert "nofile=" in settings and 'cgroup_manager = "cgroupfs"' in settings
    assert bench.grade(sample, bench.gold_reply(sample)).result.score == 1.0
    assert len([line for line in log.read_text().splitlines() if " run " in line]) == 3  # the choice stays
    monkeypatch.setenv("DOCKER_FAILS", "info")
    assert [str(one) for one in engines(official.parent)] == ["podman", "podman with settings of ours"]
    monkeypatch.delenv("DOCKER_FAILS")
    monkeypatch.setenv("VERSION", "podman version 4.3.1")  # Debian's podman-docker
    assert [one.podman for one in engines(official.parent)] == [True, True]
    podman = engines(official.parent)[0]
    names = ("made:1", "swebench/x:1", "docker.io/swebench/x:1", "localhost/x", "host:5000/x")
    assert [podman.name(name) for name in names] == ["made:1", "docker.io/swebench/x:1", *names[2:]]
    with pytest.raises(SandboxError, match=r"^made:1: podman: run: no podman$"):
        working([podman], "made:1")
    monkeypatch.setenv("PODMAN_FAILS", "system")
    with pytest.raises(SandboxError, match="podman system service: system: no podman"), podman.socket():
        pass


def test_official_instances_need_an_engine_the_harness_and_the_schema(
    official: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (official.parent / ".swebench/bin/python").unlink()
    if package_folder("modal") is None:
        with pytest.raises(DataError, match=r"pip install swebench==5.0.2"):
            open_benchmark("swe_bench_multilingual", official)
    monkeypatch.setenv("DOCKER_FAILS", "info")
    monkeypatch.setenv("PODMAN_FAILS", "info")
    with pytest.raises(DataError, match=r"need docker or podman: docker: info: no docker; podman: info: no podman$"):
        open_benchmark("swe_bench_verified", official)
    monkeypatch.setenv("PATH", str(official.parent))
    with pytest.raises(DataError, match="need docker or podman: neither program is on PATH"):
        open_benchmark("swe_bench_verified", official)
    official.write_text(json.dumps({k: v for k, v in ROW.items() if k != "eval_script"}) + "\n")
    with pytest.raises(DataError, match="row 0: no field 'eval_script'"):
        open_benchmark("swe_bench_verified", official)
    with pytest.raises(DataError, match="hf download SWE-bench/SWE-bench_Verified "):
        open_benchmark("swe_bench_verified")
