"""`repositories` in params.yaml."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from gym.javascript.packages import read_packages as read_scripts
from gym.repositories.packages import read_packages
from stages.harness.endpoint import check_teacher
from stages.harness.inputs import InputPath, ModelSpec
from stages.harness.section import Section


class RepositorySource(InputPath):
    """A repository of the user's: a folder, or what `git clone` takes."""

    def path(self) -> Path | None:
        return None if "://" in self or "@" in self else Path(self)


class RepositoriesParams(Section):
    """Real repositories as coding tasks.

    packages, held: of gym/repositories/packages.yaml, to learn from and for evaluation alone. own: yours, with a pytest
    suite; a fifth of their functions is held.
    tasks, held_tasks: proven ones, over the repositories of each side.
    javascript: of gym/javascript/packages.yaml, for evaluation alone. javascript_tasks: proven ones, over these.
    teacher: none, or a URL, which writes the bugs of a share of `rewritten` by rewriting a function with a mistake, and
    words a share of `worded` of the issues.
    """

    packages: list[str]
    held: list[str]
    own: list[RepositorySource]
    tasks: int = Field(ge=0)
    held_tasks: int = Field(ge=0)
    javascript: list[str]
    javascript_tasks: int = Field(ge=0)
    teacher: ModelSpec
    rewritten: float = Field(ge=0, le=1)
    worded: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = read_packages()
        for key, held in (("packages", False), ("held", True)):
            for name in getattr(self, key):
                if name not in known or known[name].held is not held:
                    names = sorted(name for name, package in known.items() if package.held is held)
                    raise ValueError(f"{key}: no {name!r}; there are {', '.join(names)}")
        scripts = read_scripts()
        if unknown := [name for name in self.javascript if name not in scripts]:
            raise ValueError(f"javascript: no {unknown[0]!r}; there are {', '.join(sorted(scripts))}")
        if self.javascript_tasks and not self.javascript:
            raise ValueError("javascript_tasks: javascript names no package")
        if self.tasks and not self.packages + self.own:
            raise ValueError("tasks: neither packages nor own name a repository to learn from")
        if self.held_tasks and not self.held + self.own:
            raise ValueError("held_tasks: neither held nor own name a repository")
        check_teacher("teacher", self.teacher, ["none"])
        if self.teacher == "none" and self.rewritten + self.worded:
            raise ValueError("rewritten, worded: need a teacher")
        return self
