"""Real servers for tests, on 127.0.0.1 or a local socket, ended by their own process id."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import httpx
import pgserver


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server of its own; yields the URI of its database."""
    server = pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def s3(folder: Path, *buckets: str) -> Iterator[dict[str, str]]:
    """An S3-compatible server with these buckets; yields the environment variables that lead to it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    access = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": url,
        "MLFLOW_S3_ENDPOINT_URL": url,
    }
    with (folder / "s3.log").open("wb") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | access)
    try:
        await_answer(url, process, folder / "s3.log", 60)
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        for bucket in buckets:
            client.create_bucket(Bucket=bucket)
        yield access
    finally:
        process.terminate()
        process.wait(20)


def await_answer(url: str, process: "subprocess.Popen[bytes]", log: Path, seconds: float) -> None:
    """Until a server answers there; its log where it ends before, or takes longer."""
    deadline = time.monotonic() + seconds
    while not _answers(url):
        assert process.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < deadline, f"no answer in {seconds:g} s: {log.read_text()[-4000:]}"
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False
