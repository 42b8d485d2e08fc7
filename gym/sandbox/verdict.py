"""What a sandbox answered about a job, as an outcome: the same rules for every back end."""

from typing import Any

from gym.sandbox.job import Job, Outcome, Verdict


def failed(detail: str) -> Outcome:
    """The outcome that says nothing about the program."""
    return Outcome(Verdict.INFRASTRUCTURE_ERROR, 0, "", "", 0.0, 0.0, 0.0, detail)


def outcome(answer: dict[str, Any], job: Job) -> Outcome:
    """The outcome of an answer: {failed: why}, or reason, status, stdout, stderr, cpu_s, wall_s, max_rss_mb, files."""
    if "failed" in answer:
        return failed(answer["failed"])
    status, stderr = int(answer["status"]), str(answer["stderr"])
    verdict, detail = _verdict(answer["reason"], status, stderr, float(answer["cpu_s"]), job)
    files = {name: bytes.fromhex(content) for name, content in answer["files"].items()}
    return Outcome(
        verdict,
        status,
        answer["stdout"],
        stderr,
        answer["cpu_s"],
        answer["wall_s"],
        answer["max_rss_mb"],
        detail,
        files,
    )


def _verdict(reason: str, status: int, stderr: str, cpu_s: float, job: Job) -> tuple[Verdict, str]:
    last = stderr.strip().rsplit("\n", 1)[-1]
    if reason:
        return Verdict(reason), f"stopped: {reason.replace('_', ' ')}"
    if status in (-24, 152) or (status in (-9, 137) and cpu_s >= job.limits.cpu_s):
        return Verdict.CPU_LIMIT, f"{cpu_s:.1f} s of processor time"
    if status in (-31, 159):
        return Verdict.DENIED, "a forbidden system call"
    if status in (-25, 153):
        return Verdict.OUTPUT_LIMIT, "a file grew beyond its limit"
    if status != 0 and last.startswith(("MemoryError", "numpy._core._exceptions._ArrayMemoryError")):
        return Verdict.MEMORY_LIMIT, last
    if status != 0 and ("[Errno 27]" in last or "[Errno 28]" in last):
        return Verdict.OUTPUT_LIMIT, last
    if status != 0:
        return Verdict.WRONG_EXIT, last[:200] or f"exit status {status}"
    return Verdict.OK, ""
