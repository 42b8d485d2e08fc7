"""GPT-2's printable alphabet, in which a byte-level BPE writes bytes: 0x20 is Ġ, and so on."""

import functools

# What never occurs in UTF-8; some vocabularies (DeepSeek-V2's) have no token for it.
NEVER_IN_UTF8 = frozenset({0xC0, 0xC1, *range(0xF5, 0x100)})


@functools.cache
def character_of_byte() -> tuple[str, ...]:
    """The character that stands for each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(256))


@functools.cache
def byte_of_character() -> dict[str, int]:
    """The inverse; not to be changed."""
    return {character: byte for byte, character in enumerate(character_of_byte())}
