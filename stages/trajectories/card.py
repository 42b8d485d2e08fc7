"""What a person reads about the data, and what MLflow compares: the funnel, and how diverse it is."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from random import Random
from typing import Any

from agents.chat.redact import public
from stages.trajectories import shards
from stages.trajectories.diversity import Diversity
from stages.trajectories.params import TrajectoriesParams

LONGEST = 600  # characters of a text in the card
FIGURES = {
    "distinct_sentences": "distinct sentences of users, values masked, of all",
    "top_sentences": "share of the ten most frequent",
    "trigrams_per_1000_words": "distinct 3-grams per 1,000 words",
    "distinct_tools": "declared tools",
    "distinct_verbs": "verbs in the names of called tools",
    "declared_real": "share of declarations that are of real tools",
    "real_coverage": "share of the real tools that are declared somewhere",
    "calls_per_conversation": "calls of a conversation",
    "turns_per_conversation": "turns of the agent",
    "share_parallel": "conversations with several calls in a turn",
    "share_dependent": "with two calls or more that hold a value of an earlier result",
    "share_error": "with an error in a result",
    "share_no_call": "in which a wish is answered without a call",
    "share_ask_back": "in which the agent asks back",
    "share_no_call_or_ask_back": "either",
    "near_duplicates": "near-duplicates of an earlier one (Jaccard 0.8, values masked)",
}
EVENTS = {  # what a tool's result says when something went otherwise than hoped
    "timed_out": '"error": "timed out',
    "unavailable": '"error": "unavailable',
    "not_found": '"error": "not_found',
}


def measure(paths: Sequence[Path], real: Set[str]) -> dict[str, float]:
    """Counts over all rows, one shard in memory; `real` are names of tools that are no invention."""
    diversity = Diversity(real)
    count: Counter[str] = Counter()
    longest = 0
    domains: set[str] = set()
    for rows in shards.read(paths, "trajectory"):
        for row in rows:
            count["trajectories"] += 1
            count["kept"] += row["kept"]
            count["calls"] += row["n_calls"]
            count["unsolved"] += row["unsolved"]
            count["worded"] += row["wording"] == "teacher"
            count["acted_by_llm"] += row["source"] == "llm"
            if row["kept"]:
                diversity.add(row)
            count["requests"] += row["source"] == "request"
            count["singles"] += row["source"] == "single"
            count["servers"] += row["source"] in ("server", "executed")
            count["coding"] += row["source"] == "coding"
            count["coding_kept"] += row["source"] == "coding" and row["kept"]
            count["llm_judged"] += bool(row["llm_verdict"])
            count[f"verdict_{row['verdict']}"] += 1
            longest = max(longest, row["n_turns"])
            domains.add(row["domain"])
            results = [m["content"] for m in json.loads(row["messages"]) if m["role"] == "tool"]
            for event, sign in EVENTS.items():
                if any(sign in result for result in results):
                    count[f"with_{event}"] += 1
                    count[f"with_{event}_kept"] += row["kept"]
    total = count["trajectories"]
    metrics: dict[str, float] = dict(sorted(count.items()))
    return (
        metrics
        | diversity.metrics()
        | {
            "kept_share": count["kept"] / total,
            "longest": longest,
            "domains": len(domains),
            "unsolved_share": count["unsolved"] / (total + count["unsolved"]),
        }
    )


def ten(paths: Sequence[Path], seed: int) -> list[str]:
    """Ten kept conversations, drawn by the seed, as lines of Markdown."""
    kept = [
        (at, k)
        for at, rows in enumerate(shards.read(paths, "trajectory"))
        for k, row in enumerate(rows)
        if row["kept"] and row["source"] != "coding"  # a session is a page long
    ]
    chosen = sorted(Random(f"{seed}|card").sample(kept, min(10, len(kept))))
    lines: list[str] = []
    for at, rows in enumerate(shards.read(paths, "trajectory")):
        for _, k in (place for place in chosen if place[0] == at):
            lines += ["", f"### {rows[k]['traj_id']}", "", *map(_turn, json.loads(rows[k]["messages"]))]
    return lines


def _turn(message: Mapping[str, Any]) -> str:
    thought = f"*{message['reasoning_content']}* " if message.get("reasoning_content") else ""
    calls = [f"`{c['function']['name']}({c['function']['arguments']})`" for c in message.get("tool_calls") or []]
    text = " ".join(str(message.get("content") or "").split())
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    return f"- **{message['role']}** {thought}{text}{' '.join(calls)}"


def card(p: TrajectoriesParams, metrics: Mapping[str, float], judged_by: str, shown: Sequence[str]) -> str:
    """What a person reads about the data: who acted, worded and judged, what came of it, and ten conversations."""
    counts = {key: int(value) for key, value in metrics.items() if float(value).is_integer()}
    verdicts = {key.removeprefix("verdict_"): n for key, n in counts.items() if key.startswith("verdict_")}
    planner = "a planner that knows what the user means, finds out the rest, and slips now and then; no language model."
    who = planner if p.agent == "planner" else f"the language model {public(p.agent)}."
    lines = [
        "# Trajectories",
        "",
        f"{counts['trajectories']:,} trajectories, {counts['kept']:,} kept; {counts['coding']:,} are coding sessions,",
        f"{counts['requests']:,} conversations on declared tools without a world, {counts['singles']:,} of one turn",
        f"that end with the call, {counts['servers']:,} with real MCP servers.",
        "",
        f"Who acts: {who}",
        f"Users: {'played by the same model' if p.user == 'agent' else 'state machines over dialogue acts'}.",
        f"Tasks that an agent without mistakes did not solve were drawn again: {counts.get('unsolved', 0):,}.",
        f"Teacher: {public(p.teacher)}. It worded the requests of {counts['worded']:,} conversations; the others keep",
        f"the script's words. Agents: {counts['agents']:,}, of which {counts['agents_by_llm']:,} have a prompt that",
        "the teacher wrote, the others a grammar's.",
        "Judge: rules for the final state, the calls, the desk's policies and what the user was told, and tests;",
        f"{judged_by} read {counts['llm_judged']:,} of those that passed.",
        "",
        "| verdict | trajectories |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {n:,} |" for name, n in sorted(verdicts.items(), key=lambda item: -item[1])),
        "",
        "Of what was kept:",
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| {text} | {metrics[name]:.4g} |" for name, text in FIGURES.items() if name in metrics),
    ]
    lines += ["", "## Ten of them, drawn by the seed", *shown]
    return "\n".join(lines) + "\n"
