"""What the stage asks language models with, as templates: `{{…}}` stands for what a request fills in."""

from agents.chat.spec import is_endpoint
from agents.conversations import llm_judge
from agents.conversations.llm_agent import END, PLAY
from agents.conversations.prompts import REWORD, TASK
from agents.conversations.wording import READ, SAY
from stages.trajectories.params import TrajectoriesParams


def templates(p: TrajectoriesParams) -> dict[str, str]:
    """Name → template of each prompt that these parameters have in use; scripts and rules ask nobody."""
    used = {}
    if p.judge != "none":
        schema = llm_judge.QUESTION.format(**_open("rubric", "policies", "conversation"))
        word = llm_judge.WORD_QUESTION.format(**_open("conversation"))
        used["judge"] = schema if is_endpoint(p.judge) else word
    if p.user == "agent" and is_endpoint(p.agent):
        used["user"] = PLAY.format(**_open("desk", "persona", "today", "wishes", "patience"), end=END)
    if is_endpoint(p.teacher):
        used["teacher-words"] = SAY.format(**_open("text"))
        used["teacher-reads"] = READ.format(**_open("text", "actions"))
        used["teacher-agent-prompt"] = f"{TASK}\n{REWORD.format(**_open('prompt'))}"
    return used


def _open(*names: str) -> dict[str, str]:
    return {name: f"{{{{{name}}}}}" for name in names}
