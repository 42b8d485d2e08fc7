"""Server-sent events of whatever server: lines end at \\n alone, since a sampled text may hold any other separator."""

from collections.abc import Iterable, Iterator

DONE = "[DONE]"


def event_data(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each event of a byte stream, without comments, other fields and the final `[DONE]`.

    Events are cut at their line of data, not at the blank line behind it, so that none waits for the next one.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            data = _data(line)
            if data:
                yield data
    if data := _data(rest):
        yield data


def _data(line: bytes) -> str:
    text = line.decode("utf-8", "replace").removesuffix("\r")
    if not text.startswith("data:"):
        return ""
    data = text.removeprefix("data:").strip()
    return "" if data == DONE else data
