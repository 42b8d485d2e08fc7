"""Writes the turns of a conversation: what is said, called and answered, whatever comes in between."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from agents.requests import answers, wording
from agents.requests.answers import act, asked_back, declined
from agents.requests.dialog import Dialog, Done, Wanted, want
from agents.requests.links import Link
from agents.requests.results import EACH, Path, plain, values_at
from agents.requests.shelf import Kit
from agents.requests.trees import LEAST, Hop, Pick, Tree, draw_pick, entries_of, linked, repeated
from agents.requests.troubles import bounded, error, misspelled, named_new, naming, smaller
from agents.requests.values import ISO, words
from agents.requests.wording import Reference, Speech, followed, join_sentence, request, same_for

GIVEN_UP = 0.12  # of calls that fail for a while: twice, then the agent says so
ENDED = 0.2  # of records that are not found: the user lets it be
TRIES = 100
JOINS = [" Also, ", " And ", " Then ", " Besides, ", " In addition, ", " ", " Plus, ", " Apart from that, "]


@dataclass(frozen=True)
class Turn:
    """What happens, and the calls that are asked for, or their tree.

    kind: `call`, `parallel`, `dependent`; without a call at first `no_tool`, `ask_back`; with an error `busy` (tried
    again), `denied`, `missing` (a record; the user is asked), `search` (the agent looks for it), `limit`, `exists` (the
    user decides), `spelling` (the agent corrects it). link: of a `search`, how what there is can be listed.
    """

    kind: str
    wanted: tuple[Wanted, ...] = ()
    tree: Tree | None = None
    link: Link | None = None


class Writer:
    """Writes the turns of a conversation."""

    def __init__(self, dialog: Dialog, kit: Kit, *, busy: bool) -> None:
        self.dialog, self.kit, self.rng = dialog, kit, dialog.rng
        self.busy = busy  # one call more is going to fail for a while

    def turn(self, turn: Turn, opening: str) -> None:
        """Args: opening: the user's words, where they are given."""
        if turn.tree is not None:
            self._dependent(turn.tree)
            return
        self.dialog.kinds.append(turn.kind)
        if turn.kind == "parallel":
            self._parallel(turn.wanted)
            return
        wanted = turn.wanted[0]
        match turn.kind:
            case "call" | "busy":
                self.busy |= turn.kind == "busy"
                self.dialog.user(opening or self._said(wanted))
                self._finish(wanted)
            case "no_tool":
                self.dialog.user(opening or self._said(wanted))
                offer = wanted.offer
                self.dialog.say(declined(offer, self.rng), self.dialog.think("none", b=act(offer)))
            case "ask_back":
                self._ask(wanted)
            case "denied":
                self._denied(wanted)
            case "missing":
                self._missing(wanted)
            case "search":
                assert turn.link is not None
                self._search(wanted, turn.link)
            case "limit":
                self._limit(wanted)
            case "exists":
                self._exists(wanted)
            case "spelling":
                self._spelling(wanted)

    def _said(self, wanted: Wanted, after: str = "") -> str:
        spoken = any(message["role"] == "user" for message in self.dialog.messages)
        speech = Speech(wanted.offer, wanted.said, {}, after or ("turn" if spoken else "start"))
        return request(speech, self.rng, self.dialog.register)

    def _reason(self, wanted: Wanted) -> str:
        return self.dialog.think("call", t=wanted.offer.name, b=act(wanted.offer))

    def _try(self, wanted: Wanted, reason: str, paths: Sequence[Path] | None = None, least: int = 0) -> Done | None:
        """The call, twice where the server is busy; None when the agent gave up and said so.

        Args:
            paths, least: as in `Simulator.call`, of a call that others may go on from, and which is not given up.
        """
        dialog, rng = self.dialog, self.rng
        if self.busy and (paths is None or rng.random() < 0.6):
            self.busy = False
            trouble = error("busy", wanted.offer, rng)
            dialog.call([wanted], reason, results=[trouble])
            reason = dialog.think("again")
            if paths is None and rng.random() < GIVEN_UP:
                dialog.call([wanted], reason, results=[trouble])
                dialog.say(self._about("unavailable", e=_message(trouble)), dialog.think("given_up"))
                return None
        return dialog.call([wanted], reason, paths=paths or (), least=least)[0]

    def _finish(self, wanted: Wanted, reason: str = "", before: str = "") -> None:
        done = self._try(wanted, reason or self._reason(wanted))
        if done is not None and not self._lost(done):
            self.dialog.tell([done], before)

    def _lost(self, done: Done) -> bool:
        """Whether a call was about what was deleted before; the agent says so."""
        if list(done.result) != ["error"]:
            return False
        texts = [str(value) for value in done.wanted.arguments.values() if isinstance(value, str)]
        value = next(text for text in texts if text in _message(done.result))
        reason = self.dialog.think("missing_record", v=value, p="name")
        self.dialog.say(self._about("not_found_end", v=value, p="record"), reason)
        return True

    def _about(self, name: str, **parts: Any) -> str:
        return answers.about(name, self.rng, **parts)

    # ---- without a dependent call --------------------------------------------------------------------------------

    def _ask(self, wanted: Wanted) -> None:
        """One or two required values are missing; the user gives them when he is asked."""
        dialog, rng = self.dialog, self.rng
        required = [asked for asked in wanted.offer.parameters if asked.required]
        missing = rng.sample(required, 2 if len(required) > 2 and rng.random() < 0.2 else 1)
        names = {asked.name for asked in missing}
        partial = replace(wanted, said={name: value for name, value in wanted.said.items() if name not in names})
        p = " and ".join(words(asked.stem) for asked in missing)
        dialog.user(self._said(partial))
        dialog.say(asked_back(missing, rng), dialog.think("missing", t=wanted.offer.name, p=p))
        dialog.user(wording.supplied(missing, [wanted.said[asked.name] for asked in missing], rng))
        self._finish(wanted, dialog.think("supplied", t=wanted.offer.name, p=p))

    def _parallel(self, wanted: Sequence[Wanted]) -> None:
        dialog, rng = self.dialog, self.rng
        text = self._said(wanted[0])
        for further in wanted[1:]:
            text = text if text[-1] in ".?!" else text + "."
            text += join_sentence(rng.choice(JOINS), self._said(further, "sentence"))
        dialog.user(text)
        dialog.tell(dialog.call(wanted, dialog.think("parallel", n=len(wanted))))

    # ---- errors --------------------------------------------------------------------------------------------------

    def _refused(self, kind: str, wanted: Wanted, reason: str = "", **parts: Any) -> str:
        """The call whose result reports an error, and the error's text."""
        trouble = error(kind, wanted.offer, self.rng, **parts)
        self.dialog.call([wanted], reason or self._reason(wanted), results=[trouble])
        return _message(trouble)

    def _denied(self, wanted: Wanted) -> None:
        self.dialog.user(self._said(wanted))
        message = self._refused("denied", wanted)
        self.dialog.say(self._about("denied", e=message), self.dialog.think("denied"))

    def _missing(self, wanted: Wanted) -> None:
        """The user mistyped what names a record; he is told, and corrects himself or lets it be."""
        dialog, rng = self.dialog, self.rng
        asked = naming(wanted.offer, wanted.arguments)
        assert asked is not None
        right = wanted.arguments[asked.name]
        wrong = misspelled(right, rng)
        typed = _with(wanted, asked.name, wrong)
        p = words(asked.stem)
        dialog.user(self._said(typed))
        self._refused("missing", typed, v=wrong)
        if rng.random() < ENDED:
            dialog.say(self._about("not_found_end", v=wrong, p=p), dialog.think("missing_record", v=wrong, p=p))
            return
        dialog.say(self._about("not_found", v=wrong, p=p), dialog.think("missing_record", v=wrong, p=p))
        dialog.user(wording.corrected(asked, right, rng))
        self._finish(wanted, dialog.think("corrected", p=p, v=right, t=wanted.offer.name))

    def _search(self, wanted: Wanted, link: Link) -> None:
        """The user mistyped a name; the agent lists what there is and takes the one that is nearly the same."""
        dialog, rng = self.dialog, self.rng
        asked = naming(wanted.offer, wanted.arguments)
        assert asked is not None
        right = wanted.arguments[asked.name]
        wrong, path, p = misspelled(right, rng), link.takes[asked.stem], words(asked.stem)
        finder = self.kit.offers[link.before]
        given = {
            other.stem: wanted.arguments[other.name]
            for other in wanted.offer.parameters
            if other.name in wanted.arguments
        }
        arguments = {other.name: given[other.stem] for other in finder.parameters if other.required}
        typed = _with(wanted, asked.name, wrong)
        dialog.user(self._said(typed))
        self._refused("missing", typed, v=wrong)
        dialog.simulator.created.append((finder.group, {plain(path[-1]): right}))
        found = Wanted(finder, {}, arguments)
        done = dialog.call([found], dialog.think("search", v=wrong, t=finder.name, p=p), paths=[path], least=2)[0]
        values = values_at(done.result, path)
        if right not in values:
            dialog.say(self._about("not_found_end", v=wrong, p=p), dialog.think("missing_record", v=wrong, p=p))
            return
        done = dialog.call([wanted], dialog.think("similar", v=right))[0]
        dialog.tell([done], self._about("searched", v=wrong, w=right))

    def _limit(self, wanted: Wanted) -> None:
        """The server takes less than what was asked for; the user decides."""
        dialog, rng = self.dialog, self.rng
        asked = bounded(wanted.offer, wanted.arguments)
        assert asked is not None
        value, p = wanted.arguments[asked.name], words(asked.stem)
        chosen = smaller(asked, value, rng) or smaller(asked, value, Random(0))
        assert chosen is not None
        dialog.user(self._said(wanted))
        message = self._refused("limit", wanted, p=asked.name, v=value, m=chosen[0])
        dialog.say(self._about("limit", e=message, p=p), dialog.think("limit", p=p))
        dialog.user(wording.corrected(asked, chosen[1], rng))
        again = _with(wanted, asked.name, chosen[1])
        self._finish(again, dialog.think("corrected", p=p, v=chosen[1], t=wanted.offer.name))

    def _exists(self, wanted: Wanted) -> None:
        """The name of what is to be created is taken; the user gives another one."""
        dialog, rng = self.dialog, self.rng
        asked = named_new(wanted.offer, wanted.arguments)
        assert asked is not None
        value, p = wanted.arguments[asked.name], words(asked.stem)
        other = next(drawn for drawn in (asked.draw(rng)[1] for _ in range(TRIES * 4)) if drawn != value)
        dialog.user(self._said(wanted))
        message = self._refused("exists", wanted, p=p, v=value)
        dialog.say(self._about("limit", e=message, p=p), dialog.think("limit", p=p))
        dialog.user(wording.corrected(asked, other, rng))
        again = _with(wanted, asked.name, other)
        self._finish(again, dialog.think("corrected", p=p, v=other, t=wanted.offer.name))

    def _spelling(self, wanted: Wanted) -> None:
        """The server wants a date or a choice spelled in a way that the declaration did not say."""
        dialog = self.dialog
        asked = next(asked for asked in wanted.offer.parameters if asked.hidden)
        right, p = wanted.arguments[asked.name], words(asked.stem)
        assert asked.type is not None
        if asked.form:
            wrong, expected = wanted.said[asked.name], asked.form
        else:
            wrong, expected = words(right), f"one of {', '.join(asked.type.values)}"
            wanted = replace(wanted, said=wanted.said | {asked.name: wrong})
        dialog.user(self._said(wanted))
        if wrong != right:
            self._refused("spelling", _with(wanted, asked.name, wrong, say=False), p=asked.name, v=wrong, m=expected)
        self._finish(wanted, dialog.think("spelling", p=p, v=right), self._about("adjusted", p=p, w=right))

    # ---- calls that depend on each other -------------------------------------------------------------------------

    def _dependent(self, tree: Tree) -> None:
        done: list[list[Done]] = []
        picks: list[Pick | None] = []
        at = 0
        for size in tree.turns:
            hops = tree.hops[at : at + size]
            drafts = self._request(tree, at, size, done, picks)
            before = ""
            for offset, hop in enumerate(hops):
                before = self._hop(tree, at + offset, hop, drafts[offset], done, picks, at) or before
                if any(self._lost(each) for each in done[-1][:1]):
                    return
            at += size
            self.dialog.tell(done[-1], before if self.rng.random() < 0.6 else "")

    def _request(
        self, tree: Tree, at: int, size: int, done: Sequence[Sequence[Done]], picks: list[Pick | None]
    ) -> list[Wanted]:
        """What the user says to the hops from `at`; the calls as far as they are known then."""
        rng, dialog = self.rng, self.dialog
        dialog.kinds.append("call" if at == 0 and size == 1 else "dependent")
        text, drafts = "", list[Wanted]()
        for number in range(at, at + size):
            hop = tree.hops[number]
            offer = self.kit.offers[hop.key]
            later = number == at
            before = (
                done[hop.source][0].wanted if hop.source < len(done) else drafts[hop.source - at] if drafts else None
            )
            pick = self._pick(tree, hop, number, later, done, picks)
            picks.append(pick)
            if hop.link is None:
                draft = want(offer, rng)
                text = self._said(draft)
            elif hop.mode == "again" and pick is not None:
                draft = done[number - 1][0].wanted
                text = same_for(pick.which, rng)
            else:
                assert before is not None
                names = {asked.stem: asked.name for asked in offer.parameters}
                known = repeated(hop.link, offer, before)
                coming = [names[stem] for stem in hop.link.takes]
                draft = want(
                    offer, rng, known, coming, _last_day(before, done[hop.source] if hop.source < len(done) else ())
                )
                noun = _noun(hop.link)
                which = "" if pick is None else pick.which
                if pick is not None and hop.mode == "both":
                    which = "the first two" if not later else "the first two of them"
                pointed = {name: Reference(noun, which, later) for name in coming}
                speech = Speech(offer, draft.said, pointed, "later" if later else "then")
                sentence = request(speech, rng, dialog.register)
                text = followed(text, sentence, rng) if text else sentence
            drafts.append(draft)
        dialog.user(text)
        return drafts

    def _pick(
        self,
        tree: Tree,
        hop: Hop,
        number: int,
        later: bool,
        done: Sequence[Sequence[Done]],
        picks: Sequence[Pick | None],
    ) -> Pick | None:
        """Which entry of a list a hop goes on with; with that of its neighbour in the same breath."""
        if hop.link is None or not hop.link.listed:
            return None
        if hop.mode == "both":
            return Pick("the first two", lambda entries: 0)
        beside = [
            picks[k] for k in range(1, number) if tree.hops[k].source == hop.source and tree.hops[k].link is not None
        ]
        same = [pick for pick in beside if pick is not None]
        deleted = any(self.kit.offers[tree.hops[k].key].action == "delete" for k in range(1, number))
        if same and not later and not deleted:
            return Pick("the same one", same[-1].index)
        taken = [pick.which for pick in same]
        offer = self.kit.offers[tree.hops[hop.source].key]
        if not taken:
            return draw_pick(offer, self.rng)
        entries = entries_of(done[hop.source][0].result, hop.link) if hop.source < len(done) else []
        used = {pick.index(entries) for pick in same} if entries else set()
        for _ in range(TRIES):
            pick = draw_pick(offer, self.rng, taken)
            if not entries or pick.index(entries) not in used:
                return pick
        raise ValueError("no other entry to go on with")

    def _hop(
        self,
        tree: Tree,
        number: int,
        hop: Hop,
        draft: Wanted,
        done: list[list[Done]],
        picks: Sequence[Pick | None],
        at: int,
    ) -> str:
        """Calls one step; returns what the answer may say about the entry that was chosen."""
        dialog, offer = self.dialog, self.kit.offers[hop.key]
        coming = [other for k, other in enumerate(tree.hops) if other.link is not None and other.source == number and k]
        paths = [path for other in coming if other.link is not None for path in other.link.takes.values()]
        least = LEAST if any(EACH in path for path in paths) else 0
        if hop.link is None:
            first = tree.turns[0] > 1 and number == 0 and len(tree.hops) > 1
            reason = self._reason(draft)
            if first and dialog.thoughtful:
                following = tree.hops[1]
                assert following.link is not None
                reason = dialog.think(
                    "first", t=offer.name, p=_noun(following.link), b2=act(self.kit.offers[following.key])
                )
            answered = self._try(draft, reason, paths, least)
            assert answered is not None
            done.append([answered])
            return ""
        source, pick = done[hop.source][0], picks[number]
        entries = entries_of(source.result, hop.link)
        index = pick.index(entries) if pick is not None else 0
        values = [linked(hop.link, offer, source.result, k) for k in ((0, 1) if hop.mode == "both" else (index,))]
        names = [asked for asked in offer.parameters if asked.name in draft.arguments or asked.name in values[0]]
        wanted = []
        for each in values:
            given = {asked.name: asked.written(each[asked.name]) for asked in names if asked.name in each}
            arguments = {asked.name: (draft.arguments | given)[asked.name] for asked in names}
            wanted.append(Wanted(offer, draft.said, arguments))
        value = next(iter(values[0].values()))
        told_before = source.wanted.offer.name
        parts = {"t": offer.name, "p": _noun(hop.link), "v": value, "b": act(offer), "o": told_before}
        if number > at:
            reason = dialog.think("choose" if pick else "next", r=pick.which if pick else "", **parts)
        else:
            reason = dialog.think("refer", q=pick.which if pick else f"that {_noun(hop.link)}", **parts)
        if len(wanted) > 1:
            both = " and ".join(str(next(iter(each.values()))) for each in values)
            reason = dialog.think("choose_two", t=offer.name, p=_noun(hop.link), v=both)
            done.append(dialog.call(wanted, reason, paths=paths, least=least))
            return ""
        answered = self._try(wanted[0], reason, paths, least)
        assert answered is not None
        done.append([answered])
        told_now = pick is not None and number > at and pick.which != "the same one" and number - at == 1
        which = pick.which if pick is not None else ""
        return self._about("chosen", r=which, R=wording.upper(which), v=value) if told_now else ""


def _last_day(before: Wanted, done: Sequence[Done]) -> str:
    """The last ISO date in a call and its result; empty without one."""
    return max(
        ISO.findall(json.dumps([before.said, *((each.wanted.arguments, each.result) for each in done)])), default=""
    )


def _noun(link: Link) -> str:
    """What is handed over, in words."""
    path = next(iter(link.takes.values()))
    if path == ("result",):
        return "result"
    return words(path[-1] if path[-1] != EACH else path[0].removesuffix("s"))


def _with(wanted: Wanted, name: str, value: Any, *, say: bool = True) -> Wanted:
    """The call with another value of one argument, which the user says as well."""
    said = wanted.said | ({name: value} if say else {})
    return replace(wanted, said=said, arguments=wanted.arguments | {name: value})


def _message(trouble: Mapping[str, Any]) -> str:
    told = trouble["error"]
    return str(told["message"]) if isinstance(told, dict) else str(told)
