"""HTML to plain text."""

import re
from html.parser import HTMLParser

BLOCKS = set(
    "address article aside blockquote br caption dd details div dl dt fieldset figcaption figure form h1 h2 h3 h4 h5 h6"
    " header hr legend li main ol option p pre section summary table tbody tfoot thead title tr ul".split()
)
CELLS = {"td", "th"}  # parted by a blank
SKIPPED = {"script", "style", "head", "nav", "footer"}


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.skipping = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":  # the end of a head may be left out
            self.skipping = 0
        if tag in SKIPPED:
            self.skipping += 1
        elif tag in CELLS:
            self.parts.append(" ")
        elif tag in BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in SKIPPED and self.skipping:
            self.skipping -= 1
        elif tag in BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.skipping:
            self.parts.append(data)


def html_to_text(html: str) -> str:
    """The words of a page: one line per block, no scripts, styles or navigation."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in "".join(parser.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
