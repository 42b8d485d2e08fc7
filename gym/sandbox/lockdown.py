"""The layers of a sandboxed process: Landlock, seccomp, limits, own user, namespaces. Standard library only.

Every function is called in the forked child before any of the program's code, and raises OSError when the kernel
refuses: a child without one of its layers must not run anything.
"""

import ctypes
import functools
import os
import platform
import resource
import struct
from collections.abc import Sequence

_libc = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 4, 38, 22
SECCOMP_MODE_FILTER = 2
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

FS_EXECUTE, FS_WRITE_FILE, FS_READ_FILE, FS_READ_DIR = 1, 2, 4, 8
FS_ALL = (1 << 16) - 1  # ABI 5: everything up to IOCTL_DEV
FS_READ = FS_READ_FILE | FS_READ_DIR
FILE_RIGHTS = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | (1 << 14) | (1 << 15)
NET_ALL = 3  # bind and connect of TCP
FILES = 4096  # that a program may have
SCOPE_ALL = 3  # abstract sockets and signals

CLONE = {
    "user": 0x10000000,
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
}


def _check(result: int, what: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


LEAST_LANDLOCK = 4  # of Linux 6.7, the first that can forbid TCP


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 when there is none."""
    return max(0, _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


def landlock_rules(read: Sequence[str], write: Sequence[str], execute: Sequence[str]) -> int:
    """A descriptor of rules that deny every file outside the given trees, TCP, and signals and sockets that leave."""
    abi = landlock_abi()
    if abi < LEAST_LANDLOCK:
        raise OSError(f"Landlock ABI {abi}, {LEAST_LANDLOCK} is needed")
    handled = FS_ALL if abi >= 5 else FS_ALL & ~(1 << 15)
    attributes = struct.pack("QQQ", handled, NET_ALL, SCOPE_ALL if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16
    rules = _check(_libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), 0), "landlock ruleset")
    grants = [*((p, FS_READ) for p in read), *((p, handled & ~FS_EXECUTE) for p in write)]
    grants += [(p, FS_READ | FS_EXECUTE) for p in execute]
    for path, rights in grants:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not os.path.isdir(path):
            rights &= FILE_RIGHTS & handled
        rule = struct.pack("=Qi", rights & handled, fd)
        _check(_libc.syscall(_LANDLOCK_ADD, rules, 1, rule, 0), f"landlock {path}")
        os.close(fd)
    return rules


def landlock(rules: int) -> None:
    """Puts this process under the rules for good."""
    _check(_libc.syscall(_LANDLOCK_RESTRICT, rules, 0), "landlock restrict")


# Numbers of x86-64. A call in KILL ends the process with SIGSYS, so its verdict is `denied`.
_KILL = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "mount": 165, "umount2": 166, "pivot_root": 155,
    "chroot": 161, "setns": 308, "unshare": 272, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "keyctl": 250, "add_key": 248,
    "request_key": 249, "kexec_load": 246, "init_module": 175, "finit_module": 313, "delete_module": 176,
    "reboot": 169, "swapon": 167, "settimeofday": 164, "clock_settime": 227, "sethostname": 170, "iopl": 172,
    "ioperm": 173, "open_by_handle_at": 304, "name_to_handle_at": 303, "quotactl": 179, "acct": 163, "syslog": 103,
    "personality": 135, "fsopen": 430, "fsmount": 432, "move_mount": 429, "open_tree": 428, "mount_setattr": 442,
    "setuid": 105, "setgid": 106, "setreuid": 113, "setregid": 114, "setgroups": 116, "pidfd_getfd": 438,
    "kcmp": 312, "memfd_create": 319, "memfd_secret": 447,
}  # fmt: skip
_SOCKET = {"socket": 41, "socketpair": 53, "connect": 42, "bind": 49, "listen": 50, "accept": 43}
_EXEC = {"execve": 59, "execveat": 322}
# The C library's posix_spawn calls them with the user that it is already, for GNU make before each command. The kernel
# refuses any other user, since `become` leaves no capability to change it; where no program can be started, nobody
# needs them.
_SAME_USER = {"setresuid": 117, "setresgid": 119}
# Memory and queues that outlive a process; a level with an IPC namespace of its own loses them anyway.
_SHARED = {"shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240}
_CLONE, _CLONE3 = 56, 435
_AUDIT_X86_64 = 0xC000003E
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_ENOSYS = 38
_X32_BIT = 0x40000000


def _bpf(code: int, jt: int, jf: int, k: int) -> bytes:
    return struct.pack("HBBI", code, jt, jf, k)


def _seccomp_program(*, allow_exec: bool) -> bytes:
    """The filter: ends the process at a call that a program under test has no business with; clone3 isn't there."""
    if platform.machine() != "x86_64":
        raise OSError(f"no seccomp filter for {platform.machine()}")
    denied = {**_KILL, **({} if allow_exec else {**_SOCKET, **_EXEC, **_SHARED, **_SAME_USER})}
    load, jeq, jset, jge, ret = 0x20, 0x15, 0x45, 0x35, 0x06
    new_spaces = sum(CLONE.values()) | 0x02000000  # and cgroup
    program = [
        _bpf(load, 0, 0, 4),
        _bpf(jeq, 1, 0, _AUDIT_X86_64),
        _bpf(ret, 0, 0, _KILL_PROCESS),
        _bpf(load, 0, 0, 0),
        _bpf(jge, 0, 1, _X32_BIT),
        _bpf(ret, 0, 0, _KILL_PROCESS),
        _bpf(jeq, 0, 1, _CLONE3),
        _bpf(ret, 0, 0, _ERRNO | _ENOSYS),
    ]
    for number in sorted(denied.values()):
        program += [_bpf(jeq, 0, 1, number), _bpf(ret, 0, 0, _KILL_PROCESS)]
    program += [
        _bpf(jeq, 0, 3, _CLONE),
        _bpf(load, 0, 0, 16),
        _bpf(jset, 0, 1, new_spaces),
        _bpf(ret, 0, 0, _KILL_PROCESS),
        _bpf(ret, 0, 0, _ALLOW),
    ]
    return b"".join(program)


@functools.cache
def seccomp_filter(*, allow_exec: bool) -> "tuple[ctypes.Array[ctypes.c_char], bytes]":
    """(code, the kernel's `sock_fprog` that points at it): made before the fork, for every program is to find it."""
    program = _seccomp_program(allow_exec=allow_exec)
    code = ctypes.create_string_buffer(program)
    return code, struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))


def seccomp(*, allow_exec: bool) -> None:
    """Installs the filter for good."""
    _, filter_ = seccomp_filter(allow_exec=allow_exec)
    _check(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0), "seccomp")


def limits(cpu_s: float, memory_bytes: int, file_bytes: int, processes: int, stack_bytes: int) -> None:
    """rlimits; the address space counts from what the process has now."""
    statm = os.open("/proc/self/statm", os.O_RDONLY)
    have = int(os.read(statm, 64).split()[0]) * resource.getpagesize()
    os.close(statm)
    whole = max(1, int(cpu_s + 0.999))
    most_stack = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = stack_bytes if most_stack == resource.RLIM_INFINITY else min(stack_bytes, most_stack)
    for which, value in (
        (resource.RLIMIT_CPU, (whole, whole + 1)),
        (resource.RLIMIT_AS, (have + memory_bytes,) * 2),
        (resource.RLIMIT_STACK, (stack, most_stack)),
        (resource.RLIMIT_FSIZE, (file_bytes, file_bytes)),
        (resource.RLIMIT_NPROC, (processes, processes)),
        (resource.RLIMIT_NOFILE, (64, 64)),
        (resource.RLIMIT_CORE, (0, 0)),
        (resource.RLIMIT_MSGQUEUE, (0, 0)),
    ):
        resource.setrlimit(which, value)


def unshare(*names: str) -> None:
    """Enters new namespaces."""
    _check(_libc.unshare(sum(CLONE[name] for name in names)), f"unshare {' '.join(names)}")


def become(uid: int) -> None:
    """A user of its own: processes of other slots can't be reached, and the limit on processes counts alone."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        return
    own_user_namespace()
    drop_capabilities()


def own_user_namespace() -> None:
    """A user namespace in which this process keeps its user and has every capability, over that namespace alone."""
    mine, group = os.getuid(), os.getgid()
    unshare("user")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{mine} {mine} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as handle:
            handle.write(text)


def drop_capabilities() -> None:
    """Leaves a process without capabilities in its own user namespace as well."""
    header = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _check(_libc.capset(header, bytes(24)), "capset")


def private_mounts() -> None:
    """Mounts made from here on are seen by this mount namespace alone."""
    _check(_libc.mount(b"none", b"/", None, 0x44000, None), "mount private")  # MS_REC | MS_PRIVATE


def bind(source: str, target: str) -> None:
    """Shows a folder, or a file, at a second place, read only."""
    flags = 0x5000  # MS_BIND | MS_REC
    _check(_libc.mount(source.encode(), target.encode(), None, flags, None), f"bind {source} at {target}")
    flags = 0x1000 | 0x20 | 0x1 | 0x2 | 0x4  # MS_BIND | MS_REMOUNT | read only, nosuid, nodev
    flags |= os.statvfs(target).f_flag & os.ST_NOEXEC  # a user namespace may not take it away
    _check(_libc.mount(b"none", target.encode(), None, flags, None), f"bind {source} read only")


def mount_storage(target: str, size_bytes: int, *, again: bool = False) -> None:
    """A file system in memory that holds so many bytes and files and no more, deleted but open files included."""
    options = f"size={max(size_bytes, 4096)},nr_inodes={FILES},mode=711".encode()
    flags = 0x2 | 0x4 | (0x20 if again else 0)  # nosuid, nodev, remount
    _check(_libc.mount(b"tmpfs", target.encode(), b"tmpfs", flags, options), f"mount {target}")


def mount_proc() -> None:
    """A /proc of the new pid namespace."""
    private_mounts()
    _check(_libc.mount(b"proc", b"/proc", b"proc", 0xE, None), "mount /proc")  # nosuid, nodev, noexec
