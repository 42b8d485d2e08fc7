"""Conversations on declared tools without a world.

Each is made from its number and a seed alone. Single and parallel calls; calls that go on with what an earlier one
returned, within a turn or over several; results that report an error; no fitting tool; a value that must be asked for.
Near-duplicates stand beside the tool that fits, so that the words of a request don't decide by themselves. Some
conversations repeat the first request of the one before them without the tool that fitted: then nothing must be called.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar

from agents.requests.dialog import Call, Dialog, Message
from agents.requests.mix import Mix
from agents.requests.offers import Offer, hide_spelling
from agents.requests.shelf import Kit, Shelf, alike, simple
from agents.requests.trees import Tree, draw_tree
from agents.requests.troubles import bounded, named_new, naming, smaller
from agents.requests.wanted import Wanted, want
from agents.requests.wording import Speech, draw_register, request
from agents.requests.writer import Turn, Writer
from agents.tools.everyday import EverydayTool

TROUBLES = {"missing": 22, "search": 14, "busy": 24, "limit": 12, "exists": 8, "spelling": 12, "denied": 8}
NEAR = 0.6  # of further tools: near one that is asked for
PAIRED = 0.45  # of every second conversation that follows one with a single call first
PAIRS = 0.07  # of all conversations that this makes
AGAIN = 0.4  # of turns: about a tool that is there already
LIBRARY_CHAINS = 0.12  # library functions in chains, for one in single calls: they hand over plain numbers
TRIES = 25
SYSTEM = (
    "You are a helpful assistant with access to tools.",
    "Use the tools when they fit the request. Ask for what is missing.",
    "You are an assistant that can call functions. Call one only if it can do what is asked.",
    "Answer briefly. Call the right function with the right arguments.",
    "Work step by step: call a tool, read its result, then decide what comes next.",
    "Never make up values. They come from the user or from a tool.",
)


@dataclass(frozen=True)
class Plan:
    """register: of the user. kinds: of the turns. busy: a server is, in the calls that depend on each other."""

    register: str
    kinds: tuple[str, ...]
    busy: bool


@dataclass
class Conversation:
    """kinds: what each turn is, of `writer.Turn`. gold: the calls, in order."""

    seed: int
    tools: list[Offer]
    messages: list[Message]
    kinds: list[str]
    gold: list[Call]

    @property
    def group(self) -> str:
        """What its first tool is of: a domain, a service, a package."""
        return self.tools[0].group

    def declarations(self) -> list[dict[str, Any]]:
        return [offer.declaration() for offer in self.tools]


class Requests:
    """Makes the conversation with a number.

    Args:
        everyday: the authored tools. rows: of tools.parquet; those of a simulated world, and the authored, don't count.
        base: the seed of number 0.

    Attributes:
        tools: of these numbers one is drawn: so many are declared at least.
        walked: services that a conversation declares in their order, so that each is seen.

    Raises:
        ValueError: a source has a weight but no tool that can be asked for.
    """

    tools: ClassVar[tuple[int, ...]] = (2, 3, 3, 3, 3, 4, 4, 4, 5, 6, 8)
    walked: ClassVar[int] = 2

    def __init__(
        self, everyday: Sequence[EverydayTool], rows: Sequence[Mapping[str, Any]], mix: Mix, base: int
    ) -> None:
        self.mix, self.base = mix, base
        weights = {"everyday": mix.everyday, "library": mix.library, "service": mix.service, "mcp": mix.mcp}
        self.shelf = Shelf(everyday, rows, weights, mix.beside)
        self.walk = [*self.shelf.sources["service"]] if mix.service > 0 else []
        Random(f"{base}|walk").shuffle(self.walk)

    def make(self, number: int) -> Conversation:
        plan, rng = self._plan(number), Random(f"{self.base}|{number}")
        kit, turns = self._setup(number, plan)
        opening = self._opening(number, plan, turns[0])
        if plan.kinds[0] == "paired":
            opening = self._without_its_tool(number - 1, kit, turns)
        tools = list(kit.offers.values())
        rng.shuffle(tools)
        thoughtful = rng.random() < self.mix.thoughts
        dialog = Dialog(self.base + number, rng, plan.register, thoughtful=thoughtful, busy=plan.busy)
        if rng.random() < 0.25:
            dialog.messages.append({"role": "system", "content": rng.choice(SYSTEM)})
        writer = Writer(dialog, kit)
        for index, turn in enumerate(turns):
            writer.turn(turn, opening if index == 0 else "")
        return Conversation(dialog.seed, tools, dialog.messages, dialog.kinds, dialog.gold)

    def _without_its_tool(self, before: int, kit: Kit, turns: list[Turn]) -> str:
        """The first request of the conversation before, and into the kit its tools but the one that fitted."""
        plan = self._plan(before)
        other, others = self._setup(before, plan)
        fitting = others[0].wanted[0].offer
        further = [turn for turn in turns[1:] if not any(alike(wanted.offer, fitting) for wanted in turn.wanted)]
        turns[:] = [Turn("no_tool", others[0].wanted), *further]
        kit.offers = {key: offer for key, offer in kit.offers.items() if not alike(offer, fitting)}
        for offer in other.offers.values():
            if offer.key != fitting.key and len(kit.offers) < max(self.tools):
                kit.add(offer)
        rng = Random(f"{self.base}|{before}|other")
        while not kit.offers:  # all it had was like the tool that fitted
            if not alike(offer := self.shelf.beside(rng), fitting):
                kit.add(offer)
        return self._opening(before, plan, others[0])

    def _plan(self, number: int) -> Plan:
        """The turns of a conversation; about half of the share without a fitting tool comes from pairs."""
        mix, rng = self.mix, Random(f"{self.base}|{number}|plan")
        register = draw_register(rng)
        if number % 2 and rng.random() < PAIRED and self._plan(number - 1).kinds[0] == "call":
            return Plan(register, ("paired", *rng.choice([("call",), ("call",), ()])), False)
        trouble = rng.choices(list(TROUBLES), list(TROUBLES.values()))[0] if rng.random() < mix.errors else ""
        dependent = rng.random() < mix.dependent / (1 - PAIRS)
        kinds = ["parallel"] if rng.random() < mix.parallel else []
        kinds += ["no_tool"] if rng.random() < max(mix.no_tool - PAIRS, 0) else []
        kinds += ["ask_back"] if rng.random() < mix.ask_back else []
        kinds += [trouble] if trouble and not (trouble == "busy" and dependent) else []
        if not dependent:
            kinds += ["call"] * (rng.choice((1, 1, 2)) if len(kinds) < 2 else 0)
        rng.shuffle(kinds)
        if dependent:
            kinds.insert(rng.choice((0, len(kinds))), "dependent")
        if "call" in kinds and rng.random() < 0.6:
            kinds.sort(key=lambda name: name != "call")
        return Plan(register, tuple(kinds), trouble == "busy" and dependent)

    def _opening(self, number: int, plan: Plan, turn: Turn) -> str:
        """The first request if it is a single call."""
        if turn.kind != "call":
            return ""
        wanted = turn.wanted[0]
        return request(Speech(wanted.offer, wanted.said, {}), Random(f"{self.base}|{number}|opening"), plan.register)

    def _setup(self, number: int, plan: Plan) -> tuple[Kit, list[Turn]]:
        """The tools of a conversation, and what is asked for in its turns."""
        rng, kit, shelf = Random(f"{self.base}|{number}|setup"), Kit(), self.shelf
        for step in range(self.walked if self.walk else 0):
            kit.add(self.walk[(self.walked * number + step) % len(self.walk)])
        kit.walked = set(kit.offers)
        turns = [self._turn(name, kit, rng) for name in plan.kinds]
        # What is declared must not tell whether a tool fits: where none is asked for, one that could be is there too.
        asked = [offer for key, offer in kit.offers.items() if key not in kit.walked] or [self._asked(kit, rng)]
        most = rng.choice(self.tools)
        for _ in range(3 * most):
            if len(kit.offers) < most:
                near = shelf.near(rng.choice(asked), rng) if rng.random() < NEAR else None
                kit.add(near or shelf.beside(rng))
        for index, turn in enumerate(turns):
            if turn.kind == "no_tool":
                turns[index] = replace(turn, wanted=(want(shelf.outside(kit, rng), rng),))
        return kit, turns

    def _turn(self, name: str, kit: Kit, rng: Random) -> Turn:
        if name in ("paired", "no_tool"):
            return Turn(name)  # what isn't declared is known when the rest is
        if name == "dependent" and (tree := self._tree(kit, rng)) is not None:
            return Turn(name, tree=tree)
        if name == "parallel":
            offer = self._asked(kit, rng)
            same = bool(offer.parameters) and rng.random() < 0.6
            offers = [offer] * rng.choice((2, 2, 3)) if same else [offer, self._asked(kit, rng)]
            return Turn(name, tuple(want(each, rng) for each in offers))
        for _ in range(TRIES):
            offer = self._candidate(name, kit, rng)
            wanted = want(offer, rng)
            if self._suits(name, wanted) and (kit.offers.get(offer.key) == offer or kit.add(offer)):
                asked = naming(offer, wanted.arguments) if name == "search" else None
                link = None if asked is None else self.shelf.list_of(offer, asked.stem, wanted.arguments)
                if link is None or self.shelf.declare(link.before, kit, rng):
                    return Turn(name, (wanted,), link=link)
        return Turn("busy" if name in TROUBLES else "call", (want(self._asked(kit, rng), rng),))

    def _candidate(self, name: str, kit: Kit, rng: Random) -> Offer:
        """A tool that a turn of this kind may be about."""
        if name == "search" and self.shelf.searchable:
            return rng.choice(self.shelf.searchable)
        offer = self._asked(kit, rng, keep=False)
        return (hide_spelling(offer, rng) or offer) if name == "spelling" else offer

    def _suits(self, name: str, wanted: Wanted) -> bool:
        """Whether a turn of this kind can be about the call."""
        offer, arguments = wanted.offer, wanted.arguments
        asked = naming(offer, arguments)
        if name == "ask_back":
            return any(asked.required for asked in offer.parameters)
        if name == "spelling":
            return any(asked.hidden for asked in offer.parameters)
        if name == "missing":
            return asked is not None
        if name == "search":
            return asked is not None and self.shelf.list_of(offer, asked.stem, arguments) is not None
        if name == "exists":
            return named_new(offer, arguments) is not None
        if name == "limit":
            number = bounded(offer, arguments)
            return number is not None and smaller(number, arguments[number.name], Random(0)) is not None
        return True

    def _asked(self, kit: Kit, rng: Random, *, keep: bool = True) -> Offer:
        """A tool to ask for, one that is there already in part of the turns; `keep`: it is declared."""
        there = [offer for key, offer in kit.offers.items() if key not in kit.walked and simple(offer)]
        if there and rng.random() < AGAIN:
            return rng.choice(there)
        for _ in range(TRIES):
            offer = self.shelf.fresh(rng)
            offer = kit.offers.get(offer.key, offer)
            if offer.key in kit.offers or not keep or kit.add(offer):
                return offer
        return rng.choice(list(kit.offers.values()))

    def _tree(self, kit: Kit, rng: Random) -> Tree | None:
        """Calls that depend on each other; None where the tools hand nothing over, as those of a small server."""
        shelf = self.shelf
        source = shelf.source(rng, LIBRARY_CHAINS)
        able = [name for name, weight in shelf.weights.items() if weight > 0 and shelf.starts[name]]
        for attempt in range(4 * TRIES if able else 0):
            if attempt % TRIES > 4 or source not in able:
                source = able[attempt // TRIES % len(able)]
            tree = draw_tree(rng.choice(shelf.starts[source]), shelf.links, shelf.action, shelf.lists, rng)
            if tree is not None and all(shelf.declare(hop.key, kit, rng) for hop in tree.hops):
                return tree
        return None
