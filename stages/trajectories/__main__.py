"""`python -m stages.trajectories`: agents serve simulated users in simulated worlds and repair code in a sandbox; a
judge keeps the successes.

Rows are made shard by shard; a shard that was written is never made again, and only one is in memory. While one is
simulated, the teacher words the next one's requests in a thread of its own.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq

from agents.chat.losses import listed
from agents.chat.protocol import ChatError
from agents.chat.redact import public
from agents.chat.spec import is_endpoint
from agents.conversations.judge import NO_JUDGE, Judgement, ask_llm
from agents.conversations.llm_agent import Acting
from agents.conversations.planner import Agent, make_agent
from agents.conversations.prompts import write_prompts
from agents.conversations.tasks import Application
from agents.conversations.wording import Wording, reword
from agents.loop.loop import InfrastructureError
from agents.requests.conversation import Mix, Requests
from agents.tools.everyday import everyday_tools
from agents.tools.spec import simulated
from gym.sandbox import SandboxError
from gym.sandbox.workspace import coding_sandbox
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import AGENTS, TASKS, TOOLS, TRAJECTORIES, read_table, write_batches, write_table
from stages.harness.teacher import Teacher
from stages.tracking.runs import Track
from stages.tracking.traces import choose, log_traces
from stages.trajectories import sessions, shards
from stages.trajectories.acted import acted
from stages.trajectories.diversity import Diversity
from stages.trajectories.params import TrajectoriesParams
from stages.trajectories.requested import rows as requested_rows
from stages.trajectories.shards import Row
from stages.trajectories.simulated import Maker, agent_row, usable

OwnStage = Stage[TrajectoriesParams]
TOOLS_IN = Path("data/tools.parquet")
AGENTS_OUT = Path("data/agents.parquet")
TASKS_OUT = Path("data/tasks.parquet")
OUT = Path("data/trajectories.parquet")
CARD = Path("data/trajectories_card.md")
CODING_SHARD = 20
FIGURES = {
    "distinct_sentences": "distinct sentences of users, values masked, of all",
    "top_sentences": "share of the ten most frequent",
    "trigrams_per_1000_words": "distinct 3-grams per 1,000 words",
    "distinct_tools": "declared tools",
    "declared_real": "share of declarations that are of real tools",
    "calls_per_conversation": "calls of a conversation",
    "share_parallel": "conversations with several calls in a turn",
    "share_dependent": "with two calls or more that hold a value of an earlier result",
    "share_error": "with an error in a result",
    "share_no_call": "in which a user is answered without a call",
}
EVENTS = {  # what a tool's result says when something went otherwise than hoped
    "denied": '"error": "permission denied',
    "stale": '"cached": true',
    "timed_out": '"error": "timed out',
    "late": '"took_s"',
    "unavailable": '"error": "temporarily',
    "empty": '"refreshing": true',
}


def read_applications(tools: Sequence[Row]) -> list[Application]:
    """Applications that agents can work on.

    Raises:
        InputError: there is none.
    """
    apps = usable(simulated(tools))
    if not apps:
        raise InputError(f"{TOOLS_IN}: no application has the tools that agents need; raise tools.near_dup_threshold")
    return apps


def staff(stage: OwnStage, apps: Sequence[Application], teacher: Teacher) -> list[Agent]:
    """The agents; behind a URL the teacher writes their prompts."""
    p, seed = stage.params, stage.seed32("agents")
    agents = [make_agent(number, seed, apps) for number in range(p.agents)]
    if is_endpoint(p.teacher):
        return teacher.submit(write_prompts, agents, seed).result()
    return agents


def conversations(stage: OwnStage, maker: Maker, teacher: Teacher, judge: Teacher, agent: Teacher) -> list[Path]:
    """Makes the shards of simulated conversations that are not there yet."""
    p = stage.params
    todo = shards.ranges(p.count, p.shard)
    paths = [shards.path_of(stage.work, "simulated", numbers) for numbers in todo]
    missing = [k for k, path in enumerate(paths) if not path.exists()]
    per_shard = -(-p.judged // len(todo))

    def ask(k: int) -> "Future[list[Wording]] | None":
        sentences = maker.sentences(todo[k])
        return teacher.submit(reword, sentences, maker.base) if sentences else None

    def judged(rows: list[Row]) -> list[Row]:
        if p.judge != "none":
            consult(judge, rows, per_shard)
        return rows

    with stage.progress(p.count, "trajectory") as progress:
        progress.update(sum(len(todo[k]) for k in range(len(todo)) if k not in missing))
        if is_endpoint(p.agent):
            asked = [ask(k) for k in missing]
            wordings = [later.result() if later is not None else [] for later in asked]
            shares = [(todo[k], words) for k, words in zip(missing, wordings, strict=True)]
            for index, rows in acted(maker, shares, agent, Acting(**p.acting.model_dump()), progress.update):
                shards.make(paths[missing[index]], lambda rows=rows: judged(rows))  # type: ignore[misc]
            return paths
        coming = ask(missing[0]) if missing else None
        for index, k in enumerate(missing):
            words = coming.result() if coming is not None else []
            coming = ask(missing[index + 1]) if index + 1 < len(missing) else None
            shards.make(paths[k], lambda k=k, words=words: judged(maker.rows(todo[k], words)))  # type: ignore[misc]
            progress.update(len(todo[k]))
    return paths


def consult(judge: Teacher, rows: Sequence[Row], at_most: int) -> None:
    """Lets the LLM judge decide about the first rows that passed the checks; its verdict is written into them."""
    passed = [row["trajectory"] for row in rows if row["trajectory"]["kept"]][:at_most]
    asked = [json.loads(row["messages"]) for row in passed]
    judgements: list[Judgement] = judge.submit(ask_llm, asked, schema=is_endpoint(judge.spec)).result()
    for row, judgement in zip(passed, judgements, strict=True):
        row["llm_verdict"], row["llm_reason"] = judgement.verdict, judgement.reason
        if not judgement.kept:
            row["kept"], row["verdict"], row["reason"] = False, judgement.verdict, judgement.reason


def coding(stage: OwnStage, agents: Sequence[Agent], stack: ExitStack) -> list[Path]:
    """Makes the shards of coding sessions that are not there yet."""
    todo = shards.ranges(stage.params.coding, CODING_SHARD)
    paths = [shards.path_of(stage.work, "coding", numbers) for numbers in todo]
    if all(path.exists() for path in paths):
        return paths
    workers = stage.common.threads
    base = stage.seed32("coding")
    try:
        box = stack.enter_context(coding_sandbox(workers))
        with stage.progress(stage.params.coding, "session") as progress:
            for path, numbers in zip(paths, todo, strict=True):
                shards.make(path, lambda numbers=numbers: sessions.rows(box, agents, numbers, base, workers))  # type: ignore[misc]
                progress.update(len(numbers))
    except (SandboxError, InfrastructureError) as error:
        raise InputError(f"trajectories.coding: {error}; 0 makes none") from None
    return paths


def requested(stage: OwnStage, tools: Sequence[Row]) -> list[Path]:
    """Makes the shards of conversations on declared tools that are not there yet."""
    p = stage.params
    todo = shards.ranges(p.requests.count, p.shard)
    paths = [shards.path_of(stage.work, "request", numbers) for numbers in todo]
    mix = Mix(**p.requests.model_dump(exclude={"count"}))
    try:
        maker = Requests(everyday_tools(), tools, mix, stage.seed32("requests"))
    except ValueError as error:
        raise InputError(
            f"trajectories.requests.{error}; keep more of them in tools, or give it the weight 0"
        ) from None
    for path, numbers in zip(paths, todo, strict=True):
        shards.make(path, lambda numbers=numbers: requested_rows(maker, numbers))  # type: ignore[misc]
    return paths


def refused(paths: Sequence[Path]) -> list[str]:
    """The conversations that lost a turn of the agent, or the judge's verdict, to a refusal."""
    return [
        row["traj_id"]
        for rows in shards.read(paths, "trajectory")
        for row in rows
        if row["verdict"] in ("refused", NO_JUDGE)
    ]


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
            count["untold"] += row["untold"] > 0
            count["worded"] += row["wording"] == "teacher"
            count["acted_by_llm"] += row["source"] == "llm"
            if row["kept"]:
                diversity.add(row)
            count["requests"] += row["source"] == "request"
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
    metrics: dict[str, float] = {key: value for key, value in sorted(count.items()) if key != "untold"}
    return (
        metrics
        | diversity.metrics()
        | {
            "kept_share": count["kept"] / total,
            "longest": longest,
            "domains": len(domains),
            "user_errors": count["untold"] / total,
        }
    )


def card(p: TrajectoriesParams, metrics: Mapping[str, float], judged_by: str) -> str:
    """What a person reads about the data: who acted, worded and judged, and what came of it."""
    counts = {key: int(value) for key, value in metrics.items() if float(value).is_integer()}
    verdicts = {key.removeprefix("verdict_"): n for key, n in counts.items() if key.startswith("verdict_")}
    planner = "a planner that follows a gold plan, with mistakes and recoveries of its own; no language model."
    who = planner if p.agent == "planner" else f"the language model {public(p.agent)}."
    lines = [
        "# Trajectories",
        "",
        f"{counts['trajectories']:,} trajectories, {counts['kept']:,} kept; {counts['coding']:,} are coding sessions,",
        f"{counts['requests']:,} conversations on declared tools without a world.",
        "",
        f"Who acts: {who}",
        f"Teacher: {public(p.teacher)}. It worded the requests of {counts['worded']:,} conversations; the others keep",
        f"the script's words. Agents: {counts['agents']:,}, of which {counts['agents_by_llm']:,} have a prompt that",
        "the teacher wrote, the others a grammar's.",
        f"Judge: state checks, policies and tests; {judged_by} read {counts['llm_judged']:,} of those that passed.",
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
    return "\n".join(lines) + "\n"


def show(stage: OwnStage) -> None:
    """MLflow traces of a few rows, without reading the others' messages."""
    light = pq.read_table(OUT, columns=["traj_id", "verdict", "kept"]).to_pylist()
    wanted = [row["traj_id"] for row in choose(light, stage.common.traces)]
    if wanted:
        log_traces(stage.root, pq.read_table(OUT, filters=[("traj_id", "in", wanted)]).to_pylist())


def main() -> None:
    with Stage("trajectories", TrajectoriesParams, Track) as stage, ExitStack() as stack:
        p = stage.params
        tools = read_table(TOOLS_IN, TOOLS).to_pylist()
        apps = read_applications(tools)
        endpoint = load_section("endpoint", EndpointParams)
        teacher = stack.enter_context(Teacher(p.teacher, endpoint, stage.common.threads))
        judge = stack.enter_context(Teacher(p.judge, endpoint, stage.common.threads))
        agent = stack.enter_context(Teacher(p.agent, endpoint, stage.common.threads))
        try:
            agents = staff(stage, apps, teacher)
            maker = Maker(apps, agents, p, stage.seed32("trajectories"))
            paths = conversations(stage, maker, teacher, judge, agent)
            losses = {
                name: asked.settle() for name, asked in (("agent", agent), ("teacher", teacher), ("judge", judge))
            }
        except ChatError as error:
            raise InputError(f"trajectories.agent, teacher, judge: {error}") from None
        paths += requested(stage, tools) if p.requests.count else []
        paths += coding(stage, agents, stack)
        write_table(AGENTS_OUT, [agent_row(agent) for agent in agents], AGENTS)
        write_batches(TASKS_OUT, shards.read(paths, "task"), TASKS)
        write_batches(OUT, shards.read(paths, "trajectory"), TRAJECTORIES)
        metrics = measure(paths, {row["name"] for row in tools if row["origin"] == "real"})
        metrics["agents"] = len({(a.system, a.tools, a.policy) for a in agents})
        metrics["agents_by_llm"] = sum(a.author == "llm" for a in agents)
        metrics["requests_failed"] = sum(each.failed for each in losses.values())
        judged_by = "no language model" if p.judge == "none" else f"the language model {public(p.judge)}"
        with write_atomic(CARD) as tmp:
            tmp.write_text(card(p, metrics, judged_by), encoding="utf-8")
        show(stage)
        total, kept = int(metrics["trajectories"]), int(metrics["kept"])
        line = f"{total:,} trajectories, {kept:,} kept ({kept / total:.0%}), all replayed; {p.coding} of them coding"
        line += "".join(f"; {name}: {each.line()}" for name, each in losses.items() if each.line())
        if names := refused(paths):
            line += f"; {len(names):,} conversations lost to a refusal: {listed(names)}"
        stage.finish(line, metrics)


if __name__ == "__main__":
    main()
