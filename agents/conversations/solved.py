"""How much of an application an agent without mistakes can serve: the check before its tools are used.

python -m agents.conversations.solved rail_tickets my_applications/library.yaml
"""

import sys

from agents.conversations.making import NoTask, make_task
from agents.conversations.users import PERSONAS
from agents.worlds.application import Application
from agents.worlds.command import check_applications
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


def told(app: Application) -> tuple[bool, str]:
    """(whether enough of its tasks are solved, the line about it)."""
    share = solved_share(app)
    return share >= ENOUGH, f"{app.name}: {share:.0%} of the tasks are solved"


def main() -> int:
    return check_applications(__doc__, told)


if __name__ == "__main__":
    sys.exit(main())
