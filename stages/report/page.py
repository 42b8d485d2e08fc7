"""The shell of the report: one file, no network, light and dark, wide and narrow."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

STYLE = """
:root{--bg:#fbfaf7;--fg:#1d2430;--soft:#5d6675;--line:#dcd9d0;--card:#fff;--a:#2457c5;--b:#c2571a;--c:#1f8a5b;--d:#8a3fa0}
@media(prefers-color-scheme:dark){:root{--bg:#14171c;--fg:#e7e9ee;--soft:#9aa3b2;--line:#2c323c;--card:#1b1f26;
--a:#7fa7ff;--b:#ff9d5c;--c:#5fd3a0;--d:#d28be8}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
header,main,footer{max-width:1080px;margin:0 auto;padding:0 20px}
header{padding-top:40px}h1{margin:0;font-size:30px;letter-spacing:-.02em}h2{margin:0 0 12px;font-size:20px}
header p,.soft{color:var(--soft)}
nav{position:sticky;top:0;background:var(--bg);border-bottom:1px solid var(--line);z-index:1}
nav ul{max-width:1080px;margin:0 auto;padding:8px 20px;display:flex;gap:4px 18px;flex-wrap:wrap;list-style:none}
a{color:var(--a)}a:focus-visible,summary:focus-visible{outline:2px solid var(--a);outline-offset:2px}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:22px;margin:22px 0;scroll-margin-top:60px}
table{border-collapse:collapse;width:100%;font-size:14px}th,td{text-align:left;padding:6px 10px;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}figure{margin:0 0 18px}figcaption{font-weight:600;margin-bottom:4px}svg{width:100%;height:auto;display:block}
.grid{stroke:var(--line)}.tick,.axis{fill:var(--soft);font-size:12px}.line{fill:none;stroke-width:2}.dot{opacity:0}.dot:hover{opacity:1}
.line.s0{stroke:var(--a)}.line.s1{stroke:var(--b)}.line.s2{stroke:var(--c)}.line.s3{stroke:var(--d)}
.dot.s0,.key.s0{fill:var(--a)}.dot.s1,.key.s1{fill:var(--b)}.dot.s2,.key.s2{fill:var(--c)}.dot.s3,.key.s3{fill:var(--d)}
.key{font-size:12px;font-weight:600}
.graph{display:flex;flex-wrap:wrap;gap:8px;list-style:none;padding:0;margin:0}
.graph li{border:1px solid var(--line);border-radius:8px;padding:8px 12px;min-width:120px}
.graph b{display:block}.graph span{color:var(--soft);font-size:13px}
code,.mono{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px}pre{white-space:pre-wrap;overflow-wrap:anywhere}
details{border-top:1px solid var(--line);padding:8px 0}summary{cursor:pointer}
h3{font-size:16px;margin:18px 0 8px}.bar{fill:var(--a)}
.turn{border-left:3px solid var(--line);padding:2px 12px;margin:8px 0}.turn p{margin:4px 0}.turn b{font-size:13px;color:var(--soft)}
.turn.user{border-color:var(--b)}.turn.assistant{border-color:var(--a)}.turn.tool{border-color:var(--c)}
footer{color:var(--soft);padding-bottom:40px;font-size:14px}
@media(max-width:600px){section{padding:14px}h1{font-size:24px}}
"""


@dataclass(frozen=True)
class Section:
    """One part of the page; `body` is HTML."""

    anchor: str
    title: str
    body: str


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """An HTML table; cells are escaped, columns in `numeric` are aligned right."""

    def cell(tag: str, column: int, text: str) -> str:
        kind = ' class="n"' if column in numeric else ""
        return f"<{tag}{kind}>{html.escape(text)}</{tag}>"

    top = "".join(cell("th", i, text) for i, text in enumerate(head))
    body = "".join(f"<tr>{''.join(cell('td', i, text) for i, text in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The whole document."""
    links = "".join(f'<li><a href="#{s.anchor}">{html.escape(s.title)}</a></li>' for s in sections)
    parts = "".join(f'<section id="{s.anchor}"><h2>{html.escape(s.title)}</h2>{s.body}</section>' for s in sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{html.escape(title)}</title><style>{STYLE}</style></head>
<body><header><h1>{html.escape(title)}</h1><p>{html.escape(lead)}</p></header>
<nav aria-label="Sections"><ul>{links}</ul></nav><main>{parts}</main>
<footer>Made by <code>python -m stages.report</code>; nothing on this page is loaded from a network.</footer></body></html>
"""
