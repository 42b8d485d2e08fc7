"""Applications: the authored ones are whole, and a broken file is told in one line that names it and where."""

import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.worlds.application import DOMAINS, ApplicationError
from agents.worlds.reading import FOLDER, authored, load, parse

Content = dict[str, Any]
FILES = sorted(FOLDER.glob("*.yaml"))


def content(name: str = "bike_workshop") -> Content:
    """As it is written, without the parser under test."""
    read: Content = yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    return read


def test_there_are_sixty_desks_over_all_domains_and_eight_held_for_evaluation() -> None:
    apps = authored()
    assert list(apps) == [path.stem for path in FILES]
    kept = [app for app in apps.values() if not app.held]
    assert len(kept) >= 60 and len(apps) - len(kept) == 8
    assert {app.domain for app in kept} == set(DOMAINS) and len(DOMAINS) == 17
    assert min(Counter(app.domain for app in kept).values()) >= 2
    assert len({app.desk for app in apps.values()}) == len(apps)


def test_each_has_eight_to_twenty_actions_and_three_kinds_of_policies() -> None:
    several = 0
    for path in FILES:
        raw, app = content(path.stem), authored()[path.stem]
        assert 8 <= len(raw["actions"]) == len(app.actions) <= 20, path
        assert len({policy.kind for policy in app.policies}) >= 3 and len(app.policies) == len(raw["policies"]), path
        changes = [action for action in raw["actions"].values() if "effects" in action]
        assert len(changes) == len(app.writes) >= 3
        assert sum("require" in action for action in changes) >= len(changes) / 2, path
        several += any(len(action["effects"]) > 1 for action in changes)
        for action in changes:
            assert len(set(action["asks"])) >= 3
    assert several >= len(FILES) - 2
    verbs = {name.split("_")[0] for app in authored().values() for name in (each.name for each in app.writes)}
    assert len(verbs) >= 200


def test_no_file_says_a_thing_twice() -> None:
    """YAML would take the second of two equal keys without a word."""

    class Strict(yaml.CSafeLoader):
        pass

    def mapping(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"{node.start_mark}: {keys}"
        return loader.construct_mapping(node, deep=True)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    for path in FILES:
        yaml.load(path.read_text(encoding="utf-8"), Strict)


def test_dates_lists_and_defaults_are_read_as_they_stand() -> None:
    app = authored()["rail_tickets"]
    refund = app.actions["refund_ticket"]
    assert [parameter.name for parameter in refund.parameters] == ["ticket", "reason"]
    assert (refund.parameter("reason").optional, refund.parameter("reason").default) == (True, "change_of_plans")
    assert refund.refs == {"ticket": "ticket"} and not refund.reads
    assert [(p.id, p.kind, p.actions) for p in app.policies][-1] == ("look_first", "first", ("change_class",))
    assert app.policies[0].reads == (("ticket", "train", "departs"),)
    assert app.entities["train"].fields["status"].weights == (6, 2, 1)
    assert app.actions["search_trains"].parameters[2].optional and app.today.isoformat() == "2026-05-11"


def _at(path: str, value: Any) -> Callable[[Content], None]:
    """Sets, or with None takes away, what is under the path."""

    def change(app: Content) -> None:
        inner: Any = app
        *before, last = path.split("/")
        for key in before:
            inner = inner[int(key)] if isinstance(inner, list) else inner[key]
        last_key: Any = int(last) if isinstance(inner, list) else last
        if value is None:
            del inner[last_key]
        else:
            inner[last_key] = value

    return change


JOB, BIKE, OPEN = "entities/job", "entities/bike", "actions/open_job"
BROKEN: list[tuple[Callable[[Content], None], str, str]] = [
    (_at("colour", "red"), "the application", "unknown key colour"),
    (_at("domain", "astrology"), "", "domain 'astrology'"),
    (_at("domain", None), "", "'domain' is missing"),
    (_at("today", "soon"), "today", "'soon'"),
    (_at("held", "maybe"), "", "held is true or false"),
    (_at("entities", ["job"]), "entities", "no mapping"),
    (_at(f"{JOB}/kind", "x"), "entity job", "unknown key kind"),
    (_at(f"{JOB}/label", None), "entity job", "'label' is missing"),
    (_at(f"{JOB}/count", "many"), "entity job", "'many'"),
    (_at(f"{JOB}/ids", "job"), "entity job", "ids are one to four capitals"),
    (_at(f"{JOB}/ids", "B"), "", "two entities have the same ids"),
    (_at(f"{JOB}/label", "{bike.colour}"), "entity job: label", "'colour'"),
    (_at(f"{JOB}/label", "{Bike}"), "entity job", "a slot is a path in braces"),
    (_at(f"{JOB}/fields/due", "day 1..4"), "entity job: field due", "no type 'day 1..4'"),
    (_at(f"{JOB}/fields/due", "date 9..4"), "entity job: field due", "9 is above 4"),
    (_at(f"{JOB}/fields/due", "date 0..99999999"), "entity job: field due", "too far"),
    (_at(f"{JOB}/fields/hours", "int 0.5..2"), "entity job: field hours", "whole numbers"),
    (_at(f"{JOB}/fields/status", "one of waiting"), "entity job: field status", "two different values"),
    (_at(f"{JOB}/fields/status", "one of a*0, b*0"), "entity job: field status", "weights"),
    (_at(f"{JOB}/fields/estimate", "money = 20 + hour * 45"), "entity job: field estimate", "'hour'"),
    (_at(f"{JOB}/fields/estimate", "money = bike.price"), "entity job: field estimate", "no field 'price'"),
    (_at(f"{JOB}/fields/bike", "ref bicycle"), "entity job: field bike", "no entity 'bicycle'"),
    (_at(f"{JOB}/fields/class", "text"), "entity job", "'class' is no name"),
    (_at(f"{BIKE}/fields/job", "ref job"), "", "references go in a circle among bike, job"),
    (_at("entities/import", {"fields": {}, "label": "x", "ids": "X"}), "entity import", "'import' is no name"),
    (_at(f"{OPEN}/price", 3), "action open_job", "unknown key price"),
    (_at(f"{OPEN}/effects", None), "action open_job", "'effects' is missing"),
    (_at(f"{OPEN}/effects", {"create": "job"}), "action open_job: effects", "no list"),
    (_at(f"{OPEN}/parameters/bike", "ref bicycle"), "action open_job", "no entity 'bicycle'"),
    (_at(f"{OPEN}/parameters/hours", "int 1..4 hours = five"), "action open_job: parameter hours", "'five'"),
    (_at(f"{OPEN}/parameters/hours", "int 1..4 hours = ["), "action open_job: parameter hours", "'['"),
    (_at(f"{OPEN}/parameters/hours", "int"), "action open_job: parameter hours", "no type 'int'"),
    (_at(f"{OPEN}/asks/0", "take in {bike} for {fault}, {hours} hours"), "action open_job", "does not say due"),
    (_at(f"{OPEN}/asks/0", "{bike.color} {fault} {hours} {due}"), "action open_job", "parameters alone"),
    (_at(f"{OPEN}/asks/0", "{bike} {fault} {hours} {due} {cost}"), "action open_job", "nothing is called 'cost'"),
    (_at(f"{OPEN}/asks/2", None), "action open_job", "three asks"),
    (_at(f"{OPEN}/why", None), "action open_job", "a why"),
    (_at(f"{OPEN}/done", "Job {jobs.id} is open."), "action open_job", "'jobs'"),
    (_at(f"{OPEN}/done", "Job {job.cost} is open."), "action open_job", "no field 'cost'"),
    (_at(f"{OPEN}/done", "Job {job.status.kind} is open."), "action open_job", "no record"),
    (_at(f"{OPEN}/let/estimate", "20 + cost"), "action open_job: let estimate", "'cost'"),
    (_at(f"{OPEN}/let/estimate", "20 +"), "action open_job: let estimate", "no expression"),
    (_at(f"{OPEN}/let/hours", "2"), "action open_job", "called like a parameter"),
    (_at(f"{OPEN}/require/0/if", "bike.gears == 3"), "action open_job", "no field 'gears'"),
    (_at(f"{OPEN}/require/0/if", "count(jobs, each.bike == bike) == 0"), "action open_job", "count() is not allowed"),
    (_at(f"{OPEN}/require/0/if", "count(job, each.gears == bike) == 0"), "action open_job", "no field 'gears'"),
    (_at(f"{OPEN}/require/0/if", "hours.unit == 1"), "action open_job", "no record"),
    (_at(f"{OPEN}/require/0/says", "{bike.gears}"), "action open_job", "no field 'gears'"),
    (_at(f"{OPEN}/require/0/else", "Not Here"), "action open_job", "'Not Here' is no name"),
    (_at(f"{OPEN}/effects/0/with/due", None), "action open_job: create job", "due is not given"),
    (_at(f"{OPEN}/effects/0/with/cost", "3"), "action open_job", "no field 'cost'"),
    (_at(f"{OPEN}/effects/0/set", "bike"), "action open_job", "one of create, set, remove, each"),
    (_at(f"{OPEN}/parameters/job", "ref job?"), "action open_job: create job", "called job"),
    (_at("actions/finish_job/effects/0/set", "job.due"), "action finish_job", "'job.due' is no record"),
    (_at("actions/finish_job/effects/0/set", "bike"), "action finish_job", "does not begin with a record"),
    (_at("actions/find_customer/by", "name, age"), "action find_customer", "no field 'age'"),
    (_at("actions/get_job/shows", "invoice"), "action get_job", "no entity 'invoice'"),
    (_at("actions/get_job/effects", []), "action get_job", "unknown key effects"),
    (_at("actions/find_mechanics", None), "action assign_mechanic", "no action finds or shows a mechanic"),
    (_at("policies/0/forbid", "fly"), "policy far_postponement", "no action 'fly'"),
    (_at("policies/0/forbid", "get_job"), "policy far_postponement", "get_job changes nothing"),
    (_at("policies/0/when", "due - tomorrow > 14"), "policy far_postponement", "'tomorrow'"),
    (_at("policies/0/when", "job.days > 14"), "policy far_postponement", "no field 'days'"),
    (_at("policies/0/confirm", ["open_job"]), "policy far_postponement", "one of forbid, confirm"),
    (_at("policies/1/confirm", "collect_payment"), "policy payment_confirmed", "no list"),
    (_at("policies/1/id", "far_postponement"), "", "same id"),
    (_at("policies/2/tell", "cost"), "policy tell_charge", "no let 'cost'"),
    (_at("policies/3/most", "two"), "policy one_mechanic", "'two'"),
    (_at("policies/3", {"id": "a", "text": "b"}), "policy a", "one of forbid, confirm"),
    (
        _at("policies/3", {"id": "own", "text": "b", "identify": "mechanic", "by": "name", "for": ["finish_job"]}),
        "policy own",
        "no parameter of finish_job leads to a mechanic",
    ),
    (
        _at("policies/3", {"id": "read", "text": "b", "first": "list_jobs", "before": ["finish_job"]}),
        "policy read",
        "list_jobs does not show a record",
    ),
]


@pytest.mark.parametrize(
    ("change", "where", "why"), BROKEN, ids=[f"{k}-{why[:30]}" for k, (_, _, why) in enumerate(BROKEN)]
)
def test_a_broken_file_is_told_in_one_line_with_its_place(
    change: Callable[[Content], None], where: str, why: str
) -> None:
    broken = copy.deepcopy(content())
    change(broken)
    with pytest.raises(ApplicationError) as error:
        parse(broken)
    line = str(error.value)
    assert line.startswith(f"application bike_workshop: {where}") and why in line and "\n" not in line
    assert len(line) < 300


ATTACKS = (
    "__import__('os').system('id')",
    "bike.__class__",
    "bike.owner.__class__.__mro__",
    "(lambda: 1)()",
    "[x for x in bike]",
    "{x for x in bike}",
    "f'{bike}'",
    "open('/etc/passwd')",
    "eval('1')",
    "(y := 1)",
    "getattr(bike, 'world')",
    "bike.world",
    "bike.get('color')",
    "today.replace(1)",
    "'%s' % bike == 'x' and exec('1')",
    "2 ** 99999999",
    "bike[0]",
    "await bike",
    "min(*[1, 2])",
    "count(job, key=1)",
    "b'x' == 1",
    "print(1)",
)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("path", [f"{OPEN}/require/0/if", f"{OPEN}/let/estimate", f"{OPEN}/effects/0/with/due"])
def test_code_in_an_expression_is_no_application(attack: str, path: str) -> None:
    broken = copy.deepcopy(content())
    _at(path, attack)(broken)
    with pytest.raises(ApplicationError, match="application bike_workshop: action open_job"):
        parse(broken)


@pytest.mark.parametrize("written", [None, [], "text", 3, {"application": "x"}, {}])
def test_what_is_no_mapping_or_empty_is_refused(written: Any) -> None:
    with pytest.raises(ApplicationError, match="application .*(no mapping|is missing)"):
        parse(written)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("x.yaml", b"a: [", "x.yaml: "),
        ("x.yaml", b"\xff\xfe\x00", "x.yaml: "),
        ("x.yaml", b"!!python/object/apply:os.getcwd []", "x.yaml: "),
        ("other.yaml", (FOLDER / "bike_workshop.yaml").read_bytes(), "other.yaml: its application is called bike_w"),
    ],
)
def test_a_file_that_cant_be_read_is_named(tmp_path: Path, name: str, text: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(ApplicationError) as error:
        load(tmp_path / name)
    assert str(error.value).startswith(why) and "\n" not in str(error.value)
    with pytest.raises(ApplicationError, match="missing.yaml: "):
        load(tmp_path / "missing.yaml")


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for key, inner in items for leaf in _leaves(inner, (*path, key)))]


def test_a_file_damaged_anywhere_loads_or_is_an_application_error() -> None:
    rng = random.Random(1)
    junk = (None, [], {}, 3, True, "", "x.y", "1/0", "{", [None], {"a": 1}, "today.id", "one of a, b", "é", "\x00")
    outcomes = Counter[bool]()
    for number in range(250):
        damaged = json.loads(json.dumps(content(FILES[number % len(FILES)].stem), default=str))
        *path, last = rng.choice(_leaves(damaged)[1:])
        inner = damaged
        for key in path:
            inner = inner[key]
        if rng.random() < 0.4:
            del inner[last]
        else:
            inner[last] = rng.choice(junk)
        try:
            parse(damaged)
        except ApplicationError as error:
            assert "\n" not in str(error)
            outcomes[False] += 1
        else:
            outcomes[True] += 1
    assert outcomes[False] > 100 and outcomes[True] > 15
