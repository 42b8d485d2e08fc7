"""The command line of a check of applications: a line for each that is named, or for all authored ones."""

import argparse
from collections.abc import Callable
from pathlib import Path

from agents.worlds.application import Application, ApplicationError
from agents.worlds.expression import ExpressionError
from agents.worlds.reading import authored, load


def check_applications(doc: str | None, check: Callable[[Application], tuple[bool, str]]) -> int:
    """Prints what `check` says of each application; the exit code, 1 where one is broken or not right.

    Args:
        doc: of the module that is run. check: (whether the application is right, the line about it).
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("applications", nargs="*", help="names or files; all authored ones when none is given")
    right = True
    for name in parser.parse_args().applications or authored():
        try:
            app = _named(name)
            fine, line = check(app)
        except (ApplicationError, ExpressionError) as error:
            fine, line = False, f"{name}: {error}"
        print(line)
        right = right and fine
    return int(not right)


def _named(name: str) -> Application:
    if name.endswith(".yaml"):
        return load(Path(name))
    if name not in authored():
        raise ApplicationError("neither an application of agents/worlds/applications nor a file *.yaml")
    return authored()[name]
