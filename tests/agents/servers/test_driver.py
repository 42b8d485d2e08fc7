"""The program in the sandbox: what a server sees of the time."""

import json
import subprocess
import sys

from tests.conftest import ROOT, checkout_env

CLOCKS = """
import datetime, json, sqlite3, time
from agents.servers.driver import stand_still
stand_still(1_750_000_000.0)
base = sqlite3.connect(":memory:")
base.execute("create table t (n integer primary key, at default current_timestamp, day default current_date)")
base.execute("create trigger u after update on t begin update t set at = current_timestamp where n = new.n; end")
base.execute("insert into t (n) values (1)")
time.sleep(1.1)
base.execute("insert into t (n) values (2)")
base.execute("update t set day = day where n = 1")
rows = base.execute("select at, day, current_time from t").fetchall()
print(json.dumps([rows, datetime.datetime.now(datetime.UTC).isoformat(), time.time()]))
"""


def test_every_clock_stands_still_that_of_sqlite_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOCKS],
        env=checkout_env() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows, now, seconds = json.loads(done.stdout)
    assert rows == [["2025-06-15 15:06:40", "2025-06-15", "15:06:40"]] * 2
    assert (now, seconds) == ("2025-06-15T15:06:40+00:00", 1_750_000_000.0)
