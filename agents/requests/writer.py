"""Writes the turns of a conversation: what is said, called and answered, whatever comes in between."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from agents.requests import wording
from agents.requests.answers import act, asked_back, declined
from agents.requests.dependent import TreeWriter
from agents.requests.dialog import Dialog
from agents.requests.links import Link
from agents.requests.offers import Asked
from agents.requests.results import plain, values_at
from agents.requests.shelf import Kit
from agents.requests.trees import Tree
from agents.requests.troubles import bounded, error, message_of, misspelled, named_new, naming, smaller
from agents.requests.values import words
from agents.requests.wanted import Wanted
from agents.requests.wording import join_sentence

ENDED = 0.2  # of records that are not found: the user lets it be
TRIES = 400  # until another name is drawn
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

    def __init__(self, dialog: Dialog, kit: Kit) -> None:
        self.dialog, self.kit, self.rng = dialog, kit, dialog.rng

    def turn(self, turn: Turn, opening: str) -> None:
        """Args: opening: the user's words, where they are given."""
        if turn.tree is not None:
            TreeWriter(self.dialog, self.kit, turn.tree).write()
            return
        self.dialog.kinds.append(turn.kind)
        if turn.kind == "parallel":
            self._parallel(turn.wanted)
            return
        wanted = turn.wanted[0]
        match turn.kind:
            case "call" | "busy":
                self.dialog.busy |= turn.kind == "busy"
                self.dialog.user(opening or self.dialog.request_for(wanted))
                self.dialog.finish(wanted)
            case "no_tool":
                self.dialog.user(opening or self.dialog.request_for(wanted))
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

    # ---- without a dependent call --------------------------------------------------------------------------------

    def _ask(self, wanted: Wanted) -> None:
        """One or two required values are missing; the user gives them when he is asked."""
        dialog, rng = self.dialog, self.rng
        required = [asked for asked in wanted.offer.parameters if asked.required]
        missing = rng.sample(required, 2 if len(required) > 2 and rng.random() < 0.2 else 1)
        names = {asked.name for asked in missing}
        partial = replace(wanted, said={name: value for name, value in wanted.said.items() if name not in names})
        p = " and ".join(words(asked.stem) for asked in missing)
        dialog.user(dialog.request_for(partial))
        dialog.say(asked_back(missing, rng), dialog.think("missing", t=wanted.offer.name, p=p))
        dialog.user(wording.supplied(missing, [wanted.said[asked.name] for asked in missing], rng))
        dialog.finish(wanted, dialog.think("supplied", t=wanted.offer.name, p=p))

    def _parallel(self, wanted: Sequence[Wanted]) -> None:
        dialog, rng = self.dialog, self.rng
        text = dialog.request_for(wanted[0])
        for further in wanted[1:]:
            text = text if text[-1] in ".?!" else text + "."
            text += join_sentence(rng.choice(JOINS), dialog.request_for(further, "sentence"))
        dialog.user(text)
        dialog.tell(dialog.call(wanted, dialog.think("parallel", n=len(wanted))))

    # ---- errors --------------------------------------------------------------------------------------------------

    def _refused(self, kind: str, wanted: Wanted, **parts: Any) -> str:
        """The call whose result reports an error, and the error's text."""
        trouble = error(kind, wanted.offer, self.rng, **parts)
        self.dialog.call([wanted], self.dialog.reason_for(wanted), results=[trouble])
        return message_of(trouble)

    def _decided(self, wanted: Wanted, asked: Asked, message: str, value: Any) -> None:
        """The user is told why a call was refused, and gives another value."""
        p = words(asked.stem)
        self.dialog.say(self.dialog.about("limit", e=message, p=p), self.dialog.think("limit", p=p))
        self._corrected(wanted, asked, value)

    def _corrected(self, wanted: Wanted, asked: Asked, value: Any) -> None:
        """The user gives another value, and the call is made with it."""
        self.dialog.user(wording.corrected(asked, value, self.rng))
        reason = self.dialog.think("corrected", p=words(asked.stem), v=value, t=wanted.offer.name)
        self.dialog.finish(_with(wanted, asked.name, value), reason)

    def _denied(self, wanted: Wanted) -> None:
        self.dialog.user(self.dialog.request_for(wanted))
        message = self._refused("denied", wanted)
        self.dialog.say(self.dialog.about("denied", e=message), self.dialog.think("denied"))

    def _missing(self, wanted: Wanted) -> None:
        """The user mistyped what names a record; he is told, and corrects himself or lets it be."""
        dialog, rng = self.dialog, self.rng
        asked = naming(wanted.offer, wanted.arguments)
        assert asked is not None
        right = wanted.arguments[asked.name]
        wrong = misspelled(right, rng)
        typed = _with(wanted, asked.name, wrong)
        p = words(asked.stem)
        dialog.user(dialog.request_for(typed))
        self._refused("missing", typed, v=wrong)
        ended = rng.random() < ENDED
        sentence = dialog.about("not_found_end" if ended else "not_found", v=wrong, p=p)
        dialog.say(sentence, dialog.think("missing_record", v=wrong, p=p))
        if not ended:
            self._corrected(wanted, asked, right)

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
        dialog.user(dialog.request_for(typed))
        self._refused("missing", typed, v=wrong)
        dialog.simulator.created.append((finder.group, {plain(path[-1]): right}))
        found = Wanted(finder, {}, arguments)
        done = dialog.call([found], dialog.think("search", v=wrong, t=finder.name, p=p), paths=[path], least=2)[0]
        values = values_at(done.result, path)
        if right not in values:
            dialog.say(dialog.about("not_found_end", v=wrong, p=p), dialog.think("missing_record", v=wrong, p=p))
            return
        done = dialog.call([wanted], dialog.think("similar", v=right))[0]
        dialog.tell([done], dialog.about("searched", v=wrong, w=right))

    def _limit(self, wanted: Wanted) -> None:
        """The server takes less than what was asked for; the user decides."""
        dialog, rng = self.dialog, self.rng
        asked = bounded(wanted.offer, wanted.arguments)
        assert asked is not None
        value = wanted.arguments[asked.name]
        chosen = smaller(asked, value, rng) or smaller(asked, value, Random(0))
        assert chosen is not None
        dialog.user(dialog.request_for(wanted))
        message = self._refused("limit", wanted, p=asked.name, v=value, m=chosen[0])
        self._decided(wanted, asked, message, chosen[1])

    def _exists(self, wanted: Wanted) -> None:
        """The name of what is to be created is taken; the user gives another one."""
        dialog, rng = self.dialog, self.rng
        asked = named_new(wanted.offer, wanted.arguments)
        assert asked is not None
        value = wanted.arguments[asked.name]
        other = next(drawn for drawn in (asked.draw(rng)[1] for _ in range(TRIES)) if drawn != value)
        dialog.user(dialog.request_for(wanted))
        message = self._refused("exists", wanted, p=words(asked.stem), v=value)
        self._decided(wanted, asked, message, other)

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
        dialog.user(dialog.request_for(wanted))
        if wrong != right:
            self._refused("spelling", _with(wanted, asked.name, wrong, say=False), p=asked.name, v=wrong, m=expected)
        dialog.finish(wanted, dialog.think("spelling", p=p, v=right), dialog.about("adjusted", p=p, w=right))


def _with(wanted: Wanted, name: str, value: Any, *, say: bool = True) -> Wanted:
    """The call with another value of one argument, which the user says as well."""
    said = wanted.said | ({name: value} if say else {})
    return replace(wanted, said=said, arguments=wanted.arguments | {name: value})
