"""The report's sections about agentic data: the tree of tools, and trajectories to read."""

import html
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from k2model.chat.model_json import ModelJsonError, loads_model_json
from stages.report.files import read_json
from stages.report.page import Chapter, chip, table

SHOWN = 10
LONGEST = 20_000  # characters of one text
BAR = 22


def _bars(counts: list[tuple[str, int]]) -> str:
    """Horizontal bars as inline SVG, one a row."""
    most = max(count for _, count in counts)
    height = BAR * len(counts) + 8
    parts = [f'<svg viewBox="0 0 720 {height}" role="img" aria-label="counts">']
    for row, (name, count) in enumerate(counts):
        y = row * BAR + 4
        width = 440 * count / most
        parts.append(f'<text class="tick" x="200" y="{y + 14}" text-anchor="end">{html.escape(name)}</text>')
        parts.append(f'<rect class="bar" x="208" y="{y}" width="{width:.1f}" height="16" rx="2"/>')
        parts.append(f'<text class="tick" x="{214 + width:.1f}" y="{y + 14}">{count:,}</text>')
    return f"<figure>{''.join(parts)}</svg></figure>"


def _treemap(counts: dict[str, Counter[str]]) -> str:
    """Domains as columns, as wide as their tools are many; in each its applications, as high as theirs. Inline SVG."""
    total = sum(own.total() for own in counts.values())
    width, height, x = 1080.0, 420.0, 0.0
    parts = [f'<svg viewBox="0 0 {width:.0f} {height + 96:.0f}" role="img" aria-label="tree of synthetic tools">']
    for index, (domain, own) in enumerate(sorted(counts.items())):
        wide = width * own.total() / total
        y = 0.0
        for name, n in sorted(own.items()):
            high = height * n / own.total()
            label = html.escape(f"{domain.replace('_', ' ')}: {name.replace('_', ' ')}, {n:,} tools")
            parts.append(
                f'<rect class="dot s{index % 6}" style="opacity:.55" x="{x + 1:.1f}" y="{y + 1:.1f}" '
                f'width="{wide - 2:.1f}" height="{high - 2:.1f}" rx="2"><title>{label}</title></rect>'
            )
            y += high
        at = x + wide / 2 + 4
        parts.append(
            f'<text class="tick" transform="translate({at:.1f},{height + 8:.0f}) rotate(60)">'
            f"{html.escape(domain.replace('_', ' '))}</text>"
        )
        x += wide
    return f'<figure class="scroll">{"".join(parts)}</svg></figure>'


def tools(root: Path) -> Chapter:
    """How many tools there are by origin and domain, and what each domain's applications are."""
    path = root / "data" / "tools.parquet"
    if not path.exists():
        return Chapter("tools", "Tools", "<p>not run</p>")
    rows = pq.read_table(path, columns=["domain", "application", "origin", "source"]).to_pylist()
    origins = Counter((row["origin"], row["source"]) for row in rows)
    synthetic = Counter(row["domain"] for row in rows if row["origin"] == "synthetic")
    tree = []
    for domain, count in sorted(synthetic.items()):
        applications = Counter(row["application"] for row in rows if row["domain"] == domain)
        listed = ", ".join(f"{name.replace('_', ' ')} ({n})" for name, n in sorted(applications.items()))
        tree.append(
            f"<details><summary><b>{html.escape(domain)}</b> · {count:,} tools</summary>"
            f"<p>{html.escape(listed)}</p></details>"
        )
    covered: dict[str, Counter[str]] = {}
    for row in rows:
        if row["origin"] == "synthetic":
            covered.setdefault(row["domain"], Counter())[row["application"]] += 1
    heads = table(["origin", "source", "tools"], [[o, s, f"{n:,}"] for (o, s), n in sorted(origins.items())], [2])
    title = "Domains and applications of the synthetic tools"
    drawn = f"<h3>{title}</h3>{_treemap(covered)}{_bars(sorted(synthetic.items()))}" if covered else ""
    body = f"{heads}{drawn}{''.join(tree)}"
    return Chapter("tools", "Tools", body)


ROLES = {"system": "Instructions", "user": "User", "assistant": "Agent", "tool": "Result"}
TROUBLES = {  # by the name of their metrics: the text in a tool's result that shows one, and what it means
    "timed_out": ('"error": "timed out', "a call timed out, its change made or not"),
    "unavailable": ('"error": "unavailable', "a tool was unavailable for a moment"),
    "not_found": ('"error": "not_found', "a record was not there"),
}


def _value(text: str) -> str:
    """JSON text with one member a line where it is long; other text as it is."""
    try:
        value = loads_model_json(text)
    except ModelJsonError:
        return _cut(text)
    if isinstance(value, dict) and len(text) > 60:
        members = [f"{key}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items()]
        return _cut("\n".join(members))
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} characters)"


def _message(message: dict[str, Any], names: dict[str, str]) -> str:
    """One turn: what the agent thinks, says and calls, or what came back; `names` are the tools by call id."""
    role = str(message.get("role"))
    label = ROLES.get(role, role)
    parts = []
    if reasoning := message.get("reasoning_content"):
        parts.append(f'<p class="soft">thinks: <i>{html.escape(_cut(str(reasoning)))}</i></p>')
    content = str(message.get("content") or "")
    if role == "tool":
        label = f"Result of {names.get(str(message.get('tool_call_id')), 'a call')}"
        failed = content.startswith(('{"error"', "error:"))
        parts.append(f"{chip('failed', 'no') if failed else ''}<pre>{html.escape(_value(content))}</pre>")
    elif content:
        parts.append(f"<p>{html.escape(_cut(content))}</p>")
    for call in message.get("tool_calls") or []:
        function = call.get("function") or {}
        written = html.escape(_value(str(function.get("arguments", ""))))
        parts.append(f"<p>calls <code>{html.escape(str(function.get('name')))}</code></p><pre>{written}</pre>")
    return f'<div class="turn {html.escape(role)}"><b>{html.escape(label)}</b>{"".join(parts)}</div>'


def _rubric(rubric: dict[str, Any]) -> str:
    def listed(name: str, items: list[str]) -> str:
        return f"<div><b>{name}</b><ul>{''.join(f'<li>{html.escape(str(item))}</li>' for item in items)}</ul></div>"

    parts = [listed("Success means", list(map(_criterion, rubric.get("success", []))))]
    parts.append(listed("Checkpoints", rubric.get("checkpoints", [])))
    if rubric.get("policies"):
        parts.append(listed("Rules of the desk", rubric["policies"]))
    return f'<div class="pair">{"".join(parts)}</div>'


def _criterion(criterion: Any) -> str:
    """A criterion as a line: `must happen: refund_ticket …`."""
    if not isinstance(criterion, dict):
        return str(criterion)
    rest = [f"{key} {json.dumps(value, ensure_ascii=False)}" for key, value in criterion.items() if key != "must"]
    return f"must {criterion.get('must')}: {', '.join(rest)}"


def _trajectory(row: dict[str, Any], rubric: dict[str, Any], why: str, open_: bool) -> str:
    """A trajectory to read: who and what, the rubric, the tools, every turn, the verdict."""
    messages = json.loads(row["messages"])
    calls = [call for message in messages for call in message.get("tool_calls") or []]
    names = {str(call.get("id")): str((call.get("function") or {}).get("name")) for call in calls}
    kept = chip("kept", "yes") if row["kept"] else chip(row["verdict"].replace("_", " "), "no")
    title = f"{why} · {row['domain'].replace('_', ' ')} · {row['n_calls']} calls · {row['traj_id']}"
    about = f"User: {row['persona'].replace('_', ' ')}. Request worded by the {row['wording']}. {row['source']}."
    tools = [tool["function"] for tool in json.loads(row["tools"])]
    offered = "".join(
        f"<li><code>{html.escape(str(tool['name']))}</code> {html.escape(str(tool.get('description') or ''))}</li>"
        for tool in tools
    )
    patch = f"<h4>What changed</h4><pre>{html.escape(_cut(row['patch']))}</pre>" if row["patch"] else ""
    judgement = f" LLM judge: {row['llm_verdict']}: {row['llm_reason']}" if row["llm_verdict"] else ""
    return (
        f"<details{' open' if open_ else ''}><summary>{kept} {html.escape(title)}</summary>"
        f'<p class="soft">{html.escape(about)}</p>{_rubric(rubric)}'
        f"<details><summary>{len(tools)} tools that the agent sees</summary><ul>{offered}</ul></details>"
        f"{''.join(_message(message, names) for message in messages)}{patch}"
        f"<p><b>Verdict</b> {kept} {html.escape(row['reason'])}.{html.escape(judgement)}</p></details>"
    )


def _reader(root: Path, light: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(id, why it is shown) of ten trajectories: each kind of trouble overcome, code, the longest, and each failure."""
    signed: dict[str, str] = {}
    file = pq.ParquetFile(root / "data" / "trajectories.parquet")
    for batch in file.iter_batches(256, columns=["traj_id", "messages", "kept"]):
        for row in batch.to_pylist():
            for name, (sign, _) in TROUBLES.items():
                if row["kept"] and name not in signed and sign in row["messages"].replace('\\"', '"'):
                    signed[name] = row["traj_id"]
    reasons: dict[str, str] = {}
    kept = [row for row in light if row["kept"]]
    for row in kept:
        if row["source"] == "coding":
            reasons.setdefault(row["traj_id"], "a repair in a sandbox")
            break
    for name in TROUBLES:
        if name in signed:
            reasons.setdefault(signed[name], f"{name.replace('_', ' ')}, and coped with")
    for row in kept:
        if row["wording"] == "teacher":
            reasons.setdefault(row["traj_id"], "worded by the teacher")
            break
    if kept:
        longest = max(kept, key=lambda row: row["n_calls"])
        reasons.setdefault(longest["traj_id"], "the longest")
    for row in {row["verdict"]: row for row in reversed(light) if not row["kept"]}.values():
        if len(reasons) < SHOWN:
            reasons.setdefault(row["traj_id"], "rejected")
    for row in kept:
        if len(reasons) >= SHOWN:
            break
        reasons.setdefault(row["traj_id"], "kept")
    return list(reasons.items())[:SHOWN]


def trajectories(root: Path) -> Chapter:
    """Verdicts, what went wrong in tools and was coped with, and ten trajectories as a person reads them."""
    path = root / "data" / "trajectories.parquet"
    if not path.exists():
        return Chapter("trajectories", "Trajectories", "<p>not run</p>")
    columns = ["traj_id", "task_id", "verdict", "kept", "n_calls", "source", "wording"]
    light = pq.read_table(path, columns=columns).to_pylist()
    verdicts = Counter(row["verdict"] for row in light)
    counted = table(
        ["verdict", "trajectories", "share"],
        [[name.replace("_", " "), f"{n:,}", f"{n / len(light):.1%}"] for name, n in verdicts.most_common()],
        [1, 2],
    )
    chosen = dict(_reader(root, light))
    rows = {row["traj_id"]: row for row in pq.read_table(path, filters=[("traj_id", "in", list(chosen))]).to_pylist()}
    tasks = root / "data" / "tasks.parquet"
    rubrics: dict[str, str] = {}
    if tasks.exists():
        wanted = [row["task_id"] for row in rows.values()]
        task_rows = pq.read_table(tasks, columns=["task_id", "rubric"], filters=[("task_id", "in", wanted)]).to_pylist()
        rubrics = {row["task_id"]: row["rubric"] for row in task_rows}
    shown = [
        _trajectory(rows[name], json.loads(rubrics.get(rows[name]["task_id"], "{}")), why, index == 0)
        for index, (name, why) in enumerate(chosen.items())
    ]
    body = f"{counted}{_diversity(root)}{_troubles(root)}<h3>Ten to read</h3>{''.join(shown)}"
    return Chapter("trajectories", "Trajectories", body, LEAD)


LEAD = (
    "Agents serve users at the desks of simulated applications, call declared tools and real MCP servers, and repair "
    "code in a sandbox. Rules for state, calls, policies and what was told, and tests, judge them; only successes are "
    "kept for tuning, and every one replays to the same state."
)


DIVERSITY = {  # metric, in words, and the aim (docs/evidence/trajectories.md)
    "distinct_sentences": ("distinct sentences of users, values masked", ""),
    "top_sentences": ("share of the ten most frequent", "≤ 5 %"),
    "declared_real": ("declarations that are of real tools", "≥ 60 %"),
    "share_dependent": ("conversations with two dependent calls or more", "≥ 50 %"),
    "share_error": ("with an error in a result", "15–25 %"),
    "share_no_call_or_ask_back": ("in which a wish is answered without a call, or asked back", "15–25 %"),
    "share_parallel": ("with several calls in a turn", "10–20 %"),
    "near_duplicates": ("near-duplicates of another, values masked", ""),
}


def _diversity(root: Path) -> str:
    """How much of what was kept is more of the same."""
    measured = read_json(root / "metrics" / "trajectories.json")
    rows = [[text, f"{measured[name]:.1%}", aim] for name, (text, aim) in DIVERSITY.items() if name in measured]
    return f"<h3>Diversity</h3>{table(['of what was kept', 'here', 'aim'], rows, [1])}" if rows else ""


def _troubles(root: Path) -> str:
    """How many trajectories met each kind of trouble, and how many of those were kept."""
    measured = read_json(root / "metrics" / "trajectories.json")
    rows = [
        [text, f"{int(measured[f'with_{name}']):,}", f"{measured[f'with_{name}_kept'] / measured[f'with_{name}']:.0%}"]
        for name, (_, text) in TROUBLES.items()
        if measured.get(f"with_{name}")
    ]
    return (
        f"<h3>Trouble in the tools</h3>{table(['what happened', 'trajectories', 'kept'], rows, [1, 2])}" if rows else ""
    )
