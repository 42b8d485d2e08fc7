"""AIME as K2 Thinking reports it beside the plain setting: with a Python tool, and in heavy mode.

With Python, the model may run programs in the sandbox before it answers, in at most 120 steps. Heavy mode makes eight
such trajectories and one reflective aggregation of their answers, which alone is graded (K2 Thinking card, note 4; the
aggregation prompt is not published, this one is ours).
"""

from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.aime import Aime
from gym.benchmarks.base import Ask, ContextExceeded, Episode, Reply, Sample
from gym.sandbox import Job, Limits, Verdict
from k2model.chat.model_json import ModelJsonError, loads_arguments

STEPS, ROLLOUTS, SHOWN = 120, 8, 8_000
LIMITS = Limits(cpu_s=20.0, wall_s=60.0, memory_mb=2048)
TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "python",
        "description": "Runs a Python program and returns what it prints. Each program starts afresh.",
        "parameters": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    },
}
AGGREGATE = (
    "Several attempts at the problem above were made independently. Compare them, find mistakes, and write the final "
    "answer within \\boxed{{}}.\n\n{attempts}"
)


class AimePython(Aime):
    """`aime_<year>_with_python`: avg@16 in K2 Thinking's setting."""

    sandbox = True
    mode = "with_python"
    presets = {
        "k2": replace(base.K2, repeats=16, max_steps=STEPS),
        "k2-thinking": replace(base.K2_THINKING, repeats=16, max_steps=STEPS),
    }

    def __init__(self, contest: str, path: Path | None = None) -> None:
        super().__init__(contest, path)
        self.name = f"{contest}_{self.mode}"

    def episode(self, sample: Sample) -> Episode:
        reply, steps = yield from self.attempt(sample)
        grade = self.grade(sample, reply)
        return replace(grade, parts={**grade.parts, "steps": float(steps)})

    def attempt(self, sample: Sample) -> Generator[Ask, Reply, tuple[Reply, int]]:
        """(last answer, steps); no answer when the steps or the context run out."""
        messages = list(sample.messages)
        for step in range(1, STEPS + 1):
            try:
                reply = yield Ask(tuple(messages), (TOOL,))
            except ContextExceeded:
                return Reply(""), step
            if not reply.tool_calls:
                return reply, step
            message = {"role": "assistant", "content": reply.text, "tool_calls": list(reply.tool_calls)}
            messages.append(message | ({"reasoning_content": reply.reasoning} if reply.reasoning else {}))
            messages += [
                {"role": "tool", "tool_call_id": str(call.get("id", "")), "content": self._run(call)}
                for call in reply.tool_calls
            ]
        return Reply(""), STEPS

    def _run(self, call: Mapping[str, Any]) -> str:
        """What the program printed, or what was wrong with the call or the program."""
        try:
            function = call["function"]
            code = loads_arguments(function["arguments"])["code"]
        except (KeyError, TypeError, ModelJsonError):
            return 'error: the arguments are not {"code": "..."}'
        if function.get("name") != "python" or not isinstance(code, str):
            return f"error: no tool {function.get('name')!r}"
        outcome = self.needed_box().run(Job(source=code, limits=LIMITS))
        text = outcome.stdout + outcome.stderr
        if outcome.verdict is not Verdict.OK:
            text += f"\n[{outcome.verdict.value}]"
        return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}\n...\n{text[-SHOWN // 2 :]}"


class AimeHeavy(AimePython):
    """`aime_<year>_heavy`: eight trajectories with Python and an aggregation make one sample."""

    mode = "heavy"
    presets = {name: replace(settings, repeats=1) for name, settings in AimePython.presets.items()}

    def episode(self, sample: Sample) -> Episode:
        answers, steps = [], 0
        for _ in range(ROLLOUTS):
            reply, taken = yield from self.attempt(sample)
            answers.append(reply.text)
            steps += taken
        shown = "\n\n".join(f"Attempt {k}:\n{text or '(no answer)'}" for k, text in enumerate(answers, 1))
        final = yield Ask((*sample.messages, *base.user(AGGREGATE.format(attempts=shown))))
        grade = self.grade(sample, final)
        right = sum(self.grade(sample, Reply(text)).result.score == 1.0 for text in answers)
        return replace(grade, parts={**grade.parts, "steps": float(steps), "rollouts_right": right / ROLLOUTS})
