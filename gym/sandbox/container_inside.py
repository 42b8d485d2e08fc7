"""The first process of a container: runs one job as its child, and answers. Standard library and its neighbours only.

Reads a job from standard input and writes two values to standard output: that it starts the program, then the answer
that a zygote would give. As the first process of its namespace it can't be killed by the program, which has the same
user; nor can the program reach its descriptors or memory, since it can't be traced.
"""

import base64
import contextlib
import functools
import gc
import io
import json
import os
import resource
import signal
import tarfile
import traceback
from typing import Any, TextIO

import lockdown
from zygote import open_streams, run_python, warm
from zygote_processes import anonymous_pages
from zygote_watch import NOT_STARTED, confined, leave, take_streams, watch

PLACE = "/sandbox/box"  # a file system in memory; as deep as the place of the other levels
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


def child(job: dict[str, Any], folder: str, opened: Streams, streams: list[int], ready: int) -> None:
    """Becomes the program; never returns."""
    status = NOT_STARTED
    try:
        os.setsid()
        take_streams(streams, ready)
        os.chdir(folder)
        os.umask(0o077)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        limit(job)
        lockdown.prctl(lockdown.PR_SET_NO_NEW_PRIVS, 1)
        lockdown.prctl(lockdown.PR_SET_DUMPABLE, 1)
        lockdown.seccomp(allow_exec=True)
        os.environ.clear()
        os.environ.update({**OWN, "HOME": folder, "TMPDIR": folder, **job["env"]})
        confined(ready)
        if job["argv"]:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execvp(job["argv"][0], job["argv"])
        status = 1
        status = run_python(opened, job["source"], job["args"], folder)
    except BaseException:
        os.write(2, traceback.format_exc().encode()[-4000:])
    finally:
        leave(status)


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
    # What goes wrong from here on is the program's own doing.
    start = functools.partial(child, request["job"], folder, open_streams())
    killed_before = oom_kills()
    answer = watch(start, request["job"], folder, asked, anonymous_pages(os.getpid()))
    if answer.get("reason") == "" and oom_kills() > killed_before:
        answer["reason"] = "memory_limit"
    say(out, answer)
