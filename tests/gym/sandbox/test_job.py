import json

import pytest

from gym.sandbox import Job, Limits


def test_a_job_goes_over_the_wire_and_comes_back() -> None:
    job = Job(
        argv=["sh", "-c", "true"], files={"a/b": b"\xff\0", "c": "text"}, stdin="in", args=["1"], env={"A": "b"},
        limits=Limits(cpu_s=1.5, processes=3), keep=["a/b"],
    )  # fmt: skip
    back = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert back.to_json() == job.to_json()
    assert (back.files["a/b"], back.files["c"], back.limits) == (b"\xff\0", b"text", job.limits)
    assert Job.from_json({"source": "1"}) == Job(source="1")


@pytest.mark.parametrize(
    "value",
    [{}, {"source": "1", "argv": ["x"]}, {"source": "1", "files": {"../x": "00"}}, {"source": "1", "files": {"x": "0"}},
     {"source": "1", "limits": {"cpu": 1}}, {"code": "1"}],
)  # fmt: skip
def test_what_is_no_job_is_refused(value: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Job.from_json(value)


def test_half_a_surrogate_pair_never_reaches_the_program() -> None:
    job = Job(source="print('\ud800')", stdin="\udfff", files={"a": "\ud800", "b": b"\xff"}, args=["\ud800"])
    assert (job.source, job.stdin, list(job.args)) == ("print('\ufffd')", "\ufffd", ["\ufffd"])
    assert job.files == {"a": "\ufffd", "b": b"\xff"}
    assert Job.from_json(job.to_json()).files["a"] == "\ufffd".encode()
