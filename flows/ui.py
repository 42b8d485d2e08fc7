"""Both UIs on this machine: `python -m flows.ui` (Ctrl-C stops both)."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx

from flows import environment
from flows.server import HOST, end, free_port, is_mlflow, is_prefect, local_server
from stages.harness.errors import InputError
from stages.harness.files import write_json
from stages.tracking.store import EXPERIMENT, VIEW_TAG, chart_page

MLFLOW_PORT = 5000
WORK = Path("work")


@contextmanager
def mlflow_server(port: int) -> Iterator[str]:
    """MLflow's UI over this checkout's store; `work/ui.json` tells flows where it is.

    Raises:
        InputError: it did not start; the line names its log.
    """
    url = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", os.environ["MLFLOW_TRACKING_URI"]]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = WORK / "mlflow-ui.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as handle:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=handle, stderr=handle, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not is_mlflow(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise InputError(f"the MLflow UI on port {port} did not start; see {log}")
            time.sleep(0.3)
        write_json(WORK / "ui.json", {"mlflow": url})
        yield url
    finally:
        end(process.pid)
        process.wait()
        (WORK / "ui.json").unlink(missing_ok=True)


def mlflow_address(root: Path = Path()) -> str:
    """Where MLflow's UI is: `K2_MLFLOW_UI`, else the one that `make ui` has started or would start."""
    noted = root / "work" / "ui.json"
    local = json.loads(noted.read_text())["mlflow"] if noted.exists() else f"http://{HOST}:{MLFLOW_PORT}"
    return os.environ.get("K2_MLFLOW_UI", local)


def charts_address(mlflow: str) -> str:
    """The page of the experiment's charts; empty before the first pipeline run."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    asked = httpx.get(f"{mlflow}/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": name}, timeout=60)
    found = asked.json().get("experiment", {})
    tags = {tag["key"] for tag in found.get("tags", [])}
    return f"{mlflow}/{chart_page(found['experiment_id'])}" if f"{VIEW_TAG}{EXPERIMENT}" in tags else ""


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):  # a shell's background job is born with SIGINT ignored
        signal.signal(signum, _interrupt)
    parser = argparse.ArgumentParser(description="Starts the Prefect UI and the MLflow UI.")
    parser.add_argument("--mlflow-port", type=int, help=f"{MLFLOW_PORT}, or a free one where that is taken")
    args = parser.parse_args()
    environment.prepare()
    try:
        port = args.mlflow_port or free_port(MLFLOW_PORT)
        if args.mlflow_port and free_port(port) != port:
            raise InputError(f"port {port}: something else listens there")
        with local_server() as prefect, mlflow_server(port) as mlflow:
            print(f"Prefect UI: {prefect.removesuffix('/api')}")
            print(f"MLflow UI:  {mlflow}  (choose 'Model training')", flush=True)
            if charts := charts_address(mlflow):
                print(f"the charts: {charts}", flush=True)
            while True:
                time.sleep(2.0)
                for name, up in (("Prefect", is_prefect(prefect)), ("MLflow", is_mlflow(mlflow))):
                    if not up:
                        raise InputError(f"the {name} server has ended")
    except (InputError, RuntimeError) as error:
        print(f"ui: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("ui: stopped")


if __name__ == "__main__":
    main()
