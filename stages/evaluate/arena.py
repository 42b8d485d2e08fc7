"""`python -m stages.evaluate arena --player A --player B --judge J`: battles of models, judged in both orders, rated.

Every player answers every prompt; a judge compares each pair of answers twice, once in each order; each order is a
battle. Battles are written in FastChat's schema and can be read back (`--battles`), alone or beside new ones.

Before that the judge is examined on planted pairs, of which the better answer is known: one that does not name it in
both orders often enough (it likes whatever stands first, or says anything) is refused. Ratings are "not settled" below
the same agreement.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.chat.endpoint import EndpointOptions
from agents.chat.losses import CountingClient
from agents.chat.open import open_client
from agents.chat.protocol import ChatAnswer, ChatRequest, ChatResponse
from agents.chat.redact import public
from agents.chat.spec import is_endpoint
from gym.benchmarks import arena, base
from gym.benchmarks.arena_battles import LABELS, Question, battle_row, judge_messages, planted, questions, verdict
from gym.intervals import bootstrap_mean
from stages.evaluate.runner import answers_of
from stages.harness.errors import InputError
from stages.harness.files import check_writable, write_atomic, write_json
from stages.harness.progress import Progress
from stages.harness.seeds import seed32, sub_seed
from stages.tracking.runs import log_run

STORE = Path("work/evaluations/answers.sqlite")
ROWS = 32  # requests that a local model decodes together
Open = Callable[[str], CountingClient]


@dataclass(frozen=True)
class Judge:
    """`by_label`: too small to reason first, so only the label is asked for, its beginning given."""

    client: CountingClient
    max_tokens: int
    by_label: bool

    @classmethod
    def of(cls, target: str, open_model: Open, *, max_tokens: int = 4096) -> "Judge":
        """An endpoint reasons in up to `max_tokens`; a local model gives the label alone."""
        local = not is_endpoint(target)
        return cls(open_model(target), 8 if local else max_tokens, local)


@dataclass(frozen=True)
class Examined:
    """A judge on planted pairs, each shown in both orders.

    Attributes:
        agreed: pairs of which it names the better answer in both orders.
        first: verdicts for what stands first, of `2 * pairs`; those without a label are for nothing.
    """

    judge: str
    pairs: int
    agreed: int
    first: int
    minimum: float

    @property
    def fit(self) -> bool:
        return self.agreed >= self.minimum * self.pairs

    @property
    def metrics(self) -> dict[str, float]:
        return {
            "arena_judge_agreement": self.agreed / self.pairs,
            "arena_judge_pairs": float(self.pairs),
            "arena_judge_first_place": self.first / (2 * self.pairs),
        }

    @property
    def line(self) -> str:
        """What it did, for a person."""
        return (
            f"{self.judge} names the better answer in both orders in {self.agreed} of {self.pairs} planted pairs, "
            f"{self.minimum:.0%} are needed; {self.first} of {2 * self.pairs} verdicts are for the first place"
        )


@dataclass(frozen=True)
class Played:
    """Battles as rows, and what did not become one."""

    rows: list[dict[str, Any]]
    lost: int  # pairs without both answers: machine failed, budget ended, or context too short
    unjudged: int  # verdicts without a label, or missing

    @property
    def counts(self) -> dict[str, float]:
        return {"arena_lost": float(self.lost), "arena_unjudged": float(self.unjudged)}


def requests(players: int, prompts: int) -> int:
    """Answers and verdicts of a whole tournament."""
    return prompts * (players + players * (players - 1))


def play(
    players: Mapping[str, CountingClient],
    judge: Judge,
    asked: Sequence[Question],
    *,
    max_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    on_answer: Callable[[], None] = lambda: None,
) -> Played:
    """Every pair of players on every prompt, in both orders.

    Raises:
        InputError: fewer than two players.
        ChatError: one of them, or the judge, can answer no request, or refuses too many.
    """
    if len(players) < 2:
        raise InputError("arena: needs two players or more")
    answers: dict[str, dict[int, str]] = {}
    for player, client in players.items():
        prompts = {
            index: ChatRequest(
                base.user(question.text), max_tokens=max_tokens, temperature=temperature,
                seed=seed32(seed, "arena", question.id),
            )
            for index, question in enumerate(asked)
        }  # fmt: skip
        answers[player] = _texts(answers_of(client, prompts, on_answer))
    matches = [
        (index, order)
        for index in range(len(asked))
        for pair in itertools.combinations(players, 2)
        for order in (pair, pair[::-1])
    ]
    ready = [(index, (a, b)) for index, (a, b) in matches if index in answers[a] and index in answers[b]]
    pairs = {
        number: ChatRequest(
            judge_messages(asked[index], answers[a][index], answers[b][index], prefill=judge.by_label),
            max_tokens=judge.max_tokens,
            shared=1,
        )
        for number, (index, (a, b)) in enumerate(ready)
    }
    verdicts = _texts(answers_of(judge.client, pairs, on_answer)) if pairs else {}
    rows = []
    for number, (index, (a, b)) in enumerate(ready):
        label = _label(judge, verdicts.get(number, ""))
        if label is not None:
            texts = (answers[a][index], answers[b][index])
            rows.append(battle_row(asked[index], (a, b), texts, judge.client.model, label))
    return Played(rows, len(matches) - len(ready), len(ready) - len(rows))


def examine(
    judge: Judge, pairs: int, minimum: float, seed: int, on_answer: Callable[[], None] = lambda: None
) -> Examined:
    """Asks the judge about planted pairs, in both orders.

    Raises:
        ChatError: it can answer no request, or refuses too many.
    """
    known = planted(pairs, seed32(seed, "arena", "planted"))
    shown = [(pair, place) for pair in known for place in ("model_a", "model_b")]  # where the better answer stands
    asked = {}
    for index, (pair, place) in enumerate(shown):
        a, b = (pair.better, pair.worse) if place == "model_a" else (pair.worse, pair.better)
        messages = judge_messages(Question(f"planted-{index // 2}", pair.prompt.text), a, b, prefill=judge.by_label)
        asked[index] = ChatRequest(messages, max_tokens=judge.max_tokens, shared=1)
    texts = _texts(answers_of(judge.client, asked, on_answer))
    winners = [LABELS.get(_label(judge, texts.get(index, "")) or "") for index in range(len(shown))]
    named = [winner == place for winner, (_, place) in zip(winners, shown, strict=True)]
    agreed = sum(one and other for one, other in zip(named[::2], named[1::2], strict=True))
    return Examined(judge.client.model, len(known), agreed, winners.count("model_a"), minimum)


def _label(judge: Judge, text: str) -> str | None:
    return verdict(f"{'[[' if judge.by_label else ''}{text}")


def _texts(answers: Mapping[int, ChatAnswer]) -> dict[int, str]:
    return {index: answer.text for index, answer in answers.items() if isinstance(answer, ChatResponse)}


def rate(rows: Sequence[Mapping[str, Any]], seed: int, *, anchor: str | None = None) -> dict[str, float]:
    """Ratings, their intervals, win rates (a tie is half) and style-controlled ratings, by player.

    Intervals redraw prompts. Where a group of players never lost to the others no maximum-likelihood rating exists:
    then only win rates and the ratings with style control, whose penalty keeps them finite, are there.

    Raises:
        DataError: rows in another schema.
    """
    battles = arena.parse(rows)
    models = sorted({battle.a for battle in battles} | {battle.b for battle in battles})
    metrics: dict[str, float] = {"arena_n": float(len(battles))}
    if not battles:
        return metrics
    if not arena.unbounded(battles):
        ratings = arena.bradley_terry(battles, anchor=anchor)
        bounds = arena.bootstrap(battles, seed, anchor=anchor, by_question=True)
        for model in models:
            low, high = bounds[model]
            metrics |= {f"arena_rating_{model}": ratings[model], f"arena_rating_{model}_ci_low": low}
            metrics[f"arena_rating_{model}_ci_high"] = high
    for model in models:
        own: dict[str, list[float]] = {}
        for battle in battles:
            if model in (battle.a, battle.b):
                own.setdefault(battle.question, []).append(
                    battle.outcome if battle.a == model else 1.0 - battle.outcome
                )
        means = [float(np.mean(outcomes)) for outcomes in own.values()]
        low, high = bootstrap_mean(means, seed)
        metrics |= {f"arena_win_rate_{model}": float(np.mean(means)), f"arena_win_rate_{model}_ci_low": low}
        metrics[f"arena_win_rate_{model}_ci_high"] = high
    if all(battle.style is not None for battle in battles):
        controlled, weights = arena.style_controlled(battles, anchor=anchor)
        metrics |= {f"arena_style_rating_{model}": value for model, value in controlled.items()}
        metrics |= {f"arena_style_weight_{name}": value for name, value in weights.items()}
    return metrics | _agreement(battles)


def _agreement(battles: Sequence[arena.Battle]) -> dict[str, float]:
    """How often the judge says the same of both orders."""
    seen: dict[tuple[str, str, str], list[float]] = {}
    for battle in battles:
        first, second = sorted((battle.a, battle.b))
        outcome = battle.outcome if battle.a == first else 1.0 - battle.outcome
        seen.setdefault((battle.question, first, second), []).append(outcome)
    pairs = [outcomes for outcomes in seen.values() if len(outcomes) == 2]
    same = sum(left == right for left, right in pairs)
    return {"arena_order_agreement": same / len(pairs)} if pairs else {}


def settled(metrics: Mapping[str, float], minimum: float) -> dict[str, float]:
    """Whether the judge's agreements, on planted pairs and on the battles themselves, reach the minimum.

    Nothing is said of battles that were judged in one order alone, by a judge who was not examined.
    """
    orders = "arena_order_agreement"
    found = {key: metrics[key] for key in ("arena_judge_agreement", orders) if key in metrics}
    return {"arena_settled": float(orders in found and min(found.values()) >= minimum)} if found else {}


def write_battles(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """JSON Lines, one battle each."""
    with write_atomic(path) as tmp:
        tmp.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stages.evaluate arena", description=__doc__)
    parser.add_argument(
        "--player", action="append", default=[], metavar="[NAME=]TARGET",
        help="a URL#model, a checkpoint folder, or 'embedded'; two or more",
    )  # fmt: skip
    parser.add_argument("--judge", metavar="TARGET", help="who compares the answers")
    parser.add_argument("--judge-tokens", type=int, default=4096, help="of an endpoint's verdict, reasons included")
    parser.add_argument("--judge-pairs", type=int, default=20, help="planted pairs that the judge is examined on")
    parser.add_argument(
        "--min-agreement", type=float, default=0.6,
        help="share of planted pairs whose better answer the judge names in both orders; below it the judge is "
        "refused, and ratings of battles that agree less in both orders are not settled (default: 0.6)",
    )  # fmt: skip
    parser.add_argument("--prompts", type=Path, help="FastChat's or Arena-Hard's question file (default: built in)")
    parser.add_argument("--items", type=int, default=0, help="prompts, drawn by seed (default: all)")
    parser.add_argument("--max-tokens", type=int, default=8192, help="of a player's answer")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--battles", type=Path, action="append", default=[], help="battles played before, rated too")
    parser.add_argument("--anchor", help="the player whose rating is fixed to 1114, as the official mixtral-8x7b")
    parser.add_argument("--tokenizer", type=Path, help="of checkpoint folders that have none")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--budget-tokens", type=int, default=0, help="of each endpoint; 0 is no limit")
    parser.add_argument("--max-failed-share", type=float, default=0.2, help="of a model's requests (default: 0.2)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("work/evaluations/arena"))
    return parser


def named(text: str) -> tuple[str, str]:
    """(name, target) of `[name=]target`; without a name, the model's or the folder's."""
    name, equals, target = text.partition("=")
    if equals and "/" not in name and ":" not in name and name and target:
        return name, target
    return public(text).rsplit("#", 1)[-1].rstrip("/").rsplit("/", 1)[-1], text


def opener(store: Path, options: EndpointOptions, tokenizer: Path | None = None) -> Open:
    """Opens players and judges alike: a URL#model, a checkpoint folder or `embedded`."""
    return lambda target: open_client(target, store=store, endpoint=options, tokenizer=tokenizer, rows=ROWS)


def draw(asked: Sequence[Question], items: int, seed: int) -> list[Question]:
    """`items` of the prompts (0 is all), in their order."""
    if not items or items >= len(asked):
        return list(asked)
    kept = np.random.default_rng(sub_seed(seed, "arena", "items")).permutation(len(asked))[:items]
    return [asked[index] for index in sorted(kept.tolist())]


def main(argv: Sequence[str]) -> None:
    """The command line.

    Raises:
        InputError, ChatError, DataError: what a user did wrong.
    """
    args = _parser().parse_args(argv)
    started = time.monotonic()
    check_writable(args.out, "--out")
    if args.judge_pairs < 1 or not 0 <= args.min_agreement <= 1:
        raise InputError("arena: --judge-pairs is at least 1, --min-agreement from 0 to 1")
    rows = [row for path in args.battles for row in base.read_jsonl(path)]
    tags = {"dataset.arena": "battles of a file"}
    counts: dict[str, float] = {}
    lost = ""
    if args.player or args.judge:
        if not args.judge:
            raise InputError("arena: --judge is needed")
        specs = dict(named(text) for text in args.player)
        if len(specs) < len(args.player):
            raise InputError("arena: two players have one name; write NAME=TARGET")
        options = EndpointOptions(
            concurrency=args.concurrency, budget_tokens=args.budget_tokens, max_failed_share=args.max_failed_share
        )
        open_model = opener(STORE, options, args.tokenizer)
        judge = Judge.of(args.judge, open_model, max_tokens=args.judge_tokens)
        with Progress("arena's judge", 2 * args.judge_pairs, "verdict") as bar:
            examined = examine(judge, args.judge_pairs, args.min_agreement, args.seed, bar.update)
        if not examined.fit:
            raise InputError(f"arena: the judge is refused: {examined.line}")
        players = {name: open_model(target) for name, target in specs.items()}
        every, manifest = questions(args.prompts)
        asked = draw(every, args.items, args.seed)
        with Progress("arena", requests(len(players), len(asked)), "answer") as bar:
            played = play(
                players, judge, asked, max_tokens=args.max_tokens, temperature=args.temperature, seed=args.seed,
                on_answer=bar.update,
            )  # fmt: skip
        write_battles(args.out / "battles.jsonl", played.rows)
        rows += played.rows
        lost = losses(players | {"judge": judge.client})
        counts = played.counts | examined.metrics
        tags = {"dataset.arena": f"{manifest.name} ({len(asked)} of {len(every)})", "judge": judge.client.model}
    if not rows:
        raise InputError(f"arena: no battles ({', '.join(f'{key} {value:.0f}' for key, value in counts.items())})")
    metrics = counts | rate(rows, args.seed, anchor=args.anchor)
    metrics = {key: round(value, 6) for key, value in (metrics | settled(metrics, args.min_agreement)).items()}
    write_json(args.out / "scores.json", metrics)
    log_run(Path(), "arena", params={}, metrics=metrics, tags=tags)
    print(table(metrics))
    print(f"arena: {metrics['arena_n']:.0f} battles, {args.out}/scores.json{lost}, {time.monotonic() - started:,.1f} s")


def losses(models: Mapping[str, CountingClient]) -> str:
    """What got no answer, by who was asked, to be appended to a last line."""
    return "".join(f"; {name}: {model.losses.line()}" for name, model in models.items() if model.losses.line())


def table(metrics: Mapping[str, float]) -> str:
    """One line per player, the best first, and one when all that is not settled."""
    names = [key.removeprefix("arena_win_rate_") for key in metrics if key.startswith("arena_win_rate_")]
    names = [name for name in names if f"arena_win_rate_{name}_ci_low" in metrics]
    lines = []
    for name in sorted(names, key=lambda player: -metrics[f"arena_win_rate_{player}"]):
        rate, low, high = (metrics[f"arena_win_rate_{name}{end}"] for end in ("", "_ci_low", "_ci_high"))
        rating = "no finite rating: somebody never lost"
        if f"arena_rating_{name}" in metrics:
            value, least, most = (metrics[f"arena_rating_{name}{end}"] for end in ("", "_ci_low", "_ci_high"))
            rating = f"rating {value:,.0f} [{least:,.0f}, {most:,.0f}]"
        lines.append(f"{name}: wins {rate:.1%} [{low:.1%}, {high:.1%}], {rating}")
    if metrics.get("arena_settled") == 0.0:
        agreement = metrics.get("arena_order_agreement", 0.0)
        lines.append(f"not settled: the judge says the same of both orders in {agreement:.0%} of the pairs")
    return "\n".join(lines)
