"""Which tests a bug is tried with: those that run its lines on the good files."""

from collections.abc import Mapping, Sequence

from gym.repositories.baseline import Baseline
from gym.repositories.parsed import Source
from gym.repositories.task import Edit


def covering(baseline: Baseline, sources: Mapping[str, Source], edits: Sequence[Edit]) -> list[str]:
    """Tests that run the lines of any of the edits, sorted."""
    found: set[str] = set()
    for edit in edits:
        source = sources[edit.path]
        lines = source.lines_of(edit.start, edit.end)
        function = source.function_at(edit.start)
        if function is not None and lines.stop <= function.body[0].lineno:  # a default: the import ran that line
            lines = source.lines_of(source.start(function.body[0]), source.start(function.body[0]) + 1)
        for line in lines:
            found.update(baseline.covering(edit.path, line))
    return sorted(found)
