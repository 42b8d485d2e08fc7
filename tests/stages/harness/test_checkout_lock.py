import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages.harness import checkout_lock as owner
from stages.harness.errors import InputError


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        monkeypatch.setenv("K2_OWNER_PID", str(other.pid))
        owner.claim(work)
        monkeypatch.delenv("K2_OWNER_PID")
        with pytest.raises(InputError, match=rf"another run is active in this checkout \(pid {other.pid}"):
            owner.claim(work)
        with pytest.raises(InputError, match="another run is active"):
            owner.refuse_if_busy(work)
    finally:
        other.kill()
        other.wait()
    assert owner.claim(work).pid != other.pid


def test_stages_of_one_run_share_its_parent(tmp_path: Path) -> None:
    first = owner.claim(tmp_path)
    assert first.parent_run_id is None
    owner.set_parent_run(tmp_path, "abc")
    assert owner.claim(tmp_path).parent_run_id == "abc"


def test_a_reused_pid_is_not_the_owner(tmp_path: Path) -> None:
    mine = owner.claim(tmp_path)
    entry = json.loads((tmp_path / "owner.json").read_text())
    (tmp_path / "owner.json").write_text(json.dumps(entry | {"started": mine.started - 1000, "parent_run_id": "old"}))
    assert owner.claim(tmp_path).parent_run_id is None
