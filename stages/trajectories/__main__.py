"""`python -m stages.trajectories`: agents serve simulated users in simulated worlds and repair code in a sandbox; a
judge keeps the successes.

Rows are made shard by shard; a shard that was written is never made again, and only one is in memory. While one is
simulated, the teacher words the next one's requests in a thread of its own.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq

from agents.chat.losses import listed
from agents.chat.protocol import ChatError
from agents.chat.redact import public
from agents.chat.spec import is_endpoint
from agents.conversations.agents import Agent, make_agent
from agents.conversations.llm_judge import NO_JUDGE
from agents.conversations.prompts import write_prompts
from agents.worlds.surface import Surface
from stages.harness.arguments import no_arguments
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import AGENTS, TASKS, TOOLS, TRAJECTORIES, read_table, write_batches, write_table
from stages.harness.teacher import Teacher
from stages.tracking.runs import Track
from stages.trajectories import shards
from stages.trajectories.card import card, measure, ten
from stages.trajectories.desks import surfaces
from stages.trajectories.params import TrajectoriesParams
from stages.trajectories.prompts import templates
from stages.trajectories.simulated import Maker, agent_row
from stages.trajectories.sources import OwnStage, coding, conversations, executed, requested, served

TOOLS_IN = Path("data/tools.parquet")
AGENTS_OUT = Path("data/agents.parquet")
TASKS_OUT = Path("data/tasks.parquet")
OUT = Path("data/trajectories.parquet")
CARD = Path("data/trajectories_card.md")


def staff(stage: OwnStage, desks: Sequence[Surface], teacher: Teacher) -> list[Agent]:
    """The agents; behind a URL the teacher writes their prompts."""
    p, seed = stage.params, stage.seed32("agents")
    agents = [make_agent(number, seed, desks, p.thoughts) for number in range(p.agents)]
    if is_endpoint(p.teacher):
        return teacher.submit(write_prompts, agents, seed).result()
    return agents


def refused(paths: Sequence[Path]) -> list[str]:
    """The conversations that lost a turn of the agent, or the judge's verdict, to a refusal."""
    return [
        row["traj_id"]
        for rows in shards.read(paths, "trajectory")
        for row in rows
        if row["verdict"] in ("refused", NO_JUDGE)
    ]


def show(stage: OwnStage) -> None:
    """MLflow traces of a few rows, without reading the others' messages."""
    from stages.tracking.traces import choose, log_traces  # MLflow: seconds, which a stage that is refused doesn't take

    light = pq.read_table(OUT, columns=["traj_id", "verdict", "kept"], filters=[("n_turns", ">", 0)]).to_pylist()
    wanted = [row["traj_id"] for row in choose(light, stage.common.traces)]
    if wanted:
        rows = pq.read_table(OUT, filters=[("traj_id", "in", wanted)]).to_pylist()
        tasks = [("task_id", "in", [row["task_id"] for row in rows])]
        rubrics = pq.read_table(TASKS_OUT, columns=["task_id", "rubric"], filters=tasks).to_pylist()
        judge = public(stage.params.judge)
        log_traces(stage.root, rows, {row["task_id"]: row["rubric"] for row in rubrics}, judge)


def main() -> None:
    with Stage("trajectories", TrajectoriesParams, Track) as stage, ExitStack() as stack:
        p = stage.params
        stage.track.prompts(templates(p))
        tools = read_table(TOOLS_IN, TOOLS).to_pylist()
        desks = surfaces(tools)
        endpoint = load_section("endpoint", EndpointParams)
        teacher = stack.enter_context(Teacher(p.teacher, endpoint, stage.common.threads))
        judge = stack.enter_context(Teacher(p.judge, endpoint, stage.common.threads))
        agent = stack.enter_context(Teacher(p.agent, endpoint, stage.common.threads))
        try:
            agents = staff(stage, desks, teacher)
            maker = Maker(desks, agents, p, stage.seed32("trajectories"))
            paths = conversations(stage, maker, teacher, judge, agent)
            coded = coding(stage, agents, agent, stack)
            losses = {
                name: asked.settle() for name, asked in (("agent", agent), ("teacher", teacher), ("judge", judge))
            }
        except ChatError as error:
            raise InputError(f"trajectories.agent, teacher, judge: {error}") from None
        paths += requested(stage, tools)
        paths += served(stage) if p.servers else []
        paths += executed(stage, tools)
        paths += coded
        write_table(AGENTS_OUT, [agent_row(agent) for agent in agents], AGENTS)
        write_batches(TASKS_OUT, shards.read(paths, "task"), TASKS)
        write_batches(OUT, shards.read(paths, "trajectory"), TRAJECTORIES)
        metrics = measure(paths, {row["name"] for row in tools if row["origin"] == "real"})
        metrics["agents"] = len({(a.system, a.actions, a.application, a.shape) for a in agents})
        metrics["agents_by_llm"] = sum(a.author == "llm" for a in agents)
        metrics["requests_failed"] = sum(each.failed for each in losses.values())
        judged_by = "no language model" if p.judge == "none" else f"the language model {public(p.judge)}"
        shown = ten(paths, stage.seed32("card"))
        with write_atomic(CARD) as tmp:
            tmp.write_text(card(p, metrics, judged_by, shown), encoding="utf-8")
        show(stage)
        total, kept = int(metrics["trajectories"]), int(metrics["kept"])
        line = f"{total:,} trajectories, {kept:,} kept ({kept / total:.0%}), all replayed; {p.coding} of them coding"
        line += "".join(f"; {name}: {each.line()}" for name, each in losses.items() if each.line())
        if names := refused(paths):
            line += f"; {len(names):,} conversations lost to a refusal: {listed(names)}"
        stage.finish(line, metrics)


if __name__ == "__main__":
    no_arguments("trajectories")
    main()
