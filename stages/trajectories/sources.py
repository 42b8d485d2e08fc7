"""The shards of each kind of conversation: made once, found again by a later run."""

import json
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from agents.chat.spec import is_endpoint
from agents.conversations.agents import Agent
from agents.conversations.judge import Judgement
from agents.conversations.llm_agent import Acting
from agents.conversations.llm_judge import Question, ask_llm
from agents.conversations.wording import Wording, reword
from agents.loop.loop import InfrastructureError
from agents.requests.conversation import Requests
from agents.requests.sides import authored_on, rows_on
from agents.requests.singles import Singles
from agents.servers.conversation import ServerConversations
from agents.servers.executed import ExecutedConversations
from agents.servers.own import by_server, learnable
from agents.tools.everyday import everyday_tools
from gym.repositories.stored import TABLE, StoredTasks
from gym.sandbox import SandboxError
from stages.harness.errors import InputError
from stages.harness.mcp_servers import own_servers
from stages.harness.sandbox import sandboxes
from stages.harness.stage import Stage
from stages.harness.teacher import Teacher
from stages.trajectories import shards
from stages.trajectories.acted import acted
from stages.trajectories.params import TrajectoriesParams
from stages.trajectories.requested import called
from stages.trajectories.requested import rows as requested_rows
from stages.trajectories.sessions import Engineers
from stages.trajectories.shards import Row
from stages.trajectories.simulated import Maker

OwnStage = Stage[TrajectoriesParams]
CODING_SHARD, SERVER_SHARD = 20, 50


def conversations(stage: OwnStage, maker: Maker, teacher: Teacher, judge: Teacher, agent: Teacher) -> list[Path]:
    """Makes the shards of simulated conversations that are not there yet."""
    p = stage.params
    todo = shards.ranges(p.count, p.shard)
    paths = [shards.path_of(stage.work, "simulated", numbers) for numbers in todo]
    missing = [k for k, path in enumerate(paths) if not path.exists()]
    per_shard = -(-p.judged // len(todo))

    def ask(k: int) -> "Future[list[Wording]] | None":
        wishes = maker.wishes(todo[k])
        return teacher.submit(reword, wishes, maker.base) if wishes else None

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
            acting = Acting(**p.acting.model_dump(), plays_user=p.user == "agent")
            for index, rows in acted(maker, shares, agent, acting, progress.update):
                shards.make(paths[missing[index]], partial(judged, rows))
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
    passed = [row for row in rows if row["trajectory"]["kept"]][:at_most]
    asked = [Question(json.loads(row["trajectory"]["messages"]), json.loads(row["task"]["rubric"])) for row in passed]
    judgements: list[Judgement] = judge.submit(ask_llm, asked, schema=is_endpoint(judge.spec)).result()
    for row, judgement in zip((row["trajectory"] for row in passed), judgements, strict=True):
        row["llm_verdict"], row["llm_reason"] = judgement.verdict, judgement.reason
        if not judgement.kept:
            row["kept"], row["verdict"], row["reason"] = False, judgement.verdict, judgement.reason


def coding(stage: OwnStage, agents: Sequence[Agent], agent: Teacher, stack: ExitStack) -> list[Path]:
    """Makes the shards of coding sessions that are not there yet, by the model that acts where there is one.

    Raises:
        ChatError: no request can be answered.
        InputError: there is no task, or no sandbox.
    """
    p = stage.params
    todo = shards.ranges(p.coding, CODING_SHARD)
    paths = [shards.path_of(stage.work, "coding", numbers) for numbers in todo]
    if all(path.exists() for path in paths):
        return paths
    workers = stage.common.threads
    try:
        stored = stack.enter_context(StoredTasks(TABLE, workers, sandboxes()))
        engineers = Engineers(stored, agents, stage.seed32("coding"))
        with stage.progress(p.coding, "session") as progress:
            for path, numbers in zip(paths, todo, strict=True):
                if is_endpoint(p.agent):
                    shards.make(path, partial(engineers.attended, numbers, agent, Acting(**p.acting.model_dump())))
                else:
                    shards.make(path, partial(engineers.rows, numbers, workers))
                progress.update(len(numbers))
    except (SandboxError, InfrastructureError, ValueError) as error:
        raise InputError(f"trajectories.coding: {error}; 0 makes none") from None
    return paths


def requested(stage: OwnStage, tools: Sequence[Row]) -> list[Path]:
    """Makes the shards of conversations on declared tools, whole ones and single turns, that are not there yet.

    Not declared are tools that are held for measuring (`agents/requests/sides.py`, `agents/servers/own.py`), and those
    of servers that are called.
    """
    p = stage.params
    executed = {server.called for server in own_servers() if server.execute}
    rows = rows_on("train", learnable(tools))
    rows = [row for row in rows if row["source"] != "mcp" or row["application"] not in executed]
    paths: list[Path] = []
    for source, kind, section in (("request", Requests, p.requests), ("single", Singles, p.singles)):
        todo = shards.ranges(section.count, p.shard)
        own = [shards.path_of(stage.work, source, numbers) for numbers in todo]
        paths += own
        if all(path.exists() for path in own):
            continue
        name = f"{source}s"
        try:
            maker = kind(authored_on("train", everyday_tools()), rows, section.mix, stage.seed32(name))
        except ValueError as error:
            raise InputError(
                f"trajectories.{name}.{error}; keep more of them in tools, or give it the weight 0"
            ) from None
        for path, numbers in zip(own, todo, strict=True):
            shards.make(path, partial(requested_rows, maker, numbers, source))
    return paths


def served(stage: OwnStage) -> list[Path]:
    """Makes the shards of conversations with real servers of packages that are not there yet."""
    p = stage.params
    todo = shards.ranges(p.servers, SERVER_SHARD)
    paths = [shards.path_of(stage.work, "server", numbers) for numbers in todo]
    if all(path.exists() for path in paths):
        return paths
    try:
        with ServerConversations(base=stage.seed32("servers")) as made, stage.progress(p.servers, "session") as bar:
            for path, numbers in zip(paths, todo, strict=True):
                shards.make(path, partial(called, made.make, numbers, "server", "server", "not_replayed"))
                bar.update(len(numbers))
    except SandboxError as error:
        raise InputError(f"trajectories.servers: {error}; 0 makes none") from None
    return paths


def executed(stage: OwnStage, tools: Sequence[Row]) -> list[Path]:
    """Makes the shards of conversations that call the user's own servers, where their entries allow it."""
    p = stage.params
    paths: list[Path] = []
    for server in own_servers():
        path = shards.path_of(stage.work, f"executed-{server.called}", range(1))
        own = by_server(learnable(tools)).get(server.called, [])
        if not (server.execute and own and p.executed):
            continue
        paths.append(path)
        if path.exists():
            continue
        from agents.tools.harvest import McpToolbox, ServerError  # the SDK takes a second to load

        try:
            with McpToolbox(server.server) as toolbox:
                make = ExecutedConversations(own, toolbox, base=stage.seed32("executed")).make
                shards.make(path, partial(called, make, range(p.executed), "executed", server.called, "server_errors"))
        except ServerError as error:
            raise InputError(f"tools.mcp_servers: {error}") from None
    return paths
