"""Which tests a bug is tried with: those that run its lines on the good files."""

from collections.abc import Mapping, Sequence

from gym.repositories.baseline import Baseline
from gym.repositories.parsed import Source
from gym.repositories.task import Edit

MOST_TESTS = 60


def covering(baseline: Baseline, sources: Mapping[str, Source], edits: Sequence[Edit]) -> list[str]:
    """Tests that run the lines of any of the edits; of more than 60 every n-th, so that the choice needs no luck."""
    found: set[str] = set()
    for edit in edits:
        source = sources[edit.path]
        lines = source.lines_of(edit.start, edit.end)
        function = source.function_at(edit.start)
        if function is not None and lines.stop <= function.body[0].lineno:  # a default: the import ran that line
            lines = source.lines_of(source.start(function.body[0]), source.start(function.body[0]) + 1)
        for line in lines:
            found.update(baseline.covering(edit.path, line))
    tests = sorted(found)
    return tests[:: -(-len(tests) // MOST_TESTS)] if tests else []
