"""Runs inside a sandbox, where a pattern without end costs nothing but its own time: lines that match it.

Reads {"pattern", "paths", "most", "width"} as JSON from stdin; uses only the standard library.
"""

import json
import re
import sys


def main() -> None:
    asked = json.load(sys.stdin)
    pattern = re.compile(asked["pattern"])
    found = 0
    for path in asked["paths"]:
        with open(path, encoding="utf-8", errors="replace") as handle:
            text = handle.read()
        for number, line in enumerate([] if "\0" in text else text.splitlines(), 1):
            if pattern.search(line):
                found += 1
                if found <= asked["most"]:
                    cut = line if len(line) <= asked["width"] else f"{line[: asked['width']]}…"
                    print(f"{path}:{number}: {cut.strip()}")
    if found > asked["most"]:
        print(f"[{found - asked['most']} more]")


main()
