"""Whether a program in a sandbox can read a package of npm before its tree is there: then nobody may work on it."""

from gym.javascript.project import Project
from gym.repositories.reach import search, told
from gym.sandbox import Box, SandboxError

ENDINGS = (".js", ".cjs", ".mjs")


def refuse_if_found(box: Box, project: Project) -> None:
    """By content, in any script or archive that a program can read, and by name, as in another `node_modules`.

    Raises:
        SandboxError: the package was found, with what was found where; or the search failed.
    """
    code = {path: project.files[path] for path in project.code}
    if found := search(box, project.name, code, ENDINGS, (project.name,), project.name, {}):
        raise SandboxError(told(project.name, found))
