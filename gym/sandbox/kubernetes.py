"""Level `container` on a cluster: each job is a batch/v1 Job without rights and retries.

Files and standard input travel in a ConfigMap, standard error comes back as the container's termination message
(its last 4 KiB), standard output as its log. Needs `kubectl` with a context; the namespace should have a NetworkPolicy
that denies everything, which is checked before the first job. Files can't be read back.
"""

import base64
import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from gym.sandbox.job import Job, Outcome, SandboxError, Verdict

COMMAND_S = 30.0
START_S = 600.0  # a node may have to be added and an image fetched
POLL_S = 0.5
# Copies the files to a writable place, then becomes the program: processor limit, input, standard error.
SHELL = 'cp -rL /files/. /work && ulimit -t "$1" && shift && exec "$@" < /files/.stdin 2> /dev/termination-log'


def manifests(job: Job, name: str, image: str, python: str = "python3") -> list[dict[str, Any]]:
    """The ConfigMap and the Job of a job."""
    limits = job.limits
    files = {**job.files, ".stdin": job.stdin}
    if job.source is not None:
        files["main.py"] = job.source
    keys = {f"file{number}": path for number, path in enumerate(sorted(files))}
    data = {
        key: base64.b64encode(content.encode() if isinstance(content, str) else content).decode()
        for key, path in keys.items()
        for content in [files[path]]
    }
    program = list(job.argv) if job.argv else [python, "-I", "main.py", *job.args]
    seconds = str(max(1, int(limits.cpu_s + 0.999)))
    resources = {"cpu": "1", "memory": f"{limits.memory_mb}Mi", "ephemeral-storage": f"{limits.file_mb + 16}Mi"}
    labels = {"app": "k2-sandbox"}
    container = {
        "name": "job",
        "image": image,
        "command": ["sh", "-c", SHELL, "sandbox", seconds, *program],
        "workingDir": "/work",
        "env": [{"name": key, "value": value} for key, value in sorted({"HOME": "/work", **job.env}.items())],
        "resources": {"limits": resources, "requests": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "files", "mountPath": "/files", "readOnly": True},
            {"name": "work", "mountPath": "/work"},
        ],
    }
    volumes = [
        {"name": "files", "configMap": {"name": name, "items": [{"key": k, "path": p} for k, p in keys.items()]}},
        {"name": "work", "emptyDir": {"medium": "Memory", "sizeLimit": f"{limits.file_mb}Mi"}},
    ]
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": volumes,
    }
    spec = {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": 600,
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": labels},
            "binaryData": data,
            "immutable": True,
        },
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": spec},
    ]


class KubernetesSandbox:
    """Runs jobs in one namespace of a cluster.

    Raises:
        SandboxError: no kubectl, no cluster, or no policy in the namespace that denies all traffic of the jobs.
    """

    def __init__(self, image: str, namespace: str, python: str = "python3") -> None:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise SandboxError("level container on Kubernetes needs kubectl on PATH")
        self.image, self.python = image, python
        self._command = [kubectl, f"--namespace={namespace}"]
        policies = self._json("get", "networkpolicies", "-o", "json")["items"]
        if not any(_denies_all(policy["spec"]) for policy in policies):
            raise SandboxError(f"level container: namespace {namespace} has no NetworkPolicy that denies all traffic")

    def _kubectl(self, *arguments: str, stdin: str = "") -> str:
        try:
            done = subprocess.run(
                [*self._command, *arguments], input=stdin, capture_output=True, text=True, timeout=COMMAND_S
            )
        except subprocess.TimeoutExpired as error:
            raise SandboxError(f"kubectl {arguments[0]}: no answer after {COMMAND_S:.0f} s") from error
        if done.returncode:
            raise SandboxError(f"kubectl {arguments[0]}: {done.stderr.strip()[-300:]}")
        return done.stdout

    def _json(self, *arguments: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self._kubectl(*arguments))
        return value

    def run(self, job: Job) -> Outcome:
        """One Job, deleted whatever happens; the wall limit starts when its container does."""
        if job.keep:
            raise SandboxError("level container on Kubernetes can't read files back")
        name = f"sandbox-{uuid.uuid4().hex[:12]}"
        try:
            listed = {"apiVersion": "v1", "kind": "List", "items": manifests(job, name, self.image, self.python)}
            self._kubectl("create", "-f", "-", stdin=json.dumps(listed))
            return self._wait(job, name)
        except SandboxError as error:
            return Outcome(Verdict.INFRASTRUCTURE_ERROR, 0, "", "", 0.0, 0.0, 0.0, str(error))
        finally:
            subprocess.run(
                [*self._command, "delete", f"job/{name}", f"configmap/{name}", "--wait=false", "--ignore-not-found"],
                capture_output=True, check=False, timeout=COMMAND_S,
            )  # fmt: skip

    def _wait(self, job: Job, name: str) -> Outcome:
        created = time.monotonic()
        started: float | None = None
        reason = ""
        state: Mapping[str, Any] = {}
        while "terminated" not in state and not reason:
            pods = self._json("get", "pods", f"--selector=job-name={name}", "-o", "json")["items"]
            statuses = [container for pod in pods for container in pod.get("status", {}).get("containerStatuses", [])]
            state = statuses[0]["state"] if statuses else {}
            now = time.monotonic()
            if "running" in state:
                started = started or now
                reason = "wall_limit" if now - started > job.limits.wall_s else ""
            elif "terminated" not in state and now - created > START_S:
                raise SandboxError(f"{name} did not start: {state}")
            if "terminated" not in state and not reason:
                time.sleep(POLL_S)
        wall = time.monotonic() - (started or created)
        limit = job.limits.output_bytes
        out = self._kubectl("logs", f"job/{name}", f"--limit-bytes={limit + 1}")
        ended = state.get("terminated", {})
        status, err = int(ended.get("exitCode", -9)), str(ended.get("message", ""))
        if len(out.encode()) > limit:
            reason = reason or "output_limit"
        verdict, detail = _verdict(reason, status, str(ended.get("reason", "")), err)
        return Outcome(verdict, status, out.encode()[:limit].decode("utf-8", "ignore"), err, 0.0, wall, 0.0, detail)

    def map(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Outcomes in the order of the jobs, one after the other."""
        return [self.run(job) for job in jobs]


def _denies_all(spec: Mapping[str, Any]) -> bool:
    selector = spec.get("podSelector", {})
    covers = selector == {} or selector == {"matchLabels": {"app": "k2-sandbox"}}
    both = {"Ingress", "Egress"} <= set(spec.get("policyTypes", []))
    return covers and both and not spec.get("ingress") and not spec.get("egress")


def _verdict(reason: str, status: int, ended: str, stderr: str) -> tuple[Verdict, str]:
    last = stderr.strip().rsplit("\n", 1)[-1][:200]
    if reason:
        return Verdict(reason), f"stopped: {reason.replace('_', ' ')}"
    if ended in ("ContainerCannotRun", "StartError") or status in (126, 127):
        return Verdict.INFRASTRUCTURE_ERROR, f"{ended}: {last}"
    if ended == "OOMKilled" or last.startswith("MemoryError"):
        return Verdict.MEMORY_LIMIT, last or ended
    if status in (152, 137):  # SIGXCPU, or SIGKILL at the hard limit; memory has its own reason
        return Verdict.CPU_LIMIT, "processor time"
    if status != 0:
        return Verdict.WRONG_EXIT, last or f"exit status {status}"
    return Verdict.OK, ""
