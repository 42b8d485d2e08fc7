"""`sandbox` in params.yaml: where code that a model or a package wrote runs."""

from typing import Self

from pydantic import Field, model_validator

from gym.sandbox.backend import Backend, BackendName
from stages.harness.section import Section, load_section


class SandboxParams(Section):
    """backend: fork (this machine's kernel), container (podman or docker) or kubernetes. image: of containers; empty is
    a root file system of this machine's Python. namespace: of kubernetes. workers: programs at once.
    """

    backend: BackendName
    image: str
    namespace: str
    workers: int = Field(ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.backend == "kubernetes" and not (self.image and self.namespace):
            raise ValueError("backend kubernetes needs an image that the cluster has, and a namespace")
        if self.backend == "fork" and self.image:
            raise ValueError("image: backend fork has none")
        return self


def sandboxes() -> Backend:
    """The back end of the pipeline's sandboxes, which opens them.

    Raises:
        InputError: see `load_section`.
    """
    p = load_section("sandbox", SandboxParams)
    return Backend(p.backend, p.workers, p.image, p.namespace)
