"""`python -m stages.tools`: real tools, tools of MCP servers, and synthetic tools by hierarchical evolution."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from datasketch import MinHash, MinHashLSH

from agents.chat.losses import listed
from agents.chat.protocol import ChatError
from agents.chat.spec import is_endpoint
from agents.conversations.wording import REFUSED, Wording, of_tool, reword
from agents.requests.offers import everyday_offer
from agents.tools.everyday import EverydayTool, everyday_tools
from agents.tools.evolve import kinds, tools_of
from agents.tools.evolve_llm import Evolved, evolve_with
from agents.tools.harvest import McpTool, ServerError, harvest
from agents.tools.library import functions
from agents.tools.nouns import DOMAINS
from agents.tools.real import RealTool, SourceMissing, sample
from agents.tools.spec import Tool, simulated
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import TOOLS, write_table
from stages.harness.teacher import Teacher
from stages.tools.params import ToolsParams
from stages.tracking.runs import Track

OUT = Path("data/tools.parquet")
CARD = Path("data/tools_card.md")
PERMUTATIONS = 64
CANDIDATES = 0.9
PYTHON = "python"  # the source of functions
Row = dict[str, Any]


def _synthetic(tool: Tool, source: str) -> Row:
    return {
        "name": tool.name,
        "domain": tool.kind.domain,
        "application": tool.kind.application,
        "origin": "synthetic",
        "source": source,
        "description": tool.description,
        "parameters": json.dumps(tool.parameters),
        "returns": json.dumps(tool.returns),
        "state_model": json.dumps(tool.state_model()),
    }


def _spread(tools: Sequence[RealTool], most: int) -> Sequence[RealTool]:
    """At most so many, evenly over all."""
    return [tools[k * len(tools) // most] for k in range(most)] if most < len(tools) else tools


def _specified(tool: RealTool) -> Row:
    return {
        "name": tool.name,
        "domain": "Python packages" if tool.source == PYTHON else "cloud and web services",
        "application": tool.service,
        "origin": "real",
        "source": tool.source,
        "description": tool.description,
        "parameters": json.dumps(tool.parameters),
        "returns": json.dumps(tool.returns),
        "state_model": "",
    }


def _everyday(tool: EverydayTool) -> Row:
    """As it is authored; each conversation declares a form of its own."""
    declared = everyday_offer(tool, Random(tool.name)).declaration()["function"]
    return {
        "name": f"{tool.domain.replace(' ', '_')}_{tool.name}",
        "domain": tool.domain,
        "application": tool.domain,
        "origin": "synthetic",
        "source": "everyday",
        "description": declared["description"],
        "parameters": json.dumps(declared["parameters"]),
        "returns": "{}",
        "state_model": "",
    }


def _mcp(tool: McpTool) -> Row:
    return {
        "name": tool.name,
        "domain": "mcp",
        "application": tool.server,
        "origin": "real",
        "source": "mcp",
        "description": tool.description,
        "parameters": json.dumps(tool.parameters),
        "returns": json.dumps(tool.returns),
        "state_model": "",
    }


def _rows(p: ToolsParams, invented: Sequence[Tool]) -> Iterator[Row]:
    for kind in kinds():
        tools = list(tools_of(kind))
        yield from (_synthetic(tool, "grammar") for tool in tools[: p.synthetic_per_kind or len(tools)])
    yield from (_synthetic(tool, "llm") for tool in invented)
    if p.everyday:
        yield from map(_everyday, everyday_tools())
    try:
        specified = [*(sample(p.real) if p.real else ()), *(_spread(functions(), p.functions) if p.functions else ())]
    except SourceMissing as error:
        raise InputError(f"tools.real, functions: {error}") from None
    yield from map(_specified, specified)
    for server in p.mcp_servers:
        try:
            yield from map(_mcp, harvest(server))
        except ServerError as error:
            raise InputError(f"tools.mcp_servers: {error}") from None


def _words(row: Row) -> list[bytes]:
    text = f"{row['name']} {row['description']} {' '.join(json.loads(row['parameters']).get('properties', {}))}"
    return [word.encode() for word in sorted(set(re.findall(r"[a-z0-9]+", text.lower())))]


def deduplicate(rows: list[Row], threshold: float) -> tuple[list[Row], int]:
    """Rows without near-duplicates, the first stays: Jaccard over words of name, description and parameters.

    MinHash finds candidates; the similarity of a candidate is computed exactly.
    """
    index = MinHashLSH(threshold=min(threshold, CANDIDATES), num_perm=PERMUTATIONS)
    words = [_words(row) for row in rows]
    kept: list[Row] = []
    for number, (row, signature) in enumerate(
        zip(rows, MinHash.bulk(words, num_perm=PERMUTATIONS, seed=1), strict=True)
    ):
        mine = set(words[number])
        others = (set(words[int(key)]) for key in index.query(signature))
        if any(len(mine & other) >= threshold * len(mine | other) for other in others):
            continue
        index.insert(str(number), signature, check_duplication=False)
        kept.append(row)
    return kept, len(rows) - len(kept)


def reworded(rows: list[Row], wanted: int, teacher: Teacher, seed: int) -> tuple[int, list[str]]:
    """Gives `wanted` of the grammar's descriptions, spread evenly, to the teacher.

    Returns:
        How many came back faithful, and the names of those that it refused.
    """
    grammar = [row for row in rows if row["source"] == "grammar"]
    chosen = grammar[:: max(1, len(grammar) // wanted)][:wanted] if wanted else []
    if not chosen:
        return 0, []
    sentences = [of_tool(tool) for tool in simulated(chosen)]
    wordings: list[Wording] = teacher.submit(reword, sentences, seed).result()
    for row, wording in zip(chosen, wordings, strict=True):
        row["description"] = wording.text
        row["source"] = "grammar, worded by the teacher" if wording.reworded else "grammar"
    refused = [row["name"] for row, wording in zip(chosen, wordings, strict=True) if set(wording.reasons) == {REFUSED}]
    return sum(wording.reworded for wording in wordings), refused


def _card(rows: list[Row], dropped: int, teacher: str, evolved: Evolved | None) -> str:
    domains = Counter((row["origin"], row["domain"]) for row in rows)
    sources = Counter(row["source"] for row in rows)
    lines = [
        "# Tools",
        "",
        f"{len(rows):,} tools; {dropped:,} near-duplicates were left out.",
        "",
        f"Teacher: {teacher or 'not asked'}.",
        "Synthetic tools of the source `grammar` come from a grammar over a tree of domains, applications and kinds of",
        "records, and so does their wording, but for those that the teacher reworded. Tools of the source `llm` were",
        "invented by the teacher: application, kinds of records, tools, wording. Each is a state machine over a small",
        "simulated world.",
        "Tools of the source `everyday` were written for this project; each conversation declares a form of its own.",
        "Real tools are operation models that ship in packages (botocore, google-api-python-client: Apache-2.0),",
        "signatures and docstrings of installed Python packages, and tools of MCP servers that were running. They are",
        "specifications; nothing calls the services or the functions.",
        "",
        "| source | tools |",
        "|---|---|",
        *(f"| {source} | {count:,} |" for source, count in sorted(sources.items())),
        "",
        "| origin | domain | tools |",
        "|---|---|---|",
        *(f"| {origin} | {domain} | {count:,} |" for (origin, domain), count in sorted(domains.items())),
    ]
    if evolved is not None:
        lines += ["", "Inventions of the teacher that were left out:", ""]
        lines += [f"- {reason}: {count:,}" for reason, count in sorted(evolved.left_out.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    with Stage("tools", ToolsParams, Track) as stage:
        p = stage.params
        seed = stage.seed32("teacher")
        endpoint = load_section("endpoint", EndpointParams)
        with Teacher(p.teacher, endpoint, stage.common.threads) as teacher:
            try:
                evolved = None
                if is_endpoint(p.teacher) and p.applications:
                    known = sorted({kind.application for kind in kinds()})
                    asked = (list(DOMAINS), p.applications, p.kinds, seed, known)
                    evolved = teacher.submit(evolve_with, *asked).result()
                rows = list(_rows(p, evolved.tools if evolved else ()))
                worded, refused = reworded(rows, p.worded, teacher, seed)
                losses = teacher.settle()
            except ChatError as error:
                raise InputError(f"tools.teacher: {error}") from None
        names = Counter(row["name"] for row in rows)
        twice = [name for name, count in names.items() if count > 1]
        for row in rows:
            if row["name"] in twice:
                row["name"] = f"{row['application']}_{row['name']}"
        kept, dropped = deduplicate(rows, p.near_dup_threshold)
        write_table(OUT, kept, TOOLS)
        with write_atomic(CARD) as tmp:
            tmp.write_text(_card(kept, dropped, teacher.model, evolved), encoding="utf-8")
        real = sum(row["origin"] == "real" for row in kept)
        metrics = {
            "tools": len(kept),
            "real": real,
            "synthetic": len(kept) - real,
            "by_llm": sum(row["source"] == "llm" for row in kept),
            "worded": worded,
            "domains": len({row["domain"] for row in kept if row["origin"] == "synthetic"}),
            "near_duplicates": dropped,
            "requests_failed": losses.failed,
        }
        line = f"{real:,} real and {len(kept) - real:,} synthetic tools, {dropped:,} near-duplicates"
        if lost := losses.line():
            line += f"; {lost}, for {listed([*(evolved.refused if evolved else []), *refused])}"
        stage.finish(line, metrics)


if __name__ == "__main__":
    main()
