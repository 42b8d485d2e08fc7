"""Documentation of an installed Debian package: `debian:python3.11-doc` in `corpus.sources`."""

import gzip
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

from stages.corpus.document import Document
from stages.corpus.html import html_to_text
from stages.harness.errors import InputError

SUFFIXES = (".html", ".txt", ".rst", ".md", ".txt.gz", ".rst.gz")


def documents(package: str) -> Iterator[Document]:
    """One document per HTML, text, Markdown or reStructuredText file below /usr/share.

    Raises:
        InputError: `dpkg` or the package is missing, or the package has no such file.
    """
    try:
        listed = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise InputError(f"corpus.sources: debian:{package}: this machine has no dpkg") from None
    except subprocess.CalledProcessError:
        raise InputError(f"corpus.sources: debian:{package}: not installed (apt-get install {package})") from None
    paths = [Path(line) for line in sorted(listed.split("\n")) if line.endswith(SUFFIXES)]
    chosen = [path for path in paths if path.is_file() and not path.is_symlink() and "_sources" not in path.parts]
    if not chosen:
        raise InputError(f"corpus.sources: debian:{package}: no text or HTML file in it")
    for path in chosen:
        text = decoded(path)
        body = html_to_text(text) if path.suffix == ".html" else text
        licence = f"see /usr/share/doc/{package}/copyright"
        yield Document(f"debian/{package}{path}", path.name, body, f"debian:{package}", licence)


def decoded(path: Path) -> str:
    """The text of a file, which in old packages is Latin-1."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"corpus.sources: {path}: not readable: {error}") from None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")
