"""The client that waits while a Prefect server's database is locked."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests import prefect_api


def test_503_is_asked_again_and_other_faults_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_api, "POLL_S", 0.01)
    said = [503, 503, 200, 500]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(said.pop(0))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with prefect_api.client(f"http://127.0.0.1:{server.server_port}/api") as client:
            assert client.post("/flows/", json={"name": "x"}).status_code == 200 and said == [500]
            assert client.post("/flows/", json={"name": "x"}).status_code == 500
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
