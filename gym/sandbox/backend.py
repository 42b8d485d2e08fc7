"""Sandboxes by the name of their back end: the same jobs, the same verdicts."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Literal

from gym.sandbox.box import Box
from gym.sandbox.container import ContainerSandbox
from gym.sandbox.job import SandboxError
from gym.sandbox.kubernetes import KubernetesSandbox
from gym.sandbox.pool import open_sandbox

Backend = Literal["fork", "container", "kubernetes"]


@contextmanager
def open_box(
    backend: Backend,
    *,
    work: Path,
    workers: int = 2,
    image: str = "",
    namespace: str = "",
    libraries: Path | None = None,
    shell: bool = True,
) -> Iterator[Box]:
    """A sandbox of the back end.

    Args:
        work: folder for what a back end keeps, such as a root file system.
        workers: jobs at once.
        image: of `container` and `kubernetes`; empty for `container` is this machine's own Python.
        namespace: of `kubernetes`.
        libraries: folder of Python packages that programs find beside the standard library, in place of all others.
        shell: of `fork`: whether jobs may start programs, where this machine can confine them; Python alone is faster.

    Raises:
        SandboxError: the back end can't run a job here, confined.
    """
    with ExitStack() as stack:
        if backend == "container":
            yield stack.enter_context(closing(ContainerSandbox(image, work, workers, libraries)))
        elif backend == "kubernetes":
            yield stack.enter_context(closing(KubernetesSandbox(image, namespace, workers, libraries)))
        else:
            yield stack.enter_context(_local(workers, libraries, shell=shell))


@contextmanager
def _local(workers: int, libraries: Path | None, *, shell: bool) -> Iterator[Box]:
    with ExitStack() as stack:
        try:
            box = stack.enter_context(open_sandbox("namespaces" if shell else "fork", workers, libraries=libraries))
        except SandboxError:
            if not shell:
                raise
            box = stack.enter_context(open_sandbox("fork", workers, libraries=libraries))
        yield box
