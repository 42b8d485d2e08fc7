"""Back end `kubernetes`: each job is a batch/v1 Job without rights, retries and network, in one namespace of a cluster.

The pod waits for its job on standard input and answers on standard output, over `kubectl attach`: nothing of it lies in
the cluster's store, and files come back. A NetworkPolicy refuses every connection of these pods; before the first job
a probe tries to get out, and as long as it can nothing runs.
"""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gym.sandbox import remote, rootfs
from gym.sandbox.box import Queued, check_libraries
from gym.sandbox.job import Job, Outcome, SandboxError
from gym.sandbox.verdict import failed

COMMAND_S = 30.0
START_S = 600.0  # a node may have to be added and an image fetched
POLL_S = 0.5
TALK_S = 60.0
PROBES, PROBE_PAUSE_S = 4, 5.0  # a network plugin may need some seconds to put a new policy into force
LABELS = {"app": "k2-sandbox"}
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "k2-sandbox", "labels": LABELS},
    "spec": {"podSelector": {"matchLabels": LABELS}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []},
}
HOPELESS = {"ErrImageNeverPull", "InvalidImageName", "ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError"}


def manifest(job: Job, name: str, image: str, libraries: str = "") -> dict[str, Any]:
    """The Job of a job.

    Args:
        libraries: the folder of packages in the image, when others take its place.
    """
    limits = job.limits
    sizes = {"cpu": "1", "memory": f"{remote.memory_mb(job) + (64 if libraries else 0)}Mi", "ephemeral-storage": "16Mi"}
    mounts = [{"name": "box", "mountPath": remote.PLACE}]
    volumes = [{"name": "box", "emptyDir": {"medium": "Memory", "sizeLimit": f"{max(1, limits.file_mb)}Mi"}}]
    if libraries:
        mounts.append({"name": "libraries", "mountPath": libraries})
        volumes.append({"name": "libraries", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}})
    user = remote.new_user()
    variables = remote.environment(libraries=bool(libraries))
    container = {
        "name": "job",
        "image": image,
        "command": ["python3", *remote.python_words(libraries=bool(libraries))],
        "stdin": True,
        "stdinOnce": True,
        "workingDir": "/",
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "resources": {"limits": sizes, "requests": sizes},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": mounts,
    }
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
        "activeDeadlineSeconds": int(START_S + limits.wall_s + TALK_S),
        "template": {"metadata": {"labels": LABELS}, "spec": pod},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": LABELS}, "spec": spec}


class KubernetesSandbox(Queued):
    """Args:
        image: one that the cluster has or can fetch, with Python 3.11 or later as `python3`; `gym.sandbox.rootfs`
            makes one of this machine's Python.
        workers: Jobs at once.
        libraries: folder of Python packages that stands in the place of site-packages; it travels with every job, so
            that a program could write into its own copy.

    Raises:
        SandboxError: no kubectl, no cluster, no such image, or a program that is not confined.
    """

    level = "container"

    def __init__(self, image: str, namespace: str, workers: int = 2, libraries: Path | None = None) -> None:
        super().__init__(workers)
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise SandboxError("kubernetes: needs kubectl on PATH")
        sent = None if libraries is None else check_libraries(libraries)
        self.image, self._packages = image, ""
        self._folders: dict[str, str] = {}
        self._command = [kubectl, f"--namespace={namespace}"]
        self._kubectl("apply", "-f", "-", stdin=json.dumps(POLICY))
        for policy in self._json("get", "networkpolicies", "-o", "json")["items"]:
            if _opens(policy["spec"]):
                raise SandboxError(
                    f"kubernetes: NetworkPolicy {policy['metadata']['name']} in {namespace} lets sandboxes connect"
                )
        packages = self._probe(namespace)
        if sent is not None:
            self._packages = packages
            self._folders = {packages: base64.b64encode(rootfs.packed(sent)).decode()}

    def _probe(self, namespace: str) -> str:
        for attempt in range(PROBES):
            try:
                return remote.probe(self)
            except SandboxError as error:
                network = "reaches" in str(error) or "answers" in str(error)
                if not network or attempt == PROBES - 1:
                    raise SandboxError(f"kubernetes: namespace {namespace}: {error}") from None
                time.sleep(PROBE_PAUSE_S)
        raise AssertionError

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

    def run_now(self, job: Job) -> Outcome:
        """One Job, deleted whatever happens; the wall limit starts when its program does."""
        name = remote.new_name()
        try:
            self._kubectl("create", "-f", "-", stdin=json.dumps(manifest(job, name, self.image, self._packages)))
            pod = self._running(name)
            attach = [*self._command, "attach", "--stdin", "--quiet", pod, "--container=job"]
            reply = remote.exchange(attach, job, TALK_S, folders=self._folders)
            if reply.started and reply.answer is None:
                lost = self._lost(name)
                return failed(lost) if lost else reply.outcome(job)
            return reply.outcome(job)
        except SandboxError as error:
            return failed(str(error))
        finally:
            subprocess.run(
                [*self._command, "delete", f"job/{name}", "--wait=false", "--ignore-not-found"],
                capture_output=True, check=False, timeout=COMMAND_S,
            )  # fmt: skip

    def _pods(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._json("get", "pods", f"--selector=job-name={name}", "-o", "json")["items"]
        return found

    def _running(self, name: str) -> str:
        """The pod of a Job, once its container runs."""
        end = time.monotonic() + START_S
        state: Mapping[str, Any] = {}
        while time.monotonic() < end:
            for pod in self._pods(name):
                states = [one["state"] for one in pod.get("status", {}).get("containerStatuses", [])]
                state = states[0] if states else {}
                if "running" in state:
                    return str(pod["metadata"]["name"])
                waiting = state.get("waiting", {}).get("reason", "")
                if "terminated" in state or waiting in HOPELESS:
                    raise SandboxError(f"{name} did not start: {json.dumps(state)[:300]}")
            time.sleep(POLL_S)
        raise SandboxError(f"{name} did not start in {START_S:.0f} s: {json.dumps(state)[:300]}")

    def _lost(self, name: str) -> str:
        """Why the cluster itself ended a pod; empty when its program did."""
        for pod in self._pods(name):
            reason = str(pod.get("status", {}).get("reason", ""))
            if reason:
                return f"{name}: {reason}"
            if any("running" in one["state"] for one in pod["status"].get("containerStatuses", [])):
                return f"{name}: the connection to it broke"
            return ""
        return f"{name}: its pod is gone"


def _opens(spec: Mapping[str, Any]) -> bool:
    """Whether a policy that may hold for sandboxes allows a connection; policies add up. Expressions count as met."""
    chosen = spec.get("podSelector", {}).get("matchLabels", {})
    return chosen.items() <= LABELS.items() and bool(spec.get("ingress") or spec.get("egress"))
