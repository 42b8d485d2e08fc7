"""Each checkout's own Prefect server: shared, ended with its last user, never mistaken for something else."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows.server import is_mlflow, is_prefect, local_server
from stages.harness.errors import InputError
from tests.conftest import ROOT, checkout_env, make_checkout
from tests.databases import prefect_database

USER = """
import sys
from flows import environment
environment.prepare()
from flows.server import local_server
with local_server() as url:
    print(url, flush=True)
    sys.stdin.readline()
print("left", flush=True)
"""


class _Friendly(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'"everything is fine"')

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def somebody_else() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Friendly)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_what_merely_answers_is_no_server_of_ours(somebody_else: int, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{somebody_else}"
    assert not is_prefect(f"{url}/api") and not is_mlflow(url)
    monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
    with pytest.raises(InputError, match="no Prefect server answers there"), local_server():
        pass


def test_a_taken_port_is_one_line_and_a_status(somebody_else: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.ui", "--mlflow-port", str(somebody_else)],
        cwd=tmp_path,
        env=checkout_env() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (1, f"ui: port {somebody_else}: something else listens there")


@contextmanager
def _user(checkout: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    checkout.mkdir(exist_ok=True)
    if not (checkout / ".prefect").exists():
        prefect_database(checkout / ".prefect" / "prefect.db")
    process = subprocess.Popen(
        [sys.executable, "-c", USER],
        cwd=checkout,
        env=checkout_env() | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        if process.poll() is None:
            process.communicate("\n", timeout=60)


@pytest.mark.slow
def test_two_checkouts_have_two_servers_and_the_last_user_ends_each(tmp_path: Path) -> None:
    with _user(tmp_path / "b") as (_, other):
        with _user(tmp_path / "a") as (first, url), _user(tmp_path / "a") as (_, same):
            assert is_prefect(url) and is_prefect(other)
            assert url == same != other
            first.kill()  # the one that started the server, without a word
            first.wait()
            assert is_prefect(same)
        assert not is_prefect(url), "ended with its last user"
        assert is_prefect(other)
    assert not is_prefect(other)


@pytest.mark.slow
def test_two_checkouts_that_run_at_once_leave_nothing_in_each_other(tmp_path: Path) -> None:
    folders = [make_checkout(tmp_path / name) for name in ("left", "right")]
    flows = []
    for folder in folders:
        subprocess.run(
            [sys.executable, "-m", "stages.dial", "--size", "smoke", "--write"], cwd=folder, env=checkout_env()
        )
        prefect_database(folder / ".prefect" / "prefect.db")
        command = [sys.executable, "-m", "flows.pipeline", "--target", "inputs"]
        pipe = subprocess.PIPE
        flows.append(subprocess.Popen(command, cwd=folder, env=checkout_env(), stdout=pipe, stderr=pipe, text=True))
    said = [flow.communicate(timeout=500) for flow in flows]
    assert [flow.returncode for flow in flows] == [0, 0], said
    addresses = {out.splitlines()[0] for out, _ in said}
    assert len(addresses) == 2, "each has a server of its own"
    for mine, other in (folders, folders[::-1]):
        for file in (*(mine / ".prefect").glob("*.*"), *mine.glob("mlflow.db*"), *(mine / "work").rglob("*.json")):
            assert str(other).encode() not in file.read_bytes(), file
        with sqlite3.connect(mine / ".prefect" / "prefect.db") as database:
            assert database.execute("select count(*) from flow_run").fetchone() == (1,)
            kept = database.execute(
                "select resource_id from event_resources where resource_id like 'file:%'"
            ).fetchall()
        assert kept and all(one.startswith(f"{mine.as_uri()}/") for (one,) in kept)
