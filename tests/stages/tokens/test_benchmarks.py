"""What the stages that train read is what the stage `tokens` made of the benchmarks that are installed."""

from pathlib import Path

import pytest

from agents.benchmarks.open import open_named
from gym.benchmarks.base import package_folder
from stages.harness.tables import NGRAMS, write_table
from stages.posttraining.benchmark_index import FILE, read_index
from stages.tokens.benchmarks import benchmark_index


@pytest.mark.skipif(package_folder("bfcl_eval") is None, reason="the package bfcl-eval is not installed")
def test_functions_of_a_benchmark_are_in_the_file_as_hashes(tmp_path: Path) -> None:
    index, absent, tools = benchmark_index(["bfcl_multi_turn"])
    names = open_named("bfcl_multi_turn").tool_names()
    assert (absent, tools) == ([], len(names))
    write_table(tmp_path / FILE, index.rows(), NGRAMS)
    again = read_index(tmp_path)
    assert {again.tool(name) for name in names} == {"bfcl_multi_turn"}
    held = (tmp_path / FILE).read_bytes()
    assert not [name for name in names if len(name) > 5 and name.encode() in held]
    assert again.tool("a_name_that_no_benchmark_has") is None


def test_sets_that_are_generated_here_declare_our_own_functions() -> None:
    index, absent, tools = benchmark_index(["acebench", "function_calling", "tool_quality"])
    assert (absent, tools) == (["acebench"], 0)
    names = open_named("function_calling").tool_names()
    assert names
    assert {index.tool(name) for name in names} == {None}
