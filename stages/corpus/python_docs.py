"""The language topics of Python's own documentation (`pydoc_data`, PSF licence)."""

import pydoc_data.topics
from collections.abc import Iterator

from stages.corpus.document import Document

SOURCE = "python_docs"


def documents() -> Iterator[Document]:
    """One document per topic, paragraphs kept together up to about 4,000 characters."""
    for topic, text in sorted(pydoc_data.topics.topics.items()):
        for part, chunk in enumerate(_chunks(text, 4000)):
            yield Document(f"{SOURCE}/{topic}/{part}", f"Python: {topic}", chunk, SOURCE, "PSF-2.0")


def _chunks(text: str, limit: int) -> Iterator[str]:
    chunk = ""
    for paragraph in text.split("\n\n"):
        if chunk and len(chunk) + len(paragraph) > limit:
            yield chunk
            chunk = ""
        chunk = f"{chunk}\n\n{paragraph}" if chunk else paragraph
    if chunk:
        yield chunk
