"""The program in an answer: the last fenced block (LiveCodeBench's rule), else the whole text."""

import re

FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)


def program(text: str) -> str:
    blocks = FENCE.findall(text)
    return str(blocks[-1]) if blocks else text
