"""Battles with scripted players and judges: who is better wins, a judge who likes a place is found out."""

import json
import re
from pathlib import Path

import pytest

from agents.chat.protocol import ChatAnswer, ChatRefusal, ChatRequest, ChatResponse
from gym.benchmarks.arena_battles import questions
from stages.evaluate import arena, standalone
from stages.evaluate.arena import Judge, play, rate
from stages.harness.errors import InputError
from tests.answering import Answering
from tests.databases import mlflow_database

ASKED = questions()[0][:20]


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
    """Prefers the larger number, or always the first answer, or says nothing that can be read."""

    def __init__(self, how: str = "fair") -> None:
        super().__init__(self.say, "critic")
        self.how = how

    def say(self, request: ChatRequest) -> str:
        shown = next(str(one["content"]) for one in request.messages if one["role"] == "user")
        a, b = (int(n) for n in re.findall(r"quality\*\* (\d+)", shown))
        label = "A>B" if a > b else "B>A" if b > a else "A=B"
        return {"fair": f"Because. [[{label}]]", "first": "[[A>>B]]", "mute": "Both are nice.", "label": f"{label}]]"}[
            self.how
        ]


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


def test_a_small_judge_continues_a_label() -> None:
    critic = Critic("label")
    played = play({"a": Player(1), "b": Player(9)}, Judge(critic, 8, True), ASKED[:2], max_tokens=16)
    assert len(played.rows) == 4
    assert critic.asked[0].messages[-1] == {"role": "assistant", "content": "My verdict is: [["}


def test_battles_go_to_a_file_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mlflow_database(tmp_path / "m.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/m.db")
    clients = {"one": Player(1), "two": Swapped(2), "critic": Critic("label")}
    monkeypatch.setattr(arena, "open_client", lambda spec, **_: clients[spec])
    command = ["arena", "--player", "one", "--player", "B=two", "--judge", "critic", "--items", "9"]
    assert standalone.run([*command, "--out", "a"]) == 0
    assert "B: wins" in capsys.readouterr().out
    first = json.loads(Path("a/scores.json").read_text())
    assert first["arena_n"] == 18
    assert standalone.run(["arena", "--battles", "a/battles.jsonl", "--out", "b"]) == 0
    again = json.loads(Path("b/scores.json").read_text())
    assert {key: first[key] for key in again} == again
    assert standalone.run([*command, "--battles", "a/battles.jsonl", "--out", "c"]) == 0
    assert json.loads(Path("c/scores.json").read_text())["arena_n"] == 36
    for wrong in (["arena"], ["arena", "--player", "one"], ["arena", "--player", "one", "--judge", "critic"]):
        capsys.readouterr()
        assert standalone.run(wrong) == 2
        assert capsys.readouterr().err.startswith("evaluate: arena: ")


def test_names_of_players() -> None:
    assert arena.named("models/qat") == ("qat", "models/qat")
    assert arena.named("http://h:1/v1#org/big") == ("big", "http://h:1/v1#org/big")
    assert arena.named("x=http://h:1/v1?a=b#m") == ("x", "http://h:1/v1?a=b#m")
    assert arena.named("http://h:1/v1?key=secret") == ("v1", "http://h:1/v1?key=secret")
    assert arena.named("http://h:1/v1?a=b#m") == ("m", "http://h:1/v1?a=b#m")
