"""A document on its way into the corpus."""

from dataclasses import dataclass

from stages.harness.seeds import sub_seed


@dataclass(frozen=True)
class Document:
    """`doc_id` is stable: it depends on the source and the title or file only, never on what else is read."""

    doc_id: str
    title: str
    text: str
    source: str
    license: str


@dataclass(frozen=True)
class Fact:
    """A closed-book question whose answer stands word for word in the text of `doc_id`."""

    question: str
    answer: str
    aliases: tuple[str, ...]
    doc_id: str
    relation: str


def split_of(doc_id: str, seed: int, validation_fraction: float) -> str:
    """`train` or `validation`, by the document's own id: adding documents never moves one."""
    return "validation" if sub_seed(seed, "corpus", "split", doc_id) / 2**63 < validation_fraction else "train"
