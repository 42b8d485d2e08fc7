"""Official SWE-bench for real: two small images in the official layout, an agent in them, the package's own harness.

    apt-get install podman runc debootstrap      # Debian 12; root, or a user with slirp4netns and subordinate ids
    python -m venv .swebench && .swebench/bin/pip install swebench==5.0.2     # else the test makes such an environment
    pytest -m drivers tests/gym/benchmarks/test_swe_real.py
    podman image rm docker.io/k2-pipeline/swe-base:bookworm                   # what it leaves, for the next time

The base image is a fresh Debian by debootstrap, from the mirror that apt has. The image
`swebench/sweb.eval.x86_64.made_1776_kit-1` is as those of Python are: /testbed, /opt/miniconda3 with the environment
`testbed`, and a /root/.bashrc that activates it. Its conda is a shell function of ours under conda's names, which
changes what `conda activate` changes; no real conda is in it. `made_1776_tap-2` is as the images of other languages
are: no conda, programs on the image's PATH alone.
"""

import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.chat.protocol import ChatRequest, ChatResponse
from gym.benchmarks.base import Reply, Settings
from gym.benchmarks.open import open_benchmark
from gym.benchmarks.swe_container import container_copy
from gym.benchmarks.swe_engine import Engine, engines
from gym.benchmarks.swe_official import OfficialSwe
from gym.sandbox import SandboxError
from stages.evaluate.runner import run_benchmark
from tests.answering import Answering
from tests.conftest import ROOT
from tests.environments import environment

pytestmark = [pytest.mark.drivers, pytest.mark.timeout(3600)]
BASE = "docker.io/k2-pipeline/swe-base:bookworm"
LIBRARIES = ("py.py", "_pytest", *(f"{name}{end}" for name in ("pytest", "pluggy", "iniconfig", "packaging", "pygments")
             for end in ("", "-*.dist-info")))  # fmt: skip
ACTIVATE = """_CONDA_ROOT="/opt/miniconda3"
. "$_CONDA_ROOT/etc/profile.d/conda.sh" || return $?
conda activate "$@"
"""
CONDA = """conda() {
  [ "$1" = activate ] || { echo "conda: a stand-in: it only activates" >&2; return 1; }
  local name="${2:-base}" prefix=/opt/miniconda3
  [ "$name" = base ] || prefix="/opt/miniconda3/envs/$name"
  [ -d "$prefix" ] || { echo "EnvironmentNameNotFound: $name" >&2; return 1; }
  [ -z "${CONDA_PREFIX-}" ] || PATH="${PATH#"$CONDA_PREFIX/bin:"}"
  export PATH="$prefix/bin:$PATH" CONDA_PREFIX="$prefix" CONDA_DEFAULT_ENV="$name"
}
"""
KIT = {
    "kit.py": "def two():\n    return 3\n\n\ndef one():\n    return 1\n",
    "tests/test_kit.py": "from kit import one\n\n\ndef test_one():\n    assert one() == 1\n",
    ".gitignore": "*.cfg\n__pycache__/\n.pytest_cache/\n",
    "setup.cfg": "[tool:pytest]\npythonpath = .\n",
}
TAP = {
    "add.awk": "{ print $1 - $2 }\n",
    "tests/run": '#!/bin/sh\necho TAP version 13\n[ "$(echo 1 0 | awk -f add.awk)" = 1 ] && echo ok 1 - zero || echo not ok 1 - zero\n',  # noqa: E501
}
TEST_PATCHES = {
    "tests/test_kit.py": "@@ -1,5 +1,9 @@\n-from kit import one\n+from kit import one, two\n \n \n def test_one():\n"
    "     assert one() == 1\n+\n+\n+def test_two():\n+    assert two() == 2\n",
    "tests/run": '@@ -1,3 +1,4 @@\n #!/bin/sh\n echo TAP version 13\n [ "$(echo 1 0 | awk -f add.awk)" = 1 ] && '
    'echo ok 1 - zero || echo not ok 1 - zero\n+[ "$(echo 1 2 | awk -f add.awk)" = 3 ] && echo ok 2 - adds || '
    "echo not ok 2 - adds\n",
}
GOLD = {
    "kit.py": "@@ -1,4 +1,4 @@\n def two():\n-    return 3\n+    return 2\n \n \n",
    "add.awk": "@@ -1 +1 @@\n-{ print $1 - $2 }\n+{ print $1 + $2 }\n",
}
CONDA_LINES = ("source /opt/miniconda3/bin/activate", "conda activate testbed")


def _diff(path: str, hunk: str) -> str:
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{hunk}"


def _eval_script(base: str, tests: str, command: str, enter: tuple[str, ...]) -> str:
    """As the data set's own are."""
    reset = f"git checkout {base} {tests}"
    lines = ["#!/bin/bash", "set -uxo pipefail", *enter, "cd /testbed"]
    lines += ["git config --global --add safe.directory /testbed", "cd /testbed", "git status", "git show"]
    lines += [f"git -c core.fileMode=false diff {base}", *enter, reset, "git apply -v - <<'EOF_114329324912'"]
    lines += [_diff(tests, TEST_PATCHES[tests]), "EOF_114329324912", ": '>>>>> Start Test Output'", command]
    return "\n".join([*lines, ": '>>>>> End Test Output'", reset, ""])


def _repository(folder: Path, files: dict[str, str], fix: str) -> str:
    """A history as an image has it, and the fix on another branch, which an agent must not find; the base commit."""
    identity = {f"GIT_{who}_{what}": "made" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*words: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["git", *words], cwd=folder, input=stdin, text=True, capture_output=True, check=True,
            env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", **identity},
        )  # fmt: skip
        return done.stdout.strip()

    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755 if text.startswith("#!") else 0o644)
    git("init", "-q", "-b", "main")
    git("add", "-A", "-f")
    git("commit", "-qm", "base")
    base = git("rev-parse", "HEAD")
    git("commit", "-q", "--allow-empty", "-m", "SWE-bench")
    git("checkout", "-qb", "future")
    git("apply", "--index", "-", stdin=fix)
    git("commit", "-qm", "the fix")
    git("checkout", "-q", "main")
    return base


def _conda(folder: Path) -> None:
    """/opt/miniconda3 with an environment that has `python` and pytest, which the rest of the image has not."""
    place = folder / "envs/testbed"
    site = place / "lib/python3.11/site-packages"
    for made in (folder / "bin", folder / "etc/profile.d", place / "bin", site):
        made.mkdir(parents=True)
    (folder / "bin/activate").write_text(ACTIVATE)
    (folder / "etc/profile.d/conda.sh").write_text(CONDA)
    (place / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (place / "bin/python").symlink_to("/usr/bin/python3.11")
    (place / "bin/pytest").write_text(
        "#!/opt/miniconda3/envs/testbed/bin/python\nimport sys\n\nimport pytest\n\nsys.exit(pytest.main())\n"
    )
    (place / "bin/pytest").chmod(0o755)
    for name in LIBRARIES:
        for path in Path(sysconfig.get_path("purelib")).glob(name):
            (shutil.copy if path.is_file() else shutil.copytree)(path, site / path.name)


def _must(engine: Engine, *words: str) -> None:
    done = engine.run(*words, timeout=1800)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A podman that starts containers of the base image, which is made where it isn't there."""
    work = tmp_path_factory.mktemp("engine")
    try:
        found = [one for one in engines(work) if one.podman]
    except SandboxError as error:
        pytest.skip(str(error))
    if not found:
        pytest.skip("podman is not here")
    if found[0].run("image", "exists", BASE).returncode:
        if shutil.which("debootstrap") is None:
            pytest.skip("debootstrap is not here")
        sources = "".join(path.read_text() for path in Path("/etc/apt").glob("sources.list*/*") if path.is_file())
        mirror = re.search(r"https?://\S+/debian(?=\s)", sources)
        subprocess.run(
            ["debootstrap", "--variant=minbase", "--include=git,python3", "bookworm", work / "root",
             mirror[0] if mirror else "http://deb.debian.org/debian"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        subprocess.run(["tar", "-C", work / "root", "-cf", work / "root.tar", "."], check=True)
        _must(found[0], "import", "-q", str(work / "root.tar"), BASE)
        shutil.rmtree(work / "root")
        (work / "root.tar").unlink()
    reasons = [one.problem(BASE) for one in found]
    working = [one for one, reason in zip(found, reasons) if not reason]
    if not working:
        pytest.skip("; ".join(reasons))
    return working[0]


@pytest.fixture(scope="module")
def rows(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    made = []
    for name, files, broken, tests, command, parser, enter in (
        ("made__kit-1", KIT, "kit.py", "tests/test_kit.py", "pytest -rA tests/test_kit.py", "pytest", CONDA_LINES),
        ("made__tap-2", TAP, "add.awk", "tests/run", "tap", "tap", ()),
    ):
        context = tmp_path_factory.mktemp(name)
        gold = _diff(broken, GOLD[broken])
        (context / "testbed").mkdir()
        base = _repository(context / "testbed", files, gold)
        recipe = [f"FROM {BASE}", "COPY testbed /testbed", "WORKDIR /testbed/"]
        if enter:
            _conda(context / "miniconda3")
            line = "source /opt/miniconda3/etc/profile.d/conda.sh && conda activate testbed\n"
            (context / "bashrc").write_text(line)
            recipe += ["COPY miniconda3 /opt/miniconda3", "COPY bashrc /root/.bashrc"]
            recipe += ["ENV PATH=/opt/miniconda3/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        else:
            (context / "tap").write_text("#!/bin/sh\nexec tests/run\n")
            (context / "tap").chmod(0o755)
            recipe += ["COPY tap /usr/local/tap/bin/tap"]
            recipe += ["ENV PATH=/usr/local/tap/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        (context / "Dockerfile").write_text("\n".join([*recipe, ""]))
        image = f"swebench/sweb.eval.x86_64.{name.replace('__', '_1776_')}:latest"
        _must(engine, "build", "-q", "--pull=never", f"--tag=docker.io/{image}", str(context))
        hidden, kept = ("tests/test_kit.py::test_two", "tests/test_kit.py::test_one") if enter else ("- adds", "- zero")
        made.append({
            "instance_id": name, "repo": "made/" + name[6:9], "base_commit": base, "patch": gold,
            "test_patch": _diff(tests, TEST_PATCHES[tests]), "problem_statement": f"{broken} is wrong: repair it.",
            "hints_text": "", "created_at": "", "version": "1", "image": image, "FAIL_TO_PASS": json.dumps([hidden]),
            "PASS_TO_PASS": json.dumps([kept]), "log_parser": f"parse_log_{parser}", "eval_type": "pass_and_fail",
            "eval_script": _eval_script(base, tests, command, enter),
        })  # fmt: skip
    yield made
    for row in made:
        engine.run("image", "rm", "-f", f"docker.io/{row['image']}")


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the package `swebench` and all that it needs."""
    own = ROOT / ".swebench"
    if own.exists():
        return own
    place = tmp_path_factory.mktemp("swebench") / "environment"
    environment(place, "swebench==5.0.2", over_ours=True)
    return place


@pytest.fixture
def bench(rows: list[dict[str, Any]], harness: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfficialSwe:
    data = tmp_path / "made.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / ".swebench").symlink_to(harness)
    monkeypatch.chdir(tmp_path)
    opened = open_benchmark("swe_bench_verified", data)
    assert isinstance(opened, OfficialSwe)
    return opened


def test_commands_run_as_in_the_official_harness(engine: Engine, rows: list[dict[str, Any]]) -> None:
    with container_copy(engine, rows[0]["image"]) as copy:
        said = copy.bash("which python; echo $CONDA_DEFAULT_ENV; pwd; id -un; python -c 'import pytest, kit'")
        assert said == "/opt/miniconda3/envs/testbed/bin/python\ntestbed\n/testbed\nroot\n[exit status 0]"
        assert copy.bash("conda activate base && echo $CONDA_PREFIX") == "/opt/miniconda3\n[exit status 0]"
        assert copy.bash("git log --all --oneline | wc -l; git branch --all") == "1\n* master\n[exit status 0]"
        assert copy.bash("git grep -c 'return 2' $(git rev-list --all)") == "[exit status 1]"
        assert copy.bash("ls /sys/class/net; exit 3") == "lo\n[exit status 3]"
        reach = "import socket; socket.create_connection(('1.1.1.1', 53), 3)"
        assert "Network is unreachable\n[exit status 1]" in copy.bash(f'python -c "{reach}"')
        assert copy.bash("sleep 300 & echo left") == "left\n[exit status 0]"  # and doesn't wait
        assert copy.bash("cat <<E\n$# $command\nE\nnone || if").endswith("[exit status 2]")
        assert copy.bash("cat <<E\n$# $command\nE\nfalse") == "0\n[exit status 1]"
        endless = copy.bash("yes")
        assert "characters cut]" in endless and not endless.endswith("[exit status 0]")
        for command in ("echo x >> setup.cfg", "git config --global color.ui always", "git commit -qam mine",
                        "git config --global diff.noprefix true", "printf '\\0\\377' > bytes"):  # fmt: skip
            copy.bash(f"git config --global user.email me@here; {command}")
        patch = copy.patch()
        assert patch.startswith("diff --git a/bytes b/bytes\n") and "\x1b" not in patch
        assert "+++ b/setup.cfg" in patch and "GIT binary patch" in patch
    with container_copy(engine, rows[1]["image"]) as copy:
        usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # the image's and the login shell's own
        assert copy.bash("tap; echo $PATH") == (
            f"TAP version 13\nok 1 - zero\n/usr/local/tap/bin:{usual}:{usual}\n[exit status 0]"
        )
        assert copy.patch() == ""
        engine.run("rm", "-f", copy.container)
        for use in (copy.patch, lambda: copy.bash("true")):
            with pytest.raises(SandboxError, match="the container is gone"):
                use()
    assert "swe-" not in engine.run("ps", "--all", "--format", "{{.Names}}").stdout


def test_gold_is_resolved_and_a_patch_that_does_not_apply_is_not(bench: OfficialSwe) -> None:
    for sample in bench.items():
        gold = bench.grade(sample, bench.gold_reply(sample))
        assert (gold.result.score, gold.result.reason) == (1.0, "resolved")
    sample = bench.items()[0]
    other = bench.grade(sample, Reply(bench.gold_reply(sample).text.replace("return 3", "return 5")))
    assert (other.result.score, other.result.reason) == (0.0, "the patch does not apply")
    reports = [json.loads(path.read_text()) for path in bench.work.glob("logs/run_evaluation/*/*/*/report.json")]
    statuses = {name: report["tests_status"] for found in reports for name, report in found.items()}
    assert statuses["made__tap-2"]["FAIL_TO_PASS"] == {"success": ["- adds"], "failure": []}
    assert statuses["made__kit-1"]["PASS_TO_PASS"] == {"success": ["tests/test_kit.py::test_one"], "failure": []}


def _call(name: str, **arguments: str) -> ChatResponse:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return ChatResponse("", tool_calls=({"id": "same", "type": "function", "function": function},))


def _agent(repairs: bool) -> Callable[[ChatRequest], ChatResponse]:
    def answer(request: ChatRequest) -> ChatResponse:
        step = sum(message["role"] == "assistant" for message in request.messages)
        python = "kit.py" in str(request.messages[1]["content"])
        if step == 0:
            return _call("bash", command="pytest -q tests" if python else "tap")
        if step == 1:
            assert ("1 passed" if python else "ok 1 - zero") in str(request.messages[-1]["content"])
            path, old, new = ("kit.py", "return 3", "return 2") if python else ("add.awk", "$1 - $2", "$1 + $2")
            return _call("edit", path=path, old_str=old, new_str=new if repairs else f"{old}\n")
        return ChatResponse("Done.")

    return answer


@pytest.mark.parametrize("repairs", [True, False])
def test_an_agent_s_patch_is_graded_by_the_package(bench: OfficialSwe, repairs: bool) -> None:
    rows = run_benchmark(bench, Answering(_agent(repairs)), Settings(1, 1.0, 1.0, 100), seed=1)
    assert [row["score"] for row in rows] == [float(repairs)] * 2, rows
    assert [row["reason"] for row in rows] == ["resolved" if repairs else "not resolved"] * 2
    assert all(row["extracted"].startswith("diff --git a/") for row in rows)
    left = subprocess.run(["podman", "ps", "--all", "--format", "{{.Names}}"], capture_output=True, text=True).stdout
    assert "swe-" not in left and "sweb.eval" not in left
