"""The report's sections about agentic data: the tree of tools, and trajectories to read."""

import html
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stages.report.page import Section, table

SHOWN = 10
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


def tools(root: Path) -> Section:
    """How many tools there are by origin and domain, and what each domain's applications are."""
    path = root / "data" / "tools.parquet"
    if not path.exists():
        return Section("tools", "Tools", "<p>not run</p>")
    rows = pq.read_table(path, columns=["domain", "application", "origin", "source"]).to_pylist()
    origins = Counter((row["origin"], row["source"]) for row in rows)
    synthetic = Counter(row["domain"] for row in rows if row["origin"] == "synthetic")
    tree = []
    for domain, count in sorted(synthetic.items()):
        applications = Counter(row["application"] for row in rows if row["domain"] == domain)
        listed = ", ".join(f"{name.replace('_', ' ')} ({n})" for name, n in sorted(applications.items()))
        tree.append(
            f"<details><summary><b>{domain}</b> · {count:,} tools</summary><p>{html.escape(listed)}</p></details>"
        )
    heads = table(["origin", "source", "tools"], [[o, s, f"{n:,}"] for (o, s), n in sorted(origins.items())], [2])
    body = f"{heads}<h3>Domains of the synthetic tools</h3>{_bars(sorted(synthetic.items()))}{''.join(tree)}"
    return Section("tools", "Tools", body)


def _message(message: dict[str, Any]) -> str:
    role = message["role"]
    parts = []
    if message.get("reasoning_content"):
        parts.append(f'<p class="soft"><i>{html.escape(message["reasoning_content"])}</i></p>')
    if message.get("content"):
        parts.append(f"<p>{html.escape(str(message['content']))}</p>")
    for call in message.get("tool_calls") or []:
        function = call["function"]
        parts.append(f"<pre>{html.escape(function['name'])}({html.escape(str(function['arguments']))})</pre>")
    return f'<div class="turn {role}"><b>{role}</b>{"".join(parts)}</div>'


def trajectories(root: Path) -> Section:
    """Verdicts, and ten trajectories as a person reads them: kept ones, and one of each way to fail."""
    path = root / "data" / "trajectories.parquet"
    if not path.exists():
        return Section("trajectories", "Trajectories", "<p>not run</p>")
    rows = pq.read_table(path, columns=["traj_id", "domain", "messages", "verdict", "reason", "kept", "n_calls"])
    found = rows.to_pylist()
    verdicts = Counter(row["verdict"] for row in found)
    shown = list({row["verdict"]: row for row in found if not row["kept"]}.values())
    kept = sorted((row for row in found if row["kept"]), key=lambda row: (-row["n_calls"], row["traj_id"]))
    step = max(1, len(kept) // max(1, SHOWN - len(shown)))
    shown = [*kept[::step][: SHOWN - len(shown)], *shown]
    parts = []
    for row in shown:
        title = f"{row['traj_id']} · {row['domain']} · {row['n_calls']} calls · {row['verdict']}"
        turns = "".join(_message(message) for message in json.loads(row["messages"]))
        reason = f"<p class='soft'>{html.escape(row['reason'])}</p>"
        parts.append(f"<details><summary>{html.escape(title)}</summary>{reason}{turns}</details>")
    share = {name: f"{count / len(found):.1%}" for name, count in verdicts.items()}
    counted = table(
        ["verdict", "trajectories", "share"],
        [[name, f"{count:,}", share[name]] for name, count in verdicts.most_common()],
        [1, 2],
    )
    return Section("trajectories", "Trajectories", counted + "".join(parts))
