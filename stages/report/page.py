"""The shell of the report: one file, no network, light and dark, wide and narrow."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Chapter:
    """One part of the page; `body` is HTML, `lead` a sentence that says what it shows."""

    anchor: str
    title: str
    body: str
    lead: str = ""


class Html(str):
    """Text that is HTML already."""


def chip(text: str, kind: str) -> Html:
    """A word in a pill; `kind` is yes, no or open."""
    return Html(f'<span class="chip {kind}">{html.escape(text)}</span>')


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """An HTML table; cells are escaped unless they are `Html`, columns in `numeric` are aligned right."""

    def cell(tag: str, column: int, text: str) -> str:
        kind = ' class="n"' if column in numeric else ""
        return f"<{tag}{kind}>{text if isinstance(text, Html) else html.escape(text)}</{tag}>"

    top = "".join(cell("th", i, text) for i, text in enumerate(head))
    body = "".join(f"<tr>{''.join(cell('td', i, text) for i, text in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def page(title: str, lead: str, sections: Sequence[Chapter]) -> str:
    """The whole document."""
    links = "".join(f'<li><a href="#{s.anchor}">{html.escape(s.title)}</a></li>' for s in sections)
    parts = "".join(
        f'<section id="{s.anchor}"><h2>{html.escape(s.title)}</h2>'
        f'<p class="lead">{html.escape(s.lead)}</p>{s.body}</section>'
        for s in sections
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{html.escape(title)}</title><style>{STYLE}</style></head>
<body><a class="skip" href="#{sections[0].anchor}">To the content</a>
<header><h1>{html.escape(title)}</h1><p>{html.escape(lead)}</p></header>
<nav aria-label="Sections"><ul>{links}</ul></nav><main>{parts}</main>
<footer>Made by <code>python -m stages.report</code>; nothing on this page is loaded from a network.</footer>
</body></html>
"""
