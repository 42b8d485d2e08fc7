"""The process that programs are forked from: started once per worker, single-threaded, with modules preloaded.

It reads jobs from its socket one at a time. It holds no secrets: no answers, no environment of the parent, no other
descriptors. Started by `gym/sandbox/pool.py`; uses only the standard library and its neighbours in this folder.
"""

import contextlib
import functools
import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from types import ModuleType
from typing import Any, TextIO

import lockdown
from zygote_libraries import readable_trees, show_libraries, show_only
from zygote_link import receive, send
from zygote_processes import anonymous_pages, clean_up
from zygote_watch import NOT_STARTED, confined, leave, sealed, take_streams, watch

FIRST_UID = 200_000
COMMON = ("json", "math", "re", "collections", "itertools", "functools", "heapq", "string", "threading", "traceback")


def child(jail: "Jail", job: dict[str, Any], streams: list[int], ready: int) -> None:
    """Becomes the program; never returns."""
    status, rules = NOT_STARTED, jail.rules
    try:
        os.setsid()
        lockdown.prctl(lockdown.PR_SET_PDEATHSIG, signal.SIGKILL)
        take_streams(streams, rules, ready)
        os.chdir(jail.folder)
        os.umask(0o077)
        lim = job["limits"]
        namespaces = jail.level == "namespaces"
        if namespaces or jail.hide_pids:
            lockdown.unshare(*(("mnt", "pid", "net", "ipc", "uts") if namespaces else ("pid",)))
            inner = os.fork()
            if inner:
                _, wait_status = os.waitpid(inner, 0)
                code = os.waitstatus_to_exitcode(wait_status)
                os._exit(128 - code if code < 0 else code)
            lockdown.prctl(lockdown.PR_SET_PDEATHSIG, signal.SIGKILL)
        if namespaces:
            lockdown.mount_proc()
        lockdown.become(jail.uid)
        sizes = lim["memory_mb"] << 20, lim["file_mb"] << 20, lim["processes"], lim["stack_mb"] << 20
        lockdown.limits(lim["cpu_s"], *sizes)
        lockdown.prctl(lockdown.PR_SET_NO_NEW_PRIVS, 1)
        lockdown.prctl(lockdown.PR_SET_DUMPABLE, 0)
        if namespaces:
            os.close(rules)
            rules = allowed(jail.box, [*jail.trees, "/proc"], execute=True)
        lockdown.landlock(rules)
        os.close(rules)
        lockdown.seccomp(allow_exec=namespaces)
        os.environ.update(job["env"])
        confined(ready)
        if job["argv"]:
            os.execvp(job["argv"][0], job["argv"])
        status = 1
        status = run_python(jail.streams, job["source"], job["args"], jail.folder)
    except BaseException:
        os.write(2, traceback.format_exc().encode()[-4000:])
    finally:
        leave(status)


def open_streams() -> tuple[TextIO, TextIO, TextIO]:
    """stdin, stdout and stderr of every program, opened before the fork over descriptors of the same kinds."""
    saved = [os.dup(fd) for fd in range(3)]
    read, write = os.pipe()
    kinds = [sealed(b""), write, write]
    for target, source in enumerate(kinds):
        os.dup2(source, target)
    try:
        return (
            open(0, encoding="utf-8", closefd=False),
            open(1, "w", encoding="utf-8", closefd=False),
            open(2, "w", encoding="utf-8", closefd=False, buffering=1),
        )
    finally:
        for target, source in enumerate(saved):
            os.dup2(source, target)
        for fd in {read, *kinds, *saved}:
            os.close(fd)


def run_python(streams: tuple[TextIO, TextIO, TextIO], source: str, args: list[str], folder: str) -> int:
    """Runs source as `__main__` and gives its exit status as the interpreter would. `random` seeds itself at a fork."""
    sys.stdin, sys.stdout, sys.stderr = streams
    if "numpy.random" in sys.modules:  # numpy imports it when it is first used
        sys.modules["numpy.random"].seed(int.from_bytes(os.urandom(4)))
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv = ["main.py", *args]
    sys.path.insert(0, folder)
    try:
        exec(compile(source, "main.py", "exec", dont_inherit=True), main.__dict__)
    except SystemExit as end:
        if end.code is None:
            return 0
        if isinstance(end.code, int):
            return end.code & 255
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    return 0


def allowed(box: str, trees: list[str], *, execute: bool) -> int:
    """Landlock rules of a level; the folder of a program lies in the box and may hold programs it built."""
    programs = [p for p in ("/usr", "/bin", "/lib", "/lib64") if os.path.exists(p)]
    return lockdown.landlock_rules(trees, [box, "/dev/null"], [*programs, box] if execute else [])


def empty(box: str) -> None:
    """Leaves nothing of a program in its box, not even on the box itself when program and zygote have one user.

    Folders are taken apart from the top, so that a program's deepest one needs neither a long path nor recursion.
    """
    os.chmod(box, 0o711)
    folder = os.path.join(box, "job")
    with contextlib.suppress(OSError):  # the usual program leaves a folder with few files or none
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
    for name in os.listxattr(box):
        os.removexattr(box, name)
    while left := os.listdir(box):
        for name in left:
            path = f"{box}/{name}"
            if os.path.islink(path) or not os.path.isdir(path):
                os.unlink(path)
                continue
            for inner in os.listdir(path):
                os.rename(f"{path}/{inner}", f"{box}/{os.urandom(8).hex()}")
            os.rmdir(path)


class Jail:
    """Where programs run, one after the other: a file system in memory of limited size."""

    def __init__(self, base: str, uid: int, level: str, trees: list[str]) -> None:
        self.box = os.path.join(base, "box")
        self.uid, self.level, self.trees = uid, level, trees
        os.mkdir(self.box, 0o711)
        self.size = 16 << 20
        lockdown.mount_storage(self.box, self.size)
        self.rules = allowed(self.box, trees, execute=False)
        lockdown.seccomp_filter(allow_exec=level == "namespaces")
        self.streams = open_streams()
        self.folder = os.path.join(self.box, "job")
        own = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": self.folder, "TMPDIR": self.folder, "LANG": "C.UTF-8"}
        os.environ.clear()
        os.environ.update(own)
        # Programs that share the caller's user could signal the caller's processes on kernels before Landlock ABI 6.
        self.hide_pids = os.geteuid() != 0 and lockdown.landlock_abi() < 6
        self.pages = anonymous_pages(os.getpid())

    def run(self, job: dict[str, Any], link: socket.socket) -> dict[str, Any]:
        folder = self.folder
        size = job["limits"]["file_mb"] << 20
        if size != self.size:
            lockdown.mount_storage(self.box, size, again=True)
            self.size = size
        root = os.geteuid() == 0
        os.mkdir(folder, 0o700)
        try:
            if root:
                os.chown(folder, self.uid, self.uid)
            for name, content in job["files"].items():
                self._put(folder, name, bytes.fromhex(content), root)
            start = functools.partial(child, self, job)
            return watch(start, job, folder, link.fileno(), self.pages)
        finally:
            empty(self.box)

    def _put(self, folder: str, name: str, content: bytes, root: bool) -> None:
        path = folder
        *parents, last = name.split("/")
        for parent in parents:
            path = f"{path}/{parent}"
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
                if root:
                    os.chown(path, self.uid, self.uid)
        fd = os.open(f"{path}/{last}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with open(fd, "wb") as handle:
            handle.write(content)
            if root:
                os.fchown(fd, self.uid, self.uid)


def warm() -> None:
    """Makes here, once, what every program would make at its start: the compiler's types, streams, a traceback."""
    compile("assert sum([1]) == 1\nprint", "main.py", "exec", dont_inherit=True)
    with open(os.devnull, "w", encoding="utf-8", buffering=1) as nothing:
        try:
            raise ValueError
        except ValueError:
            traceback.print_exc(file=nothing)


def main() -> None:
    link = socket.socket(fileno=int(sys.argv[1]))
    base, slot, level, preload = sys.argv[2], int(sys.argv[3]), sys.argv[4], json.loads(sys.argv[5])
    own = receive(link) if sys.argv[6] == "libraries" else None
    lockdown.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.chmod(base, 0o711)
    try:
        if os.geteuid() != 0:
            lockdown.own_user_namespace()
        lockdown.unshare("mnt")
        lockdown.private_mounts()
        if own is not None:
            show_only(base, own["folder"], own["hidden"])
        elif os.geteuid() == 0:
            show_libraries(base)
        for name in (*COMMON, *preload):
            importlib.import_module(name)
        warm()
        jail = Jail(base, FIRST_UID + slot, level, readable_trees(base, preload))
    except (OSError, ImportError) as error:
        send(link, {"failed": f"{type(error).__name__}: {error}"})
        return
    gc.collect()
    gc.freeze()
    send(link, {"ready": True})
    while True:
        job = receive(link)
        if job is None:
            return
        try:
            answer = jail.run(job, link)
        except (OSError, TimeoutError, ValueError) as error:
            clean_up()
            answer = {"failed": f"{type(error).__name__}: {error}"}
        send(link, answer)
