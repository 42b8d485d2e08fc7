"""The processes below a zygote: what they use, and how they end. Standard library only."""

import contextlib
import os
import resource
import signal
import time


def orphans() -> list[int]:
    """Processes that belong to this one: it is the reaper of everything that a program left behind."""
    with open(f"/proc/self/task/{os.getpid()}/children") as handle:
        return [int(pid) for pid in handle.read().split()]


def clean_up(deadline_s: float = 5.0) -> float:
    """Kills and reaps every process that is left; gives their processor seconds."""
    end = time.monotonic() + deadline_s
    cpu = 0.0
    while True:
        for pid in orphans():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return cpu
        if pid:
            cpu += usage.ru_utime + usage.ru_stime
        else:
            if time.monotonic() > end:
                raise TimeoutError("processes of a sandbox can't be killed")
            time.sleep(0.001)


def stat_fields(pid: int, name: str) -> list[bytes]:
    """Fields of /proc/pid/name after the command; empty for a process that is gone."""
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
    except OSError:
        return []
    try:
        return os.read(fd, 4096).rpartition(b")")[2].split()
    except OSError:
        return []
    finally:
        os.close(fd)


def anonymous_pages(pid: int) -> int:
    """Resident pages that are no file's."""
    fields = stat_fields(pid, "statm")
    return int(fields[1]) - int(fields[2]) if fields else 0


def living() -> list[int]:
    """Every process below this one: the zygote has one program at a time and adopts what loses its parent."""
    pids, queue = [], [os.getpid()]
    while queue:
        pid = queue.pop()
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as handle:
            below = [int(child) for child in handle.read().split()]
            pids += below
            queue += below
    return pids


def usage_of(pids: list[int], own_pages: int) -> tuple[float, int]:
    """(processor seconds of living processes and their finished children, bytes beyond what they were forked with)."""
    ticks = sum(sum(int(n) for n in stat_fields(pid, "stat")[11:15]) for pid in pids)
    pages = sum(max(0, anonymous_pages(pid) - own_pages) for pid in pids)
    return ticks / os.sysconf("SC_CLK_TCK"), pages * resource.getpagesize()
