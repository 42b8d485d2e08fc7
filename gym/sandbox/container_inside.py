"""The first process of a container: runs one job as its child, and answers. Standard library and its neighbours only.

Reads a job from standard input and writes two values to standard output: that it starts the program, then the answer
that a zygote would give. As the first process of its namespace it can't be killed by the program, which has the same
user; nor can the program reach its descriptors or memory, since it can't be traced.
"""

import base64
import contextlib
import gc
import io
import json
import os
import resource
import select
import signal
import sys
import tarfile
import time
import traceback
from typing import Any, TextIO

import lockdown
from zygote import FAILED_LAYER, SCAN_S, drain, open_streams, run_python, sealed, warm
from zygote_processes import anonymous_pages, clean_up, living, usage_of

PLACE = "/sandbox/box"  # a file system in memory; as deep as the place of the other levels
POLL_S = 0.02
READY = 3  # descriptor
OWN = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
OOM_COUNTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
Streams = tuple[TextIO, TextIO, TextIO]


def say(out: int, value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    left = memoryview(len(body).to_bytes(4, "big") + body)
    while left:
        left = left[os.write(out, left) :]


def limit(job: dict[str, Any]) -> None:
    """rlimits of this process and what it starts; the user is this container's alone, so its processes are counted."""
    lim = job["limits"]
    with open("/proc/self/statm") as handle:
        have = int(handle.read().split()[0]) * resource.getpagesize()
    seconds = max(1, int(lim["cpu_s"] + 0.999))
    most_stack = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = lim["stack_mb"] << 20
    for which, value in (
        (resource.RLIMIT_CPU, (seconds, seconds + 1)),
        (resource.RLIMIT_AS, (have + (lim["memory_mb"] << 20),) * 2),
        (resource.RLIMIT_STACK, (stack if most_stack < 0 else min(stack, most_stack), most_stack)),
        (resource.RLIMIT_FSIZE, (lim["file_mb"] << 20,) * 2),
        (resource.RLIMIT_NPROC, (lim["processes"] + 1,) * 2),
        (resource.RLIMIT_NOFILE, (64, 64)),
        (resource.RLIMIT_CORE, (0, 0)),
    ):
        resource.setrlimit(which, value)


def child(job: dict[str, Any], folder: str, streams: Streams, pipes: list[int]) -> None:
    """Becomes the program; never returns. The last pipe is told that all limits are set, and closed before it runs."""
    status = FAILED_LAYER
    try:
        os.setsid()
        for target, source in enumerate(pipes):
            os.dup2(source, target)
        os.set_inheritable(READY, False)
        os.closerange(READY + 1, 1 << 16)
        os.chdir(folder)
        os.umask(0o077)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        limit(job)
        lockdown.prctl(lockdown.PR_SET_NO_NEW_PRIVS, 1)
        lockdown.prctl(lockdown.PR_SET_DUMPABLE, 1)
        lockdown.seccomp(allow_exec=True)
        os.environ.clear()
        os.environ.update({**OWN, "HOME": folder, "TMPDIR": folder, **job["env"]})
        os.write(READY, b"1")
        os.close(READY)
        if job["argv"]:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execvp(job["argv"][0], job["argv"])
        status = 1
        status = run_python(streams, job["source"], job["args"], folder)
    except BaseException:
        os.write(2, traceback.format_exc().encode()[-4000:])
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def oom_kills() -> int:
    """How often the kernel ended a process of this container for memory; 0 where that isn't told."""
    for path in OOM_COUNTS:
        with contextlib.suppress(OSError), open(path) as handle:
            counts = dict(line.split() for line in handle)
            return int(counts.get("oom_kill", 0))
    return 0


def put(folder: str, job: dict[str, Any]) -> None:
    """Writes the files of a job into its new folder."""
    os.mkdir(folder, 0o700)
    for name, content in job["files"].items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "wb") as handle:
            handle.write(bytes.fromhex(content))


def watch(job: dict[str, Any], folder: str, asked: int) -> dict[str, Any]:
    """Runs the program to its end or to a limit; it also ends when nobody waits any more, the other end of `asked`."""
    lim = job["limits"]
    streams = open_streams()
    stdin = sealed(job["stdin"].encode())
    (out_r, out_w), (err_r, err_w), (ready_r, ready_w) = os.pipe(), os.pipe(), os.pipe()
    own_pages, killed_before = anonymous_pages(os.getpid()), oom_kills()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child(job, folder, streams, [stdin, out_w, err_w, ready_w])
    for fd in (stdin, out_w, err_w, ready_w):
        os.close(fd)
    pidfd = os.pidfd_open(pid)
    poller = select.poll()
    pipes = {out_r: bytearray(), err_r: bytearray()}
    for fd in (*pipes, pidfd, asked):
        poller.register(fd, select.POLLIN)
    reason, ended, next_scan = "", False, started + SCAN_S
    while not ended and not reason:
        for fd, _ in poller.poll(POLL_S * 1000):
            if fd == pidfd:
                ended = True
            elif fd == asked:
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
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _, wait_status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - started
    cpu = usage.ru_utime + usage.ru_stime + clean_up()
    for fd in list(pipes):
        os.set_blocking(fd, False)
        reason = drain(fd, pipes, poller, lim["output_bytes"]) or reason
        os.close(fd)
    if not os.read(ready_r, 1):
        return {
            "failed": pipes[err_r].decode("utf-8", "replace").strip().rpartition("\n")[2] or "the program did not start"
        }
    space = os.statvfs(folder)
    if not reason and not (space.f_bavail and space.f_ffree):
        reason = "output_limit"
    if not reason and oom_kills() > killed_before:
        reason = "memory_limit"
    kept = {}
    for name in job["keep"]:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and not os.path.islink(path) and os.lstat(path).st_nlink == 1:
            with open(path, "rb") as handle:
                kept[name] = handle.read(lim["file_mb"] << 20).hex()
    return {
        "reason": reason,
        "status": os.waitstatus_to_exitcode(wait_status),
        "stdout": bytes(pipes[out_r]).decode("utf-8", "replace"),
        "stderr": bytes(pipes[err_r]).decode("utf-8", "replace"),
        "cpu_s": cpu,
        "wall_s": wall,
        "max_rss_mb": usage.ru_maxrss / 1024,
        "files": kept,
    }


def serve(request: dict[str, Any]) -> None:
    """Runs the job of a request and answers; called with the whole request read from standard input."""
    lockdown.prctl(lockdown.PR_SET_DUMPABLE, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked, out = os.dup(0), os.dup(1)
    folder = f"{PLACE}/job"
    try:
        for place, packed in request["folders"].items():
            with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed))) as archive:
                archive.extractall(place, filter="data")
        put(folder, request["job"])
    except (OSError, ValueError, tarfile.TarError) as error:
        say(out, {"failed": f"{type(error).__name__}: {error}"})
        return
    warm()
    lockdown.seccomp_filter(allow_exec=True)
    gc.freeze()
    say(out, {"started": True})
    say(out, watch(request["job"], folder, asked))  # what goes wrong from here on is the program's own doing
