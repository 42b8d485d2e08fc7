"""What can happen in an application: every change should be possible in some world, every error and ban too.

python -m agents.worlds.reach rail_tickets my_applications/library.yaml
"""

import sys
from collections import Counter
from random import Random
from typing import Any

from agents.worlds.application import Action, Application
from agents.worlds.command import check_applications
from agents.worlds.expression import ExpressionError
from agents.worlds.fields import draw
from agents.worlds.simulator import banned
from agents.worlds.world import Refused, World

WORLDS = 40
TRIES = 12  # of each action in a world


def reached(app: Application) -> Counter[str]:
    """How often each action succeeded (`book_ticket`), failed (`book_ticket: sold_out`), or was banned
    (`book_ticket forbidden by no_late_booking`), with random arguments in many worlds.

    Raises:
        ExpressionError: a value can't be computed.
    """
    counts: Counter[str] = Counter(dict.fromkeys(wanted(app), 0))
    for seed in range(WORLDS):
        rng, world = Random(f"{app.name}|reach|{seed}"), World.generate(app, seed)
        for action in app.writes:
            for _ in range(TRIES):
                arguments = random_arguments(world, action, rng)
                try:
                    scope = world.scope(action, arguments)
                    world.lets(action, scope)
                    bans = banned(app, action, scope)
                    after = world.copy()
                    after.run(action, arguments)
                    if after.broken():
                        raise ExpressionError(f"{action.name}: {after.broken()}")
                except Refused as refusal:
                    counts[f"{action.name}: {refusal.error}"] += 1
                else:
                    counts.update(f"{action.name} forbidden by {rule}" for rule in bans)
                    counts[action.name] += not bans
    return counts


def wanted(app: Application) -> list[str]:
    """What should be reached."""
    return [
        *(action.name for action in app.writes),
        *(f"{action.name}: {each.error}" for action in app.writes for each in action.requirements),
        *(f"{name} forbidden by {rule.id}" for rule in app.policies if rule.kind == "forbid" for name in rule.actions),
    ]


def random_arguments(world: World, action: Action, rng: Random) -> dict[str, Any]:
    """Records that there are and plausible values; of the optional parameters every second."""
    arguments: dict[str, Any] = {}
    for parameter in action.parameters:
        if parameter.optional and rng.random() < 0.5:
            continue
        if parameter.type.base == "ref":
            arguments[parameter.name] = rng.choice(list(world.tables[parameter.type.target]))
        else:
            arguments[parameter.name] = draw(parameter.type, rng, world.app.today)
    return arguments


def told(app: Application) -> tuple[bool, str]:
    """(whether everything is reached, the line about it)."""
    counts = reached(app)
    missing = [what for what in wanted(app) if not counts[what]]
    kinds = f"{len(app.entities)} entities, {len(app.actions)} actions, {len(app.policies)} policies"
    return not missing, f"{app.name}: {kinds}; {'never: ' + ', '.join(missing) if missing else 'everything is reached'}"


def main() -> int:
    return check_applications(__doc__, told)


if __name__ == "__main__":
    sys.exit(main())
