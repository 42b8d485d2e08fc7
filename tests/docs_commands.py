"""Reading a command's arguments with its own parser, without running it."""

import json
import subprocess
import sys
from collections.abc import Sequence

from tests.conftest import ROOT, checkout_env

CHECK = """
import argparse, importlib, io, contextlib, json, sys

class Read(BaseException):
    pass

real = argparse.ArgumentParser.parse_args

def parse(self, *args, **more):
    real(self, *args, **more)
    raise Read

argparse.ArgumentParser.parse_args = parse
problems = {}
for module, words in json.load(sys.stdin):
    said = io.StringIO()
    sys.argv = [module, *words]
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            importlib.import_module(module).main()
        problem = "ended without reading its arguments"
    except Read:
        problem = ""
    except SystemExit as end:
        problem = "" if not end.code else said.getvalue().strip().splitlines()[-1]
    if problem:
        problems[" ".join([module, *words])] = problem
print(json.dumps(problems))
"""


def parser_problems(calls: Sequence[Sequence[object]]) -> dict[str, str]:
    """`[[module, words], …]`: each module's `main` reads the words; its complaint, for those that have one."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=ROOT,
        env=checkout_env() | {"PYTHONPATH": str(ROOT)},
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found
