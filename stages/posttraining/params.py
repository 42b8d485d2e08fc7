"""`tasks` in params.yaml: what several stages after pre-training share."""

from pydantic import Field

from gym.tasksets.elementary import FAMILIES
from stages.harness.section import Section

CALLS, WORLDS, YOUR_TOOLS = "calls", "worlds", "your_tools"
CALLING = (CALLS, WORLDS, YOUR_TOOLS)  # families in which tools are declared


class TasksParams(Section):
    """The verifiable tasks that RL trains on and QAT keeps; `difficulty` also is the one of SFT's demonstrations."""

    families: list[str] = Field(min_length=1)
    difficulty: float = Field(ge=0, le=1)

    @property
    def elementary(self) -> list[str]:
        """The families whose answers can be demonstrated."""
        return [family for family in self.families if family in FAMILIES]
