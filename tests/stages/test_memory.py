"""Memory of the stages that go through text as a stream: the same for five times the text."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages.harness.tables import REPHRASED, write_table
from tests.conftest import checkout_env

# A stage with pieces of a quarter of a MB and row groups of a MB, which then says what it held at most, in kB.
MEASURED = """
import runpy, sys
from pathlib import Path
from stages.corpus import prepare, user, writing
from stages.tokens import encode
prepare.PIECE_BYTES = user.STRETCH_BYTES = encode.PIECE_CHARS = 1 << 18
writing.BATCH_CHARS = 1 << 20
runpy.run_module(sys.argv[1], None, "__main__")
(line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
Path("peak").write_text(line.split()[1])
"""
MB = 1_000_000
STAGES = ("corpus", "tokenizer", "tokens")


def _write(folder: Path, size: int) -> None:
    draw = random.Random(6)
    words = [f"{draw.choice('bdfglmnrst')}{draw.choice('aeiou')}{number}" for number in range(2000)]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    written = 0
    with (folder / "texts.jsonl").open("w") as file:
        while written < size:
            text = " ".join(draw.choices(words, k=draw.randrange(50, 300)))
            written += file.write(json.dumps({"text": text}) + "\n")


def _peaks(checkout: Path, size: int) -> list[float]:
    """Of each stage, in MB."""
    _write(checkout / "own", size)
    subprocess.run([sys.executable, "-m", "stages.inputs"], cwd=checkout, env=checkout_env(), check=True)
    peaks = []
    for stage in STAGES:
        command = [sys.executable, "-c", MEASURED, f"stages.{stage}"]
        subprocess.run(command, cwd=checkout, env=checkout_env(), check=True)
        peaks.append(int((checkout / "peak").read_text()) / 1024)
    assert json.loads((checkout / "metrics/corpus.json").read_text())["bytes"] > 0.9 * size
    return peaks


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_memory_does_not_grow_with_the_text(smoke_checkout: Path) -> None:
    params = yaml.safe_load((smoke_checkout / "params.yaml").read_text())
    params["corpus"] |= {"sources": [], "paths": ["own"], "validation_fraction": 0.2}
    (smoke_checkout / "params.yaml").write_text(yaml.safe_dump(params))
    write_table(smoke_checkout / "data/rephrased.parquet", [], REPHRASED)
    few, many = _peaks(smoke_checkout, 3 * MB), _peaks(smoke_checkout, 15 * MB)
    grown = {stage: after - before for stage, before, after in zip(STAGES, few, many, strict=True)}
    assert max(grown.values()) < 30, (grown, few)  # lists of the texts alone would take more than 12, of tokens 80
