"""Both UIs on this machine: `python -m flows.ui` (Ctrl-C stops both)."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from flows import environment
from flows.server import HOST, end, healthy, start


def main() -> None:
    parser = argparse.ArgumentParser(description="Starts the Prefect UI and the MLflow UI.")
    parser.add_argument("--prefect-port", type=int, default=4200)
    parser.add_argument("--mlflow-port", type=int, default=5000)
    args = parser.parse_args()
    environment.prepare()
    started: list[subprocess.Popen[bytes]] = []
    try:
        if not healthy(f"http://{HOST}:{args.prefect_port}/api"):
            started.append(start(args.prefect_port, Path(os.environ["PREFECT_HOME"]) / "server.log"))
        command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(args.mlflow_port)]
        command += ["--workers", "1", "--backend-store-uri", os.environ["MLFLOW_TRACKING_URI"]]
        env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        started.append(subprocess.Popen(command, env=env, start_new_session=True))
        print(f"Prefect UI: http://{HOST}:{args.prefect_port}")
        print(f"MLflow UI:  http://{HOST}:{args.mlflow_port}  (choose 'Model training')", flush=True)
        while all(process.poll() is None for process in started):
            time.sleep(0.5)
    except KeyboardInterrupt:
        print("stopping", flush=True)
    finally:
        for process in started:
            end(process)
    print("ui: stopped")


if __name__ == "__main__":
    main()
