"""A Slurm of two nodes on this machine, out of Debian's packages slurm-wlm and munge. Needs root."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
SwitchType=switch/none
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
KillWait=30
NodeName=node-1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=2 RealMemory=8000
NodeName=node-2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=2 RealMemory=8000
PartitionName=main Nodes=node-1,node-2 Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def two_nodes(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which `sbatch` and its kin find the cluster; daemons are stopped by their pid."""
    ports = {name: free_port() for name in ("port", "first", "second")}
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, host=socket.gethostname(), **ports))
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    munged = ["munged", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munged += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]
    environment = os.environ | {"SLURM_CONF": str(configuration)}
    try:
        for command in (munged, ["slurmctld"], ["slurmd", "-N", "node-1"], ["slurmd", "-N", "node-2"]):
            subprocess.run(command, env=environment, check=True)
        until = time.monotonic() + 60
        while "idle 2" not in (said := asked(environment, "sinfo", "-h", "-o", "%T %D")):
            assert time.monotonic() < until, said
            time.sleep(0.5)
        yield {"SLURM_CONF": str(configuration)}
    finally:
        for name in ("slurmd-node-1", "slurmd-node-2", "slurmctld", "munged"):
            if (pid := folder / f"{name}.pid").exists():
                os.kill(int(pid.read_text()), signal.SIGTERM)


def asked(environment: dict[str, str], *command: str, cwd: Path | None = None) -> str:
    """What one of Slurm's commands says."""
    ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.strip()
