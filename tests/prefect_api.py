"""A client of a Prefect server's API."""

import time

import httpx

HTTP_BUSY = 503
PATIENCE_S, POLL_S = 120.0, 0.5


class _Patient(httpx.HTTPTransport):
    """While its database is locked the server says 503, which Prefect's own client takes as "again"."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        until = time.monotonic() + PATIENCE_S
        while (response := super().handle_request(request)).status_code == HTTP_BUSY and time.monotonic() < until:
            response.close()
            time.sleep(POLL_S)
        return response


def client(api: str) -> httpx.Client:
    """Args: api: `http://127.0.0.1:PORT/api`."""
    return httpx.Client(base_url=api, timeout=120, transport=_Patient())
