"""Writes the turns whose calls depend on each other: a tree of calls, over one message of the user or several."""

import json
from collections.abc import Sequence
from typing import Any

from agents.requests.answers import act
from agents.requests.dialog import Dialog, Done
from agents.requests.links import Link
from agents.requests.results import EACH, Path
from agents.requests.shelf import Kit
from agents.requests.trees import LEAST, Hop, Pick, Tree, draw_pick, entries_of, linked, repeated
from agents.requests.values import ISO, words
from agents.requests.wanted import Wanted, want
from agents.requests.wording import Reference, Speech, followed, request, same_for, upper

TRIES = 100


class TreeWriter:
    """Writes the turns of a tree.

    done: the calls of each hop. picks: which entry of a list each hop goes on with.
    """

    def __init__(self, dialog: Dialog, kit: Kit, tree: Tree) -> None:
        self.dialog, self.kit, self.tree, self.rng = dialog, kit, tree, dialog.rng
        self.done: list[list[Done]] = []
        self.picks: list[Pick | None] = []

    def write(self) -> None:
        start = 0
        for size in self.tree.turns:
            before = ""
            for number, draft in enumerate(self._request(start, size), start):
                before = self._hop(number, draft, start) or before
                if self.dialog.lost(self.done[-1][0]):
                    return
            start += size
            self.dialog.tell(self.done[-1], before if self.rng.random() < 0.6 else "")

    def _request(self, start: int, size: int) -> list[Wanted]:
        """What the user says to the hops from `start`; the calls as far as they are known then."""
        self.dialog.kinds.append("call" if start == 0 and size == 1 else "dependent")
        text, drafts = "", list[Wanted]()
        for number in range(start, start + size):
            hop, later = self.tree.hops[number], number == start
            pick = self._pick(number, later)
            self.picks.append(pick)
            if hop.link is None:
                draft = want(self.kit.offers[hop.key], self.rng)
                text = self.dialog.request_for(draft)
            elif hop.mode == "again" and pick is not None:
                draft = self.done[number - 1][0].wanted
                text = same_for(pick.which, self.rng)
            else:
                source = self.done[hop.source] if hop.source < len(self.done) else []
                before = source[0].wanted if source else drafts[hop.source - start]
                draft, sentence = self._follow(hop, hop.link, pick, before, source, later)
                text = followed(text, sentence, self.rng) if text else sentence
            drafts.append(draft)
        self.dialog.user(text)
        return drafts

    def _follow(
        self, hop: Hop, link: Link, pick: Pick | None, before: Wanted, source: Sequence[Done], later: bool
    ) -> tuple[Wanted, str]:
        """A call that goes on with what another one returns, and the sentence that asks for it."""
        offer = self.kit.offers[hop.key]
        coming = [offer.names[stem] for stem in link.takes]
        draft = want(offer, self.rng, repeated(link, offer, before), coming, _last_day(before, source))
        which = "" if pick is None else pick.which
        if pick is not None and hop.mode == "both":
            which = "the first two of them" if later else "the first two"
        pointed = {name: Reference(_noun(link), which, later) for name in coming}
        speech = Speech(offer, draft.said, pointed, "later" if later else "then")
        return draft, request(speech, self.rng, self.dialog.register)

    def _pick(self, number: int, later: bool) -> Pick | None:
        """Which entry of a list a hop goes on with; with that of its neighbour in the same breath."""
        hop, hops = self.tree.hops[number], self.tree.hops
        if hop.link is None or not hop.link.listed:
            return None
        if hop.mode == "both":
            return Pick("the first two", lambda entries: 0)
        beside = [self.picks[k] for k in range(1, number) if hops[k].source == hop.source]
        same = [pick for pick in beside if pick is not None]
        deleted = any(self.kit.offers[hops[k].key].action == "delete" for k in range(1, number))
        if same and not later and not deleted:
            return Pick("the same one", same[-1].index)
        taken = [pick.which for pick in same]
        offer = self.kit.offers[hops[hop.source].key]
        if not taken:
            return draw_pick(offer, self.rng)
        entries = entries_of(self.done[hop.source][0].result, hop.link) if hop.source < len(self.done) else []
        used = {pick.index(entries) for pick in same} if entries else set()
        for _ in range(TRIES):
            pick = draw_pick(offer, self.rng, taken)
            if not entries or pick.index(entries) not in used:
                return pick
        raise ValueError("no other entry to go on with")

    def _hop(self, number: int, draft: Wanted, start: int) -> str:
        """Calls one step; returns what the answer may say about the entry that was chosen."""
        hop, dialog = self.tree.hops[number], self.dialog
        links = [other.link for other in self.tree.hops if other.link is not None and other.source == number]
        paths = [path for link in links for path in link.takes.values()]
        least = LEAST if any(EACH in path for path in paths) else 0
        if hop.link is None:
            self._attempt(draft, self._first_reason(draft), paths, least)
            return ""
        offer, source, pick = self.kit.offers[hop.key], self.done[hop.source][0], self.picks[number]
        entries = entries_of(source.result, hop.link)
        index = pick.index(entries) if pick is not None else 0
        values = [linked(hop.link, offer, source.result, k) for k in ((0, 1) if hop.mode == "both" else (index,))]
        wanted = [_completed(draft, each) for each in values]
        value, noun = next(iter(values[0].values())), _noun(hop.link)
        which = pick.which if pick is not None else ""
        parts = {"t": offer.name, "p": noun, "v": value, "b": act(offer), "o": source.wanted.offer.name}
        if number > start:
            reason = dialog.think("choose" if pick else "next", r=which, **parts)
        else:
            reason = dialog.think("refer", q=which if pick else f"that {noun}", **parts)
        if len(wanted) > 1:
            both = " and ".join(str(next(iter(each.values()))) for each in values)
            reason = dialog.think("choose_two", t=offer.name, p=noun, v=both)
            self.done.append(dialog.call(wanted, reason, paths=paths, least=least))
            return ""
        self._attempt(wanted[0], reason, paths, least)
        chosen = pick is not None and which != "the same one" and number - start == 1
        return dialog.about("chosen", r=which, R=upper(which), v=value) if chosen else ""

    def _attempt(self, wanted: Wanted, reason: str, paths: Sequence[Path], least: int) -> None:
        done = self.dialog.attempt(wanted, reason, paths, least)
        assert done is not None  # it is not given up
        self.done.append([done])

    def _first_reason(self, draft: Wanted) -> str:
        """Of the first call; where the next one follows at once, it is a step towards that."""
        dialog, following = self.dialog, self.tree.hops[1]
        reason = dialog.reason_for(draft)
        if self.tree.turns[0] == 1:
            return reason
        assert following.link is not None
        b2 = act(self.kit.offers[following.key])
        return dialog.think("first", t=draft.offer.name, p=_noun(following.link), b2=b2)


def _completed(draft: Wanted, values: dict[str, Any]) -> Wanted:
    """The call with what it holds of an earlier result, in the order of its declaration."""
    arguments = {}
    for asked in draft.offer.parameters:
        if asked.name in values:
            arguments[asked.name] = asked.written(values[asked.name])
        elif asked.name in draft.arguments:
            arguments[asked.name] = draft.arguments[asked.name]
    return Wanted(draft.offer, draft.said, arguments)


def _last_day(before: Wanted, done: Sequence[Done]) -> str:
    """The last ISO date in a call and its result; empty without one."""
    given = [before.said, *((each.wanted.arguments, each.result) for each in done)]
    return max(ISO.findall(json.dumps(given)), default="")


def _noun(link: Link) -> str:
    """What is handed over, in words."""
    path = next(iter(link.takes.values()))
    if path == ("result",):
        return "result"
    return words(path[-1] if path[-1] != EACH else path[0].removesuffix("s"))
