"""Sandboxes: run this program with these files, standard input and limits; get a typed verdict."""

from gym.sandbox.backend import LOCAL, Backend
from gym.sandbox.box import Box
from gym.sandbox.job import Job, Limits, Outcome, SandboxError, Verdict
from gym.sandbox.pool import Sandbox, open_sandbox

__all__ = ["LOCAL", "Backend", "Box", "Job", "Limits", "Outcome", "Sandbox", "SandboxError", "Verdict", "open_sandbox"]
