"""How much of an application an agent without mistakes can serve: the check before its tools are used.

python -m agents.conversations.solved rail_tickets my_applications/library.yaml
"""

import argparse
import sys
from pathlib import Path

from agents.conversations.making import NoTask, make_task
from agents.conversations.users import PERSONAS
from agents.worlds.application import Application, ApplicationError
from agents.worlds.expression import ExpressionError
from agents.worlds.reading import authored, load
from agents.worlds.surface import shaped

TASKS = 18
ENOUGH = 0.9  # of the tasks that are drawn


def solved_share(app: Application, tasks: int = TASKS) -> float:
    """Share of the drawn tasks that the agent solves: with one to three wishes, of users of every persona.

    Raises:
        ExpressionError: a value can't be computed.
    """
    made, failed = 0, 0
    for seed in range(tasks):
        try:
            proof = make_task(shaped(app, seed % 3), seed, 1 + seed % 3, PERSONAS[seed % len(PERSONAS)])
        except NoTask as none:
            failed += none.failed
        else:
            made += 1
            failed += proof.failed
    return made / (made + failed) if made else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("applications", nargs="*", help="names or files; all authored ones when none is given")
    bad = 0
    for name in parser.parse_args().applications or authored():
        try:
            app = load(Path(name)) if name.endswith(".yaml") else authored()[name]
            share = solved_share(app)
        except (ApplicationError, ExpressionError) as error:
            print(f"{name}: {error}")
            bad += 1
            continue
        bad += share < ENOUGH
        print(f"{app.name}: {share:.0%} of the tasks are solved")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
