"""`supervise.py COMMAND…`: runs a command and ends its process group when the caller is gone.

A flow that is killed outright can stop nothing; without this, `dvc` and the training process would go on
and a new run would meet them in the same checkout. The caller starts it as the leader of a session.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType

GRACE_S = 10.0
POLL_S = 0.2


def _end_group(process: subprocess.Popen[bytes]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    caller = os.getppid()
    process = subprocess.Popen(sys.argv[1:])

    def terminate(signum: int, frame: FrameType | None) -> None:
        _end_group(process)

    signal.signal(signal.SIGTERM, terminate)
    while process.poll() is None:
        if os.getppid() != caller:
            _end_group(process)
        time.sleep(POLL_S)
    status = process.returncode
    raise SystemExit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
