"""All tools that conversations can declare, by source and by what is near what."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from agents.requests.links import Link, Links
from agents.requests.offers import Action, Offer, action_of, everyday_offer, spec_offer
from agents.requests.results import EACH, plain
from agents.requests.values import words
from agents.tools.everyday import EverydayTool

SPECIFIED = ("library", "service", "mcp")


def kind(group: str) -> str:
    """The source, of SPECIFIED, that a group of `spec_offer` belongs to."""
    return {"python": "library", "mcp": "mcp"}.get(group.partition("/")[0], "service")


def simple(offer: Offer) -> bool:
    """Whether a sentence asks for it well: a function needs flat arguments and a description of what it does."""
    if offer.tool is not None or kind(offer.group) != "library":
        return True
    nested = any(
        asked.schema["type"] == "object" or (asked.schema.get("items") or {}).get("type") in ("array", "object")
        for asked in offer.parameters
        if asked.required
    )
    return offer.worded and bool(offer.parameters) and not nested


def alike(offer: Offer, other: Offer) -> bool:
    """Whether a request or a call could not tell them apart."""
    return plain(offer.name) == plain(other.name) or (offer.verb, offer.what) == (other.verb, other.what)


@dataclass
class Kit:
    """The tools of a conversation: by key, as it declares them. walked: keys of those that came by their order."""

    offers: dict[str, Offer] = field(default_factory=dict)
    walked: set[str] = field(default_factory=set)

    def add(self, offer: Offer) -> bool:
        """Unless it is there, or one like it."""
        if offer.key in self.offers or any(alike(offer, other) for other in self.offers.values()):
            return False
        self.offers[offer.key] = offer
        return True


class Shelf:
    """The tools by source, `everyday` and SPECIFIED.

    Args:
        rows: of tools.parquet; those of a simulated world, and the authored, don't count.
        weights: of sources among the tools that are asked for; of `mcp` where there are some.
        beside: share of everyday tools among those declared beside.

    Raises:
        ValueError: a source has a weight but no tool that can be asked for.
    """

    def __init__(
        self,
        everyday: Sequence[EverydayTool],
        rows: Sequence[Mapping[str, Any]],
        weights: Mapping[str, float],
        beside: float,
    ) -> None:
        self.beside_share = beside
        self.authored = {tool.key: tool for tool in everyday}
        self.domains: dict[str, list[EverydayTool]] = defaultdict(list)
        for tool in everyday:
            self.domains[tool.domain].append(tool)
        self.groups: dict[str, list[Offer]] = defaultdict(list)
        for row in rows:
            if row["source"] != "everyday" and not row["state_model"]:
                offer = spec_offer(row)
                self.groups[offer.group].append(offer)
        self.specified = {offer.key: offer for offers in self.groups.values() for offer in offers}
        self.sources: dict[str, list[Offer]] = {source: [] for source in SPECIFIED}
        for offer in self.specified.values():
            self.sources[kind(offer.group)].append(offer)
        self.askable = {source: [offer for offer in offers if simple(offer)] for source, offers in self.sources.items()}
        self.weights = {**weights, "mcp": weights["mcp"] if self.sources["mcp"] else 0.0}
        for source, weight in self.weights.items():
            if weight > 0 and not (everyday if source == "everyday" else self.askable[source]):
                raise ValueError(f"{source}: no tool can be asked for")
        self.by_word: dict[str, list[Offer]] = defaultdict(list)
        for offer in (offer for source, offers in self.sources.items() if self.weights[source] > 0 for offer in offers):
            for word in {word for word in words(offer.what).split() if len(word) > 3}:
                self.by_word[word].append(offer)
        self.links = Links(everyday, self.groups)
        self.starts = self._starts()
        self.searchable = [
            offer
            for source, offers in self.sources.items()
            for offer in offers
            if self.weights[source] > 0
            and any(self.list_of(offer, asked.stem, _required(offer)) for asked in offer.parameters)
        ]

    def _starts(self) -> dict[str, list[list[Link]]]:
        """Links of each tool that hands over a text, by source; of functions, which hand over numbers, all."""
        starts: dict[str, list[list[Link]]] = {source: [] for source in ("everyday", *SPECIFIED)}
        for key, links in self.links.after.items():
            source = "everyday" if key in self.authored else kind(self.specified[key].group)
            if textual := [link for link in links if source != "everyday" or self._textual(link)]:
                starts[source].append(textual)
        return starts

    def _textual(self, link: Link) -> bool:
        """Whether an authored tool hands over a text that the user did not say himself."""
        tool = self.authored[link.before]
        own = {parameter.name for parameter in tool.parameters}
        new = [path[-1] for path in link.takes.values() if path[-1] not in own]
        return any(tool.returns[name].base not in ("int", "number", "formula", "share") for name in new)

    def declare(self, key: str, kit: Kit, rng: Random) -> bool:
        """Puts a tool into the kit; False where one like it is there."""
        return key in kit.offers or kit.add(self.form(key, rng))

    def form(self, key: str, rng: Random) -> Offer:
        """What a conversation declares a tool as."""
        return everyday_offer(self.authored[key], rng) if key in self.authored else self.specified[key]

    def action(self, key: str) -> Action:
        """What a tool does to a record."""
        tool = self.authored.get(key)
        return self.specified[key].action if tool is None else action_of(tool.verb, tool.what)

    def lists(self, key: str) -> bool:
        """Whether a tool returns several records."""
        if key in self.authored:
            return self.authored[key].verb == "find"
        return any(own["type"] == "array" for own in self.specified[key].returns.get("properties", {}).values())

    def source(self, rng: Random, library: float = 1.0) -> str:
        """One of the sources of what is asked for; library functions with so much of their weight."""
        weights = self.weights | {"library": self.weights["library"] * library}
        return rng.choices(list(weights), list(weights.values()))[0]

    def fresh(self, rng: Random) -> Offer:
        """A tool to ask for."""
        source = self.source(rng)
        return self._everyday(rng) if source == "everyday" else rng.choice(self.askable[source])

    def _everyday(self, rng: Random) -> Offer:
        return everyday_offer(rng.choice(self.domains[rng.choice(list(self.domains))]), rng)

    def beside(self, rng: Random) -> Offer:
        """A tool that stands beside those that are asked for."""
        sources = {name: self.weights[name] for name in SPECIFIED if self.sources[name] and self.weights[name] > 0}
        if not sources or (self.weights["everyday"] > 0 and rng.random() < self.beside_share):
            return self._everyday(rng)
        return rng.choice(self.sources[rng.choices(list(sources), list(sources.values()))[0]])

    def near(self, offer: Offer, rng: Random) -> Offer | None:
        """Another tool that is easily taken for it: of its group, or a real one that shares a word with it."""
        if offer.tool is not None and (not self.by_word or rng.random() < 2 * self.beside_share):
            others = [tool for tool in self.domains[offer.group] if tool.key != offer.key]
            return everyday_offer(rng.choice(others), rng) if others else None
        if offer.tool is not None:
            shared = [self.by_word[word] for word in words(offer.what).split() if word in self.by_word]
            return rng.choice(min(shared, key=len)) if shared else None
        same = [other for other in self.groups[offer.group] if other.key != offer.key]
        return rng.choice(same) if same else None

    def outside(self, kit: Kit, rng: Random) -> Offer:
        """A tool that can be asked for and isn't declared, near one that is in part of the cases."""
        declared = list(kit.offers.values())
        while True:
            other = self.near(rng.choice(declared), rng) if rng.random() < 0.5 else None
            other = other if other is not None and simple(other) else self.fresh(rng)
            if other.key not in kit.offers and not any(alike(other, offer) for offer in declared):
                return other

    def list_of(self, offer: Offer, stem: str, given: Collection[str]) -> Link | None:
        """How what a parameter names can be listed, with no argument that is not given by declared name."""
        others = {asked.stem for asked in offer.parameters if asked.name in given and asked.stem != stem}
        for link in self.links.before.get(offer.key, ()):
            path = link.takes[stem] if set(link.takes) == {stem} else ()
            records = EACH in path[:-1] and self.action(link.before) == "read"
            if records and self._needs(link.before) <= others:
                return link
        return None

    def _needs(self, key: str) -> set[str]:
        if key in self.authored:
            return {parameter.name for parameter in self.authored[key].parameters if not parameter.optional}
        return set(_required(self.specified[key]))


def _required(offer: Offer) -> list[str]:
    return [asked.name for asked in offer.parameters if asked.required]
