"""`python -m stages.tools`: real tools, tools of MCP servers, and tools of applications in many shapes."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import yaml
from datasketch import MinHash, MinHashLSH

from agents.chat.losses import listed
from agents.chat.protocol import ChatError
from agents.chat.spec import is_endpoint
from agents.conversations.invent import Invented, invent
from agents.requests.offers import everyday_offer, returns_of
from agents.tools.everyday import EverydayTool, everyday_tools
from agents.tools.library import functions
from agents.tools.real import RealTool, SourceMissing, sample
from agents.worlds.application import DOMAINS, Application, ApplicationError
from agents.worlds.reading import authored, parse
from agents.worlds.surface import Surface, shaped
from gym.yaml_text import load_yaml_text
from stages.harness.arguments import no_arguments
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import TOOLS, write_table
from stages.harness.teacher import Teacher
from stages.tools.params import ToolsParams
from stages.tracking.runs import Track

if TYPE_CHECKING:
    from agents.tools.harvest import McpTool

OUT = Path("data/tools.parquet")
CARD = Path("data/tools_card.md")
PERMUTATIONS = 64
CANDIDATES = 0.9
PYTHON = "python"  # the source of functions
Row = dict[str, Any]


def _of_shape(surface: Surface, source: str, content: Mapping[str, Any] | None) -> Iterator[Row]:
    """The tools of an application's shape.

    Args:
        content: of an application that is not authored here, so that worlds can be made of it again.
    """
    app = surface.app
    for tool in surface.tools.values():
        state = {"application": app.name, "shape": surface.number, "action": tool.action.name}
        yield {
            "name": tool.name,
            "domain": app.domain,
            "application": surface.name,
            "origin": "synthetic",
            "source": source,
            "description": tool.description,
            "parameters": json.dumps(tool.parameters),
            "returns": json.dumps(surface.returns(tool)),
            "state_model": json.dumps(state if content is None else {**state, "content": content}, default=str),
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
        "returns": json.dumps(returns_of(tool)),
        "state_model": "",
    }


def _mcp(tool: "McpTool", server: str) -> Row:
    return {
        "name": tool.name,
        "domain": "mcp",
        "application": server,
        "origin": "real",
        "source": "mcp",
        "description": tool.description,
        "parameters": json.dumps(tool.parameters),
        "returns": json.dumps(tool.returns),
        "state_model": "",
    }


def _own(paths: Sequence[str]) -> list[Mapping[str, Any]]:
    """The user's applications; raises InputError."""
    contents = []
    for path in paths:
        try:
            content = load_yaml_text(Path(path).read_text(encoding="utf-8"))
            app = parse(content)
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ApplicationError) as error:
            raise InputError(f"tools.applications: {path}: {' '.join(str(error).split())}") from None
        if app.name in authored():
            raise InputError(f"tools.applications: {path}: {app.name} is one of the authored applications")
        contents.append(content)
    return contents


def _synthetic(
    p: ToolsParams, own: Sequence[Mapping[str, Any]], invented: Sequence[Mapping[str, Any]]
) -> Iterator[Row]:
    """The tools of all applications but those that are held for evaluation."""
    apps: list[tuple[Application, str, Mapping[str, Any] | None]] = [(a, "authored", None) for a in authored().values()]
    apps += [(parse(content), "own", content) for content in own]
    apps += [(parse(content), "llm", content) for content in invented]
    for app, source, content in apps:
        if not app.held:
            for number in range(p.shapes):
                yield from _of_shape(shaped(app, number), source, content)


def _rows(p: ToolsParams, own: Sequence[Mapping[str, Any]], invented: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    yield from _synthetic(p, own, invented)
    if p.everyday:
        yield from map(_everyday, everyday_tools())
    try:
        specified = [*(sample(p.real) if p.real else ()), *(_spread(functions(), p.functions) if p.functions else ())]
    except SourceMissing as error:
        raise InputError(f"tools.real, functions: {error}") from None
    yield from map(_specified, specified)
    if p.mcp_servers:
        from agents.tools.harvest import ServerError, harvest  # the SDK takes a second to load

        try:
            yield from (_mcp(tool, server.called) for server in p.mcp_servers for tool in harvest(server.server))
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


def _card(rows: list[Row], dropped: int, teacher: str, invented: Invented) -> str:
    domains = Counter((row["origin"], row["domain"]) for row in rows)
    sources = Counter(row["source"] for row in rows)
    lines = [
        "# Tools",
        "",
        f"{len(rows):,} tools; {dropped:,} near-duplicates were left out.",
        "",
        f"Teacher: {teacher or 'not asked'}.",
        "Synthetic tools are the actions of applications (docs/applications.md), in several shapes each: other names,",
        "words, descriptions, further optional arguments, other units. `authored` ones were written for this project,",
        "`own` are the user's, `llm` the teacher's; each works on a small simulated world. Applications that are held",
        "for evaluation are not among them.",
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
    if invented.left_out:
        lines += ["", "Applications of the teacher that were left out:", ""]
        lines += [f"- {reason}: {count:,}" for reason, count in sorted(invented.left_out.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    with Stage("tools", ToolsParams, Track) as stage:
        p = stage.params
        seed = stage.seed32("teacher")
        endpoint = load_section("endpoint", EndpointParams)
        own = _own(p.applications)
        invented = Invented()
        with Teacher(p.teacher, endpoint, stage.common.threads) as teacher:
            try:
                if is_endpoint(p.teacher) and p.invented:
                    known = [*authored(), *(str(content["application"]) for content in own)]
                    invented = teacher.submit(invent, DOMAINS, p.invented, seed, known).result()
                losses = teacher.settle()
            except ChatError as error:
                raise InputError(f"tools.teacher: {error}") from None
        try:
            rows = list(_rows(p, own, invented.applications))
        except ApplicationError as error:
            raise InputError(str(error)) from None
        names = Counter(row["name"] for row in rows)
        twice = [name for name, count in names.items() if count > 1]
        for row in rows:
            if row["name"] in twice:
                row["name"] = f"{row['application']}_{row['name']}"
        kept, dropped = deduplicate(rows, p.near_dup_threshold)
        write_table(OUT, kept, TOOLS)
        with write_atomic(CARD) as tmp:
            tmp.write_text(_card(kept, dropped, teacher.model, invented), encoding="utf-8")
        real = sum(row["origin"] == "real" for row in kept)
        metrics = {
            "tools": len(kept),
            "real": real,
            "synthetic": len(kept) - real,
            "by_llm": sum(row["source"] == "llm" for row in kept),
            "invented": len(invented.applications),
            "left_out": sum(invented.left_out.values()),
            "domains": len({row["domain"] for row in kept if row["origin"] == "synthetic"}),
            "near_duplicates": dropped,
            "requests_failed": losses.failed,
        }
        line = f"{real:,} real and {len(kept) - real:,} synthetic tools, {dropped:,} near-duplicates"
        if lost := losses.line():
            line += f"; {lost}, for {listed(invented.refused)}"
        stage.finish(line, metrics)


if __name__ == "__main__":
    no_arguments("tools")
    main()
