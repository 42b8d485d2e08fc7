"""Battles with scripted players and judges: who is better wins, a judge who likes a place is found out."""

import json
import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.chat.protocol import ChatAnswer, ChatRefusal, ChatRequest, ChatResponse
from gym.benchmarks.arena_battles import planted, questions
from stages.evaluate import __main__ as stage_module
from stages.evaluate import arena, standalone
from stages.evaluate.arena import Examined, Judge, examine, play, rate, settled
from stages.evaluate.params import Battles
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from tests.answering import Answering
from tests.databases import tracked_in

ASKED = questions()[0][:20]
BETTER = {pair.prompt.text: pair.better for pair in planted(1000, 0)}
ASKS = re.compile(r"<request>\n(.*?)\n</request>", re.DOTALL)
ANSWERS = re.compile(r"<answer_a>\n(.*?)\n</answer_a>\n\n<answer_b>\n(.*?)\n</answer_b>", re.DOTALL)


class Player(Answering):
    """Answers with its quality as a number, a little luck added; the `broken` prompt is refused."""

    def __init__(self, quality: int, broken: str = "") -> None:
        super().__init__(self._say, f"player-{quality}")
        self.quality, self.broken = quality, broken

    def _say(self, request: ChatRequest) -> ChatAnswer:
        text = str(request.messages[-1]["content"])
        if self.broken and self.broken in text:
            return ChatRefusal("refused", "status 400")
        luck = sum(map(ord, text)) % 3 if self.quality < 9 else 0  # so that nobody wins always
        return ChatResponse(f"**quality** {self.quality + luck}")


class Critic(Answering):
    """Prefers the larger number or the answer that is not damaged, or always one place, or can't be read."""

    def __init__(self, how: str = "fair") -> None:
        super().__init__(self.say, "critic")
        self.how = how

    def say(self, request: ChatRequest) -> str:
        shown = next(str(one["content"]) for one in request.messages if one["role"] == "user")
        (answers,), (prompt,) = ANSWERS.findall(shown), ASKS.findall(shown)
        numbers = [re.search(r"quality\*\* (\d+)", answer) for answer in answers]
        a, b = (
            int(number.group(1)) if number else int(answer == BETTER[prompt])
            for number, answer in zip(numbers, answers, strict=True)
        )
        label = "A>B" if a > b else "B>A" if b > a else "A=B"
        others = {"first": "[[A>>B]]", "second": "[[B>A]]", "even": "[[A=B]]", "mute": "Both are nice."}
        return others.get(self.how, f"{label}]]" if self.how == "label" else f"Because. [[{label}]]")


class Swapped(Player):
    """Good at prompts of even length, bad at the others."""

    def _say(self, request: ChatRequest) -> ChatAnswer:
        odd = len(str(request.messages[-1]["content"])) % 2
        return ChatResponse(f"**quality** {self.quality + 4 * odd}")


def test_a_fair_judge_ranks_the_players_in_both_orders() -> None:
    players = {"low": Swapped(1), "mid": Swapped(2), "high": Player(3)}
    played = play(players, Judge(Critic(), 64, False), ASKED, max_tokens=16)
    assert (len(played.rows), played.lost, played.unjudged) == (20 * 3 * 2, 0, 0)
    found = rate(played.rows, 0)
    assert found["arena_order_agreement"] == 1.0
    assert found["arena_win_rate_mid"] > found["arena_win_rate_low"]
    assert found["arena_n"] == 120
    lone = [row for row in played.rows if {row["model_a"], row["model_b"]} == {"low", "mid"}]
    assert {row["winner"] for row in lone if row["model_a"] == "low"} == {"model_b"}
    assert "arena_rating_low" not in rate(lone, 0)  # mid never lost
    assert rate(lone, 0)["arena_style_rating_mid"] > rate(lone, 0)["arena_style_rating_low"]


def test_ratings_are_finite_where_everybody_lost_once() -> None:
    played = play({"a": Swapped(1), "b": Player(2)}, Judge(Critic(), 64, False), ASKED, max_tokens=16)
    found = rate(played.rows, 0)
    assert found["arena_rating_a"] + found["arena_rating_b"] == pytest.approx(2000)
    wins = found["arena_win_rate_a"]
    assert found["arena_win_rate_b"] == pytest.approx(1 - wins)
    assert (found["arena_rating_a"] > 1000) is (wins > 0.5)
    assert found["arena_rating_a_ci_low"] <= found["arena_rating_a"] <= found["arena_rating_a_ci_high"]


def test_a_judge_who_likes_the_first_place_gains_nobody_anything() -> None:
    played = play({"a": Player(1), "b": Player(5)}, Judge(Critic("first"), 64, False), ASKED, max_tokens=16)
    found = rate(played.rows, 0)
    assert found["arena_order_agreement"] == 0.0
    assert found["arena_rating_a"] == pytest.approx(found["arena_rating_b"])
    assert {row["label"] for row in played.rows} == {"A>>B"}


def test_what_is_not_judged_or_not_answered_is_no_tie() -> None:
    played = play({"a": Player(1), "b": Player(5)}, Judge(Critic("mute"), 64, False), ASKED, max_tokens=16)
    assert (played.rows, played.unjudged) == ([], 40)
    players = {"a": Player(1, broken=ASKED[3].text), "b": Player(5)}
    played = play(players, Judge(Critic(), 64, False), ASKED, max_tokens=16)
    assert (len(played.rows), played.lost) == (38, 2)
    with pytest.raises(InputError, match="two players"):
        play({"a": Player(1)}, Judge(Critic(), 64, False), ASKED, max_tokens=16)


@pytest.mark.parametrize(("how", "agreed", "first"), [("fair", 12, 12), ("first", 0, 24), ("second", 0, 0)])
def test_a_judge_is_examined_on_pairs_of_which_the_better_answer_is_known(how: str, agreed: int, first: int) -> None:
    done = []
    examined = examine(Judge(Critic(how), 64, False), 12, 0.6, 3, lambda: done.append(1))
    assert (examined.pairs, examined.agreed, examined.first, len(done)) == (12, agreed, first, 24)
    assert examined.fit is (agreed == 12)
    assert examined.metrics == {
        "arena_judge_agreement": agreed / 12, "arena_judge_pairs": 12.0, "arena_judge_first_place": first / 24,
    }  # fmt: skip


@pytest.mark.parametrize("how", ["even", "mute"])
def test_a_judge_that_decides_nothing_is_not_fit(how: str) -> None:
    examined = examine(Judge(Critic(how), 64, False), 5, 0.2, 0)
    assert (examined.agreed, examined.first, examined.fit) == (0, 0, False)


def test_the_share_that_is_needed_decides_at_its_bound() -> None:
    assert Examined("j", 10, 6, 10, 0.6).fit
    assert not Examined("j", 10, 5, 10, 0.6).fit


def test_ratings_are_not_settled_below_the_agreement_of_either_kind() -> None:
    good, orders = {"arena_judge_agreement": 0.9}, {"arena_order_agreement": 0.6}
    assert settled(good | orders, 0.6) == {"arena_settled": 1.0}
    assert settled(good | {"arena_order_agreement": 0.5}, 0.6) == {"arena_settled": 0.0}
    assert settled({"arena_judge_agreement": 0.5} | orders, 0.6) == {"arena_settled": 0.0}
    assert settled(good, 0.6) == {"arena_settled": 0.0}  # no battle became one
    assert settled(orders, 0.6) == {"arena_settled": 1.0}
    assert settled({"arena_n": 4.0}, 0.6) == {}


def test_a_small_judge_continues_a_label() -> None:
    critic = Critic("label")
    played = play({"a": Player(1), "b": Player(9)}, Judge(critic, 8, True), ASKED[:2], max_tokens=16)
    assert len(played.rows) == 4
    assert critic.asked[0].messages[-1] == {"role": "assistant", "content": "My verdict is: [["}


def test_battles_go_to_a_file_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked_in(tmp_path, monkeypatch)
    clients = {"one": Player(1), "two": Swapped(2), "critic": Critic("label")}
    monkeypatch.setattr(arena, "open_client", lambda spec, **_: clients[spec])
    command = ["arena", "--player", "one", "--player", "B=two", "--judge", "critic", "--items", "9"]
    assert standalone.run([*command, "--out", "a"]) == 0
    shown = capsys.readouterr().out
    assert "B: wins" in shown and "not settled" not in shown
    first = json.loads(Path("a/scores.json").read_text())
    assert first["arena_n"] == 18
    assert (first["arena_judge_agreement"], first["arena_judge_pairs"], first["arena_settled"]) == (1.0, 20.0, 1.0)
    assert standalone.run(["arena", "--battles", "a/battles.jsonl", "--out", "b"]) == 0
    again = json.loads(Path("b/scores.json").read_text())
    assert {key: first[key] for key in again} == again
    assert standalone.run([*command, "--battles", "a/battles.jsonl", "--out", "c"]) == 0
    assert json.loads(Path("c/scores.json").read_text())["arena_n"] == 36
    for wrong in (["arena"], ["arena", "--player", "one"], ["arena", "--player", "one", "--judge", "critic"]):
        capsys.readouterr()
        assert standalone.run(wrong) == 2
        assert capsys.readouterr().err.startswith("evaluate: arena: ")


def test_a_judge_who_likes_the_first_place_is_refused_before_any_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    clients = {"one": Player(1), "two": Player(2), "critic": Critic("first")}
    monkeypatch.setattr(arena, "open_client", lambda spec, **_: clients[spec])
    command = ["arena", "--player", "one", "--player", "two", "--judge", "critic", "--judge-pairs", "5", "--out", "a"]
    assert standalone.run(command) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == (
        "evaluate: arena: the judge is refused: critic names the better answer in both orders in 0 of 5 planted pairs, "
        "60% are needed; 10 of 10 verdicts are for the first place"
    )
    assert clients["one"].asked == clients["two"].asked == []
    assert not Path("a").exists()


def test_battles_of_a_file_whose_orders_disagree_are_rated_but_not_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked_in(tmp_path, monkeypatch)
    played = play({"a": Player(1), "b": Player(5)}, Judge(Critic("first"), 64, False), ASKED, max_tokens=16)
    arena.write_battles(Path("battles.jsonl"), played.rows)
    assert standalone.run(["arena", "--battles", "battles.jsonl", "--out", "a"]) == 0
    assert "not settled: the judge says the same of both orders in 0% of the pairs" in capsys.readouterr().out
    scores = json.loads(Path("a/scores.json").read_text())
    assert scores["arena_settled"] == 0.0
    assert scores["arena_rating_a"] == pytest.approx(scores["arena_rating_b"])


@pytest.mark.parametrize("how", ["first", "label"])
def test_the_stage_goes_on_without_battles_where_its_judge_is_not_fit(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clients = {"one": Player(1), "two": Swapped(2), "critic": Critic(how)}
    stores: list[Path] = []
    monkeypatch.setattr(arena, "opener", lambda store, _: stores.append(store) or clients.__getitem__)
    monkeypatch.setattr(stage_module, "load_section", lambda *_: EndpointParams.model_construct())
    monkeypatch.setattr(stage_module, "endpoint_options", lambda _: None)
    battles = {"players": {"a": "one", "b": "two"}, "judge": "critic", "judge_pairs": 5, "min_agreement": 0.6}
    stage: Any = SimpleNamespace(
        params=SimpleNamespace(arena=Battles.model_construct(**battles, prompts=6, max_tokens=8)),
        work=tmp_path / "one", code="c0de" * 16, common=SimpleNamespace(seed=7), seed=lambda *_: 1,
        track=SimpleNamespace(tag=lambda *_: None, prompts=lambda _: None),
        progress=lambda *_: nullcontext(SimpleNamespace(update=lambda: None)),
    )  # fmt: skip
    found = stage_module.battles(stage, tmp_path)
    assert stores == [tmp_path / "answers-c0dec0dec0dec0de.sqlite"], "one for all parameters"
    shown = capsys.readouterr().out
    if how == "first":
        assert found == {
            "arena_judge_agreement": 0.0, "arena_judge_pairs": 5.0, "arena_judge_first_place": 1.0,
            "arena_settled": 0.0, "arena_requests_failed": 0.0,
        }  # fmt: skip
        assert shown.startswith("arena: not settled, no battle is played: critic names the better answer in both")
        assert clients["one"].asked == [] and not (tmp_path / "arena.jsonl").exists()
    else:
        assert (found["arena_settled"], found["arena_judge_agreement"], found["arena_n"]) == (1.0, 1.0, 12.0)
        assert "not settled" not in shown and (tmp_path / "arena.jsonl").exists()


def test_names_of_players() -> None:
    assert arena.named("models/qat") == ("qat", "models/qat")
    assert arena.named("http://h:1/v1#org/big") == ("big", "http://h:1/v1#org/big")
    assert arena.named("x=http://h:1/v1?a=b#m") == ("x", "http://h:1/v1?a=b#m")
    assert arena.named("http://h:1/v1?key=secret") == ("v1", "http://h:1/v1?key=secret")
    assert arena.named("http://h:1/v1?a=b#m") == ("m", "http://h:1/v1?a=b#m")
