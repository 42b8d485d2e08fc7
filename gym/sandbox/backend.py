"""Sandboxes by the name of their back end: the same jobs, the same verdicts."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gym.sandbox.box import Box
from gym.sandbox.container import ContainerSandbox
from gym.sandbox.job import SandboxError
from gym.sandbox.kubernetes import KubernetesSandbox
from gym.sandbox.pool import open_sandbox

BackendName = Literal["fork", "container", "kubernetes"]


@dataclass(frozen=True)
class Backend:
    """Where jobs run.

    Attributes:
        name: `fork` is this machine's own kernel, `container` is podman or docker on it, `kubernetes` a cluster.
        workers: jobs at once in a box.
        image: of `container` and `kubernetes`; empty for `container` is this machine's own Python.
        namespace: of `kubernetes`.
        work: folder for what a back end keeps, such as a root file system.
    """

    name: BackendName = "fork"
    workers: int = 2
    image: str = ""
    namespace: str = ""
    work: Path = Path("work/sandbox")

    @contextmanager
    def open(
        self,
        libraries: Path | None = None,
        *,
        shell: bool = True,
        preload: Sequence[str] = (),
        workers: int | None = None,
    ) -> Iterator[Box]:
        """A box, until the end of the block.

        Args:
            libraries: folder of Python packages that programs find beside the standard library, in place of all others.
            shell: of `fork`: whether jobs may start programs, where this machine can confine them; Python alone is
                faster.
            preload: of `fork`: modules that every program finds imported already, which saves their time.
            workers: other than the back end's own number.

        Raises:
            SandboxError: the back end can't run a job here, confined.
        """
        count = workers or self.workers
        with ExitStack() as stack:
            if self.name == "container":
                made = ContainerSandbox(self.image, self.work, count, libraries)
                yield stack.enter_context(closing(made))
            elif self.name == "kubernetes":
                pods = KubernetesSandbox(self.image, self.namespace, count, libraries)
                yield stack.enter_context(closing(pods))
            else:
                yield stack.enter_context(_local(count, libraries, preload, shell=shell))


LOCAL = Backend()


@contextmanager
def _local(workers: int, libraries: Path | None, preload: Sequence[str], *, shell: bool) -> Iterator[Box]:
    with ExitStack() as stack:
        try:
            opened = open_sandbox("namespaces" if shell else "fork", workers, preload, libraries)
            box = stack.enter_context(opened)
        except SandboxError:
            if not shell:
                raise
            box = stack.enter_context(open_sandbox("fork", workers, preload, libraries))
        yield box
