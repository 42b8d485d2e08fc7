"""Other words for a wish, by a teacher: taken when they mean the same, and only then."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from agents.chat.protocol import ChatRefusal, ChatRequest
from agents.conversations.agents import Agent
from agents.conversations.facts import Reference
from agents.conversations.making import make_task
from agents.conversations.task import Goal
from agents.conversations.trajectory import QUIET, Case, simulate
from agents.conversations.wording import Wish, Wording, lost, reword, wishes, worded
from agents.worlds.reading import authored
from agents.worlds.surface import surface
from tests.agents.conversations.wishes import told_as
from tests.answering import Answering

RAIL = authored()["rail_tickets"]
TICKET = Reference("id", "ticket", "TK101", "ticket TK101")
SAYS = "book 2 seats on the train from Lyon to Porto on 13 May 2026 for Ada Vos"
BOOK = Wish(RAIL, Goal("do", SAYS, "done", action="book_ticket", arguments={"seats": 2}))
REFUND = Wish(RAIL, Goal("do", "refund ticket TK101", "done", action="refund_ticket", references={"ticket": TICKET}))


def teacher(says: Callable[[str], str], reads: Callable[[str], str]) -> Answering:
    """Words a sentence, and says which action it reads in one."""

    def answer(request: ChatRequest) -> str:
        text = str(request.messages[0]["content"])
        if text.startswith("Say the same"):
            return says(text.split("\n")[-1])
        assert "none: none of these" in text and "book_ticket: Books seats" in text and "get_ticket" not in text
        return reads(text.split("\n")[0].removeprefix("A customer says: please "))

    return Answering(answer)


def test_a_faithful_wording_is_taken() -> None:
    better = "get Ada Vos 2 seats on the train that goes from Lyon to Porto on 13 May 2026"
    client = teacher(lambda text: better, lambda text: "book_ticket" if text == better else "none")
    assert reword(client, [BOOK], 0) == [Wording(better, "")]
    polite = teacher(lambda text: f'"Please {better}."', lambda text: "`book_ticket`.")
    assert reword(polite, [BOOK], 0) == [Wording(better, "")]


@pytest.mark.parametrize(
    ("wording", "reason"),
    [
        ("book 2 seats on the train from Lyon to Porto on 13 May 2026", "lost"),  # for whom?
        ("book 2 seats on the train to Porto on 13 May 2026 for Ada Vos, not to Lyons", "lost"),
        ("book 3 seats on the train from Lyon to Porto on 13 May 2026 for Ada Vos", "lost"),
        ("book seats on the train from Lyon to Porto on 13 May 2026 for Ada Vos", "lost"),
        ("book 2 seats on the train from Lyon to Porto on 13 May 2026 for Ada Vos at 9", "numbers"),
        ("book 22 seats, 2 of them on the train from Lyon to Porto, on 13 May 2026 for Ada Vos", "numbers"),
        ("forget the 2 seats on the train from Lyon to Porto on 13 May 2026 for Ada Vos", "meaning"),
        ("cancel the 2 seats on the train from Lyon to Porto on 13 May 2026 for Ada Vos", "meaning"),
        ("Lyon Porto 13 May 2026 Ada Vos 2", "length"),
        (SAYS + "\nThis is said in other words.", "length"),
        (SAYS + ", and while you do that tell me everything that you know about trains and their seats" * 2, "length"),
    ],
)
def test_a_wording_that_loses_changes_or_turns_something_is_not_taken(wording: str, reason: str) -> None:
    reads = {"cancel": "refund_ticket", "forget": "none"}
    client = teacher(
        lambda text: wording, lambda text: next((v for k, v in reads.items() if text.startswith(k)), "book_ticket")
    )
    assert reword(client, [BOOK], 0) == [Wording(SAYS, reason)]
    assert len(client.asked) == (2 if reason == "meaning" else 1)


@pytest.mark.parametrize("read", ["none", "", "book_ticket or refund_ticket", "book", "I think book_ticket", "{}"])
def test_a_reading_that_names_no_other_than_the_action_is_needed(read: str) -> None:
    assert reword(teacher(lambda text: text, lambda text: read), [BOOK], 0) == [Wording(SAYS, "meaning")]


def test_a_refusal_leaves_a_wish_its_own_words() -> None:
    def answer(request: ChatRequest) -> ChatRefusal | str:
        text = str(request.messages[0]["content"])
        if "TK101" in text:
            return ChatRefusal("refused", "status 400")
        return SAYS.replace("book", "reserve") if text.startswith("Say") else "book_ticket"

    client = Answering(answer)  # type: ignore[arg-type]
    taken = reword(client, [REFUND, BOOK, REFUND], 0)
    assert taken == [Wording("refund ticket TK101", "refused"), Wording(SAYS.replace("book", "reserve"), ""), taken[0]]
    assert client.asked[0].seed == client.asked[2].seed != client.asked[1].seed


@pytest.mark.parametrize(
    ("source", "wording", "reason"),
    [
        ("refund ticket TK101", "give me my money back for ticket TK101", ""),
        ("refund ticket TK101", "refund ticket TK10", "lost"),
        ("refund ticket TK101", "refund ticket TK101 and TK102", "numbers"),
        ("write \"see you\" to Bo", "send \"see you\" to Bo", ""),
        ("write \"see you\" to Bo", "send see you to Bo", "lost"),
        ("pay 1,250.50 euros to bo@lind.example", "transfer 1,250.50 euros to bo@lind.example", ""),
        ("pay 1,250.50 euros to bo@lind.example", "transfer 1250.50 euros to bo@lind.example", "lost"),
        ("meet at 9:30", "meet at 9.30", "lost"),
        ("call Ann about train IC1", "ring Annette about train IC1", "lost"),
    ],
)  # fmt: skip
def test_names_numbers_and_quotes_must_stay(source: str, wording: str, reason: str) -> None:
    assert lost(source, wording) == reason


def test_a_worded_task_is_the_same_task_in_other_words() -> None:
    desk = surface("rail_tickets", 0)
    for seed in range(20):
        task = make_task(desk, seed, 3).task
        asked = wishes(RAIL, task)
        assert [wish.goal for wish in asked] == [goal for goal in task.goals if goal.kind == "do"]
        mine = [Wording(f"kindly {wish.goal.says}", "") for wish in asked]
        changed = worded(task, mine)
        assert [goal.says for goal in changed.goals if goal.kind == "do"] == [wording.text for wording in mine]
        back = [replace(goal, says=old.says) for goal, old in zip(changed.goals, task.goals, strict=True)]
        assert tuple(back) == task.goals
        agent = Agent("a", "x", "rail_tickets", 0, tuple(RAIL.actions))
        done = simulate(Case(desk, changed, agent, "plain", seed, QUIET))
        assert done.verdict.kept
        heard = [str(m["content"]) for m in done.messages if m["role"] == "user"]
        assert all(any(told_as(wording.text, message) for message in heard) for wording in mine)
