"""Runs one program to its end or to a limit, and tells how it ended. Standard library and its neighbours only."""

import contextlib
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from zygote_processes import clean_up, living, usage_of

POLL_S = 0.02
SCAN_S = 0.05
NOT_STARTED = 120  # exit status of a child that could not confine itself, or could not start a command


def sealed(content: bytes) -> int:
    """A descriptor at the beginning of bytes that nobody can change any more."""
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(fd, "wb", closefd=False) as handle:
        handle.write(content)
    fcntl.fcntl(fd, 1033, 0xF)  # F_ADD_SEALS: sealing, shrinking, growing, writing
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def take_streams(streams: list[int], *kept: int) -> None:
    """Makes `streams` the three standard ones of this process and closes every other descriptor that isn't `kept`."""
    for target, source in enumerate(streams):
        os.dup2(source, target)
    first = 3
    for fd in sorted(kept):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, 1 << 16)


def confined(ready: int) -> None:
    """Tells `watch` that every limit is set; from here on the child is the program, which can't reach `ready`."""
    os.write(ready, b"1")
    os.close(ready)


def leave(status: int) -> NoReturn:
    """Ends the program's process, with what it has printed."""
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def watch(
    child: Callable[[list[int], int], None], job: dict[str, Any], folder: str, caller: int, own_pages: int
) -> dict[str, Any]:
    """The answer about a job whose files lie in `folder`; {failed: why} if its program was never started.

    Args:
        child: becomes the program and never returns; gets its standard streams, and what it hands to `confined`.
        caller: a descriptor that says something when nobody waits for the answer any more.
        own_pages: anonymous pages that the program shares with this process.
    """
    lim = job["limits"]
    stdin = sealed(job["stdin"].encode())
    (out_r, out_w), (err_r, err_w), (ready_r, ready_w) = os.pipe(), os.pipe(), os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child([stdin, out_w, err_w], ready_w)
    for fd in (stdin, out_w, err_w, ready_w):
        os.close(fd)
    pidfd = os.pidfd_open(pid)
    poller = select.poll()
    pipes = {out_r: bytearray(), err_r: bytearray()}
    for fd in (*pipes, pidfd, caller):
        poller.register(fd, select.POLLIN)
    reason, ended, next_scan = "", False, started + SCAN_S
    while not ended and not reason:
        for fd, _ in poller.poll(POLL_S * 1000):
            if fd == pidfd:
                ended = True
            elif fd == caller:
                reason = "infrastructure_error"
            else:
                reason = drain(fd, pipes, poller, lim["output_bytes"]) or reason
        now = time.monotonic()
        if now - started > lim["wall_s"]:
            reason = reason or "wall_limit"
        if now > next_scan and not ended:
            next_scan = now + SCAN_S
            cpu, size = usage_of(living(), own_pages)
            if cpu > lim["cpu_s"]:
                reason = reason or "cpu_limit"
            if size > lim["memory_mb"] << 20:
                reason = reason or "memory_limit"
    if reason:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
    _, wait_status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - started
    cpu = usage.ru_utime + usage.ru_stime + clean_up()
    for fd in pipes:
        os.set_blocking(fd, False)
        reason = drain(fd, pipes, poller, lim["output_bytes"]) or reason
    was_confined = os.read(ready_r, 1)
    for fd in (*pipes, ready_r, pidfd):
        os.close(fd)
    stdout, stderr = (bytes(pipe).decode("utf-8", "replace") for pipe in pipes.values())
    if not was_confined:
        return {"failed": stderr.strip().rpartition("\n")[2] or "the program did not start"}
    space = os.statvfs(os.path.dirname(folder))  # the program may have removed the folder itself
    if not reason and not (space.f_bavail and space.f_ffree):
        reason = "output_limit"
    return {
        "reason": reason,
        "status": os.waitstatus_to_exitcode(wait_status),
        "stdout": stdout,
        "stderr": stderr,
        "cpu_s": cpu,
        "wall_s": wall,
        "max_rss_mb": usage.ru_maxrss / 1024,
        "files": dict(kept_files(folder, job["keep"], lim["file_mb"] << 20)),
    }


def drain(fd: int, pipes: dict[int, bytearray], poller: select.poll, limit: int) -> str:
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return ""
    if not data:
        with contextlib.suppress(KeyError):
            poller.unregister(fd)
        return ""
    pipes[fd] += data
    if len(pipes[fd]) > limit:
        del pipes[fd][limit:]
        return "output_limit"
    return ""


def kept_files(folder: str, names: list[str], most: int) -> list[tuple[str, str]]:
    """Names and contents, in hexadecimal, of the files that are really there: no link on their way leads elsewhere."""
    kept = []
    for name in names:
        path = os.path.join(folder, os.path.normpath(name))
        real = os.path.join(os.path.realpath(folder), os.path.normpath(name))
        if os.path.isfile(path) and os.path.realpath(path) == real and os.lstat(path).st_nlink == 1:
            with open(path, "rb") as handle:
                kept.append((name, handle.read(most).hex()))
    return kept
