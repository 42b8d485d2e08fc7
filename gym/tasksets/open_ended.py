"""Open-ended prompts: no verifier can score them, a critic ranks the answers against the task's rubric."""

import numpy as np

from gym.tasksets.elementary import WORDS
from gym.tasksets.task import Task

FORMS = (
    ("Write one sentence about the {word}.", "names the {word}; one complete sentence"),
    ("Describe a {word} to a child.", "plain words; says what a {word} is"),
    ("Why do people need a {word}?", "gives a reason; keeps to the {word}"),
    ("Give a short title for a story about a {word}.", "a title, not a sentence; fits the {word}"),
)


def tasks(n: int, seed: int) -> list[Task]:
    """`n` prompts; `payload["rubric"]` is the task's own rubric."""
    rng = np.random.default_rng([seed, 79])
    prompts = []
    for k in range(n):
        form, rubric = FORMS[int(rng.integers(len(FORMS)))]
        word = str(rng.choice(WORDS))
        prompts.append(
            Task(
                id=f"open-{seed}-{k}",
                taskset="open_ended",
                seed=seed,
                difficulty=0.5,
                domain="writing",
                messages=({"role": "user", "content": form.format(word=word)},),
                token_budget=24,
                payload={"rubric": rubric.format(word=word)},
            )
        )
    return prompts
