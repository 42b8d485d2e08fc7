"""Open prompts of twelve kinds, written for this project: no verifier can score them, a critic ranks the answers.

`open_prompts/KIND.yaml` holds `kind`, `tokens` (of a concise answer), `held: true` where the whole kind is for
measuring alone, and `prompts`: each with a `subject`, which decides its side, `prompt`, `rubric` (2 to 4 points), and
where a good answer was written `answer`, texts that it `must` hold and texts that it must `avoid`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gym.tasksets.sides import Side, side_of
from gym.tasksets.task import Task
from gym.yaml_text import load_yaml_text

FOLDER = Path(__file__).with_name("open_prompts")
WORDS = 80  # of a written answer
FILE_KEYS = {"kind": str, "tokens": int, "held": bool, "prompts": list}
PROMPT_KEYS = {"subject": str, "prompt": str, "rubric": list, "answer": str, "must": list, "avoid": list}
NEEDED = ("subject", "prompt", "rubric")


class OpenPromptError(ValueError):
    """A file of prompts that does not keep the form; one line that names the file and the place."""


@dataclass(frozen=True)
class OpenPrompt:
    """One prompt; `answer` is empty where none was written.

    Attributes:
        tokens: of a concise answer.
        must: texts that a good answer holds, by the prompt or its rubric; `avoid`: texts that it must not hold.
        held_kind: no prompt of its kind is trained on.
    """

    kind: str
    subject: str
    text: str
    rubric: tuple[str, ...]
    tokens: int
    held_kind: bool
    answer: str = ""
    must: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()

    @property
    def side(self) -> Side:
        return "held" if self.held_kind else side_of(self.subject)

    @property
    def points(self) -> str:
        """The rubric as one line."""
        return "; ".join(self.rubric)


@cache
def read_prompts(folder: Path = FOLDER) -> tuple[OpenPrompt, ...]:
    """Every prompt, by file name and then in file order.

    Raises:
        OpenPromptError: a file does not keep the form.
    """
    return tuple(prompt for path in sorted(folder.glob("*.yaml")) for prompt in _read(path))


def _read(path: Path) -> list[OpenPrompt]:
    try:
        table = load_yaml_text(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise OpenPromptError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    _check(table, FILE_KEYS, ("kind", "tokens", "prompts"), str(path))
    prompts = []
    for number, entry in enumerate(table["prompts"], 1):
        where = f"{path}: prompt {number}"
        _check(entry, PROMPT_KEYS, NEEDED, where)
        prompts.append(_prompt(entry, table, where))
    return prompts


def _check(entry: Any, known: Mapping[str, type], needed: tuple[str, ...], where: str) -> None:
    if not isinstance(entry, dict):
        raise OpenPromptError(f"{where}: not a mapping")
    for key, value in entry.items():
        if key not in known:
            raise OpenPromptError(f"{where}: unknown key {key!r}")
        if not isinstance(value, known[key]):
            raise OpenPromptError(f"{where}: {key} is no {known[key].__name__}: {value!r}")
        if isinstance(value, list) and key != "prompts" and not all(isinstance(text, str) and text for text in value):
            raise OpenPromptError(f"{where}: {key} holds something else than texts: {value!r}")
    if missing := [key for key in needed if not entry.get(key)]:
        raise OpenPromptError(f"{where}: {', '.join(missing)} missing")


def _prompt(entry: Mapping[str, Any], table: Mapping[str, Any], where: str) -> OpenPrompt:
    prompt = OpenPrompt(
        kind=table["kind"],
        subject=entry["subject"],
        text=entry["prompt"],
        rubric=tuple(entry["rubric"]),
        tokens=table["tokens"],
        held_kind=table.get("held", False),
        answer=entry.get("answer", ""),
        must=tuple(entry.get("must", ())),
        avoid=tuple(entry.get("avoid", ())),
    )
    if not 2 <= len(prompt.rubric) <= 4:
        raise OpenPromptError(f"{where}: {len(prompt.rubric)} points in the rubric, not 2 to 4")
    if len(prompt.answer.split()) > WORDS:
        raise OpenPromptError(f"{where}: an answer of more than {WORDS} words")
    if prompt.answer:
        if missing := [text for text in prompt.must if text not in prompt.answer]:
            raise OpenPromptError(f"{where}: the answer does not hold {missing[0]!r}")
        if there := [text for text in prompt.avoid if text.lower() in prompt.answer.lower()]:
            raise OpenPromptError(f"{where}: the answer holds {there[0]!r}")
    return prompt


def tasks(n: int, seed: int, side: Side = "train") -> list[Task]:
    """`n` different prompts of a side, fewer when it has fewer; `payload["rubric"]` is the task's own rubric."""
    prompts = [prompt for prompt in read_prompts() if prompt.side == side]
    order = np.random.default_rng([seed, 79]).permutation(len(prompts))[:n].tolist()
    return [_task(prompts[k], seed) for k in order]


def _task(prompt: OpenPrompt, seed: int) -> Task:
    return Task(
        id=f"open-{prompt.kind}-{prompt.subject.replace(' ', '-')}",
        taskset="open_ended",
        seed=seed,
        difficulty=0.5,
        domain=prompt.kind,
        messages=({"role": "user", "content": prompt.text},),
        token_budget=prompt.tokens,
        payload={"rubric": prompt.points},
        entity=prompt.subject,
    )
