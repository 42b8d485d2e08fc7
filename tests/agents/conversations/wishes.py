"""What tests of conversations share."""


def told_as(wish: str, message: str) -> bool:
    """Whether a message tells the wish, but for its first letter and two letters of a word in the wrong order."""
    return all(sorted(word) in [sorted(other) for other in _words(message)] for word in _words(wish))


def _words(text: str) -> list[str]:
    return [word.strip(".,;:?!()").lower() for word in text.split() if word.strip(".,;:?!()")]
