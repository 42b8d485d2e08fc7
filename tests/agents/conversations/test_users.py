"""Users: each answers what he is asked, in whatever words the agent asks, and goes his own way otherwise."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from agents.conversations.facts import Reference
from agents.conversations.task import Goal, WorldTask
from agents.conversations.users import NO, PERSONAS, YES, ScriptedUser, habits_of
from agents.conversations.words import frames
from agents.worlds.application import Application
from agents.worlds.reading import authored

RAIL = authored()["rail_tickets"]
TICKET = Reference("label", "ticket", "TK101", "the ticket of Ada Vos for the train to Porto")
BY_ID = Reference("id", "ticket", "TK101", "ticket TK101")
OTHER = Reference("label", "ticket", "TK102", "the ticket of Bo Lind for the train to Prague")
EMAIL = "ada@vos.example"


def refund(references: Mapping[str, Reference] | None = None, **more: Any) -> Goal:
    given = {"expected": "done", **more}
    return Goal("do", "refund my ticket", action="refund_ticket", references=references or {"ticket": TICKET}, **given)


def user(
    *goals: Goal, turns: Sequence[Sequence[int]] = (), persona: str = "plain", seed: int = 0, app: Application = RAIL
) -> ScriptedUser:
    told = tuple(tuple(turn) for turn in turns) or tuple((k,) for k in range(len(goals)))
    task = WorldTask("t", app.domain, app.name, 0, 1, goals, told, ("refund_ticket",), 3)
    made = ScriptedUser(app, task, persona, seed)
    made.opening()
    return made


def hears(made: ScriptedUser, said: str) -> tuple[str, str]:
    """(act, words) of his answer."""
    return made.act if (words := made.reply(said)) is not None else "gone", words or ""


WHICH = [
    "Which ticket would you like me to refund?",
    "Could you tell me the ticket ID?",
    "Please provide the ticket number so I can look it up.",
    "I see several tickets. Can you specify the one you mean?",
    "What is the ticket's ID?",
    "I need the ticket id to proceed.",
    "There is more than one ticket that matches; which one should I take?",
    "Can you give me more details about the ticket, such as its train?",
    "Whose ticket is it?",
    "First tell me which ticket that is.",
    "Could you clarify which booking you are referring to?",
    "Sure, I can help with that! Which one is it?",
    "Happy to help.\n\nPlease share:\n- the ID of the ticket",
]
WHO = [
    "Could you please verify your identity?",
    "What is your email address?",
    "Please provide the e-mail address on file.",
    "Before I can help, I need to confirm who I am speaking with. Could you share your email?",
    "May I know the email linked to the account?",
    "For security reasons, please tell me your registered e-mail.",
    "To proceed I'll need your email address.",
    "Can you confirm the email we have on record?",
    "Kindly state your e-mail address.",
    "The email has to match our records. Would you give it to me?",
    "I just need your email to pull up the booking.",
    "Who am I speaking with?",
]
CONFIRM = [
    "I'm going to refund TK101, 45 euros go back. Shall I go ahead?",
    "Would you like me to proceed with the refund?",
    "Please confirm that you want to cancel it.",
    "Just to double-check: refund ticket TK101 for 45 euros — yes or no?",
    "Do you want to continue?",
    "I can refund this ticket now. Is that OK with you?",
    "You will get 45 euros back. Are you happy with that?",
    "Can I go ahead and do this?",
    "I'll refund it once you say yes.",
    "You would get 45 euros. Does that sound good?",
    "The fee is ten percent. Is this what you want?",
    "Let me know if I should go ahead.",
    "Please reply with yes to continue.",
    "45 euros would go back to ada@vos.example. Would that be alright?",
]
NOT_THERE = [
    "I couldn't find a ticket with the ID TK999.",
    "It seems that ticket doesn't exist. Could you double check the ID?",
    "No ticket matches that number.",
    "The id you gave seems to be invalid.",
    "That reference is unknown to our system.",
    "I get a not_found error for this ticket.",
    "Are you sure about the ticket number? Nothing comes up.",
    "I am unable to locate that ticket.",
    "Our records show no such ticket, it is not found.",
    "Could you verify the ID?",
]
FURTHER = [
    "Is there anything else I can help you with?",
    "Your ticket is refunded. Anything else?",
    "What else can I do for you?",
    "Do you have any other questions?",
    "How else may I assist you?",
    "Done! Can I help you with something else today?",
    "Do you need further assistance?",
    "Will that be all?",
    "Is that everything?",
    "All set. Let me know if you have any other questions.",
]


@pytest.mark.parametrize("said", WHICH)
def test_which_record_is_meant_is_told_only_when_it_is_asked(said: str) -> None:
    made = user(refund(missing=("ticket",), credential={"identified": EMAIL}))
    assert hears(made, "One moment, I am looking into it.")[1].find("Porto") == -1
    made = user(refund(missing=("ticket",), credential={"identified": EMAIL}))
    act, words = hears(made, said)
    assert act == "reveal" and "ticket of Ada Vos for the train to Porto" in words and EMAIL not in words
    assert hears(made, said)[0] != "reveal"  # he has said it


@pytest.mark.parametrize("said", WHO)
def test_who_he_is_is_told_only_when_it_is_asked(said: str) -> None:
    made = user(refund(credential={"identified": EMAIL}))
    act, words = hears(made, said)
    assert act == "identify" and EMAIL in words
    assert EMAIL not in hears(made, "Shall I refund it?")[1]


def test_both_are_told_when_both_are_asked() -> None:
    made = user(refund(missing=("ticket",), credential={"identified": EMAIL}))
    words = hears(made, "Which ticket is it, and what is your e-mail address?")[1]
    assert "train to Porto" in words and EMAIL in words


@pytest.mark.parametrize("said", CONFIRM)
def test_he_says_yes_no_or_something_else_when_he_is_asked_for_a_yes(said: str) -> None:
    act, words = hears(user(refund(credential={"identified": EMAIL})), said)
    assert act == "affirm" and YES.search(words) and not NO.search(words)
    act, words = hears(user(refund(expected="declined")), said)
    assert act == "refuse" and NO.search(words) and not YES.search(words)
    made = user(refund(arguments={"reason": "illness"}, corrected={"reason": "delay"}))
    act, words = hears(made, said)
    assert act == "change" and "delay" in words and YES.search(words)
    assert hears(made, f"With delay as the reason, then. {said}")[0] == "affirm"


@pytest.mark.parametrize("said", NOT_THERE)
def test_a_wrong_id_is_corrected_when_it_is_not_found(said: str) -> None:
    made = user(refund({"ticket": BY_ID}, slip="TK999"))
    act, words = hears(made, said)
    assert act == "correct" and "TK101" in words
    assert hears(made, said)[0] != "correct"


@pytest.mark.parametrize("said", FURTHER)
def test_he_goes_on_when_he_is_asked_for_more(said: str) -> None:
    made = user(refund(), refund({"ticket": OTHER}))
    act, words = hears(made, said)
    assert (act, made.asked) == ("add", (1,)) and "refund my ticket" in words.lower()
    assert hears(made, said)[0] in ("thank", "end", "gone")
    assert made.asked == ()


def test_a_yes_belongs_to_the_wish_that_is_spoken_of() -> None:
    """The first wish was refused before it came to a question; the yes or no is for the second."""
    goals = (refund(expected="forbidden"), refund({"ticket": OTHER}, expected="declined"))
    for turns in ([(0,), (1,)], [(0, 1)]):
        made = user(*goals, turns=turns)
        if len(turns) == 2:
            made.reply("I can't do that, its train leaves within a day.")
        assert hears(made, "I would refund the ticket of Bo Lind for the train to Prague. Shall I?")[0] == "refuse"
        assert hears(made, "I would refund the ticket of Ada Vos for the train to Porto. Shall I?")[0] == "affirm"


def test_a_question_about_the_field_is_not_one_for_a_yes() -> None:
    made = user(refund(credential={"identified": EMAIL}))
    assert hears(made, "I would write to the email of Ada Vos. Shall I go ahead?")[0] == "affirm"
    assert hears(made, "Our rules ask for the email. Could you tell it to me?")[0] == "identify"
    assert hears(made, "May I have the email on record, please?")[0] == "identify"


USELESS = ("What is your favourite colour?", "How is the weather?", "Why?", "Please tell me a story.")


def test_he_leaves_after_too_many_useless_questions() -> None:
    made = user(refund(), refund({"ticket": OTHER}))
    acts = [hears(made, said)[0] for said in (*USELESS, "Wait, please!", "Shall I?")]
    assert acts == ["unsure", "unsure", "unsure", "leave", "gone", "gone"]


def test_he_thanks_once_and_goes() -> None:
    ends = Counter[str]()
    for seed in range(80):
        made = user(refund(), seed=seed)
        act, words = hears(made, "Your ticket is refunded.")
        ends[act] += 1
        if act == "thank":
            assert words and hears(made, "You are welcome.") == ("gone", "")
    assert 8 <= ends["thank"] <= 35 and ends["gone"] == 80 - ends["thank"]


def test_statements_want_no_answer() -> None:
    for said in (
        "I could not refund it: the ticket is used.",
        "I can't do that, the email does not match our records.",
        "45 euros go back to your account. It may take two days.",
        "The ticket TK101 was refunded; please keep this number.",
    ):
        made = user(refund(), refund({"ticket": OTHER}))
        assert hears(made, said)[0] == "add", said


def test_the_first_words_are_those_of_his_turn_and_persona() -> None:
    goals = (refund(), refund({"ticket": OTHER}), refund({"ticket": BY_ID}))
    made = ScriptedUser(RAIL, user(*goals, turns=[(0, 1), (2,)]).task, "plain", 3)
    opening = made.opening()
    assert made.asked == (0, 1) and opening.lower().count("refund my ticket") == 2 and opening[-1] != " "
    assert hears(made, "Both are done.")[0] == "add" and made.asked == (2,)
    texts = {persona: {user_text(persona, seed) for seed in range(30)} for persona in ("plain", "formal", "terse")}
    assert not texts["formal"] & texts["terse"] and all(len(each) >= 4 for each in texts.values())


def user_text(persona: str, seed: int) -> str:
    task = user(refund()).task
    return ScriptedUser(RAIL, task, persona, seed).opening()


def test_a_typo_never_touches_a_value() -> None:
    goal = Goal(
        "do", "refund the reservation TK101 of 1,250 euros for Ada Krylova today", "done", action="refund_ticket"
    )
    turned = 0
    for seed in range(400):
        task = user(goal).task
        words = ScriptedUser(RAIL, task, "plain", seed).opening()
        for value in ("TK101", "1,250", "Ada", "Krylova"):
            assert value in words
        turned += "reservation" not in words or "refund" not in words.lower()
    assert 1 <= turned <= 60


def test_what_the_own_agent_asks_is_understood_in_all_its_forms() -> None:
    """Every authored sentence of the planner that wants an answer gets the right one."""
    own = frames("agent")
    slots = {"what": "refund the ticket of Ada Vos", "field": "email", "noun": "ticket", "about": "TK999"}
    slots |= {name.capitalize(): value for name, value in slots.items()}
    cases = {
        "which": (refund(missing=("ticket",)), "reveal"),
        "identify": (refund(credential={"identified": EMAIL}), "identify"),
        "confirm": (refund(), "affirm"),
        "wrong_id": (refund({"ticket": BY_ID}, slip="TK999"), "correct"),
    }
    for kind, (goal, act) in cases.items():
        for sentence in own[kind]:
            for seed in range(4):
                text, rng = re.sub(r"\{(\w+)\}", lambda m: slots[m[1]], sentence), Random(seed)
                while match := re.search(r"\{([^{}]*\|[^{}]*)\}", text):
                    text = text[: match.start()] + rng.choice(match[1].split("|")) + text[match.end() :]
                assert hears(user(goal), text)[0] == act, (kind, text)


def test_habits_follow_the_persona() -> None:
    plain = habits_of("plain")
    assert habits_of("hesitant").missing > plain.missing and habits_of("careless").slip > plain.slip
    assert habits_of("fickle").change > plain.change and habits_of("fickle").refuse > plain.refuse
    assert {habits_of(persona) for persona in PERSONAS} >= {plain} and habits_of("formal") == plain
