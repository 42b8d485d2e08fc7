"""Small programming tasks, scored by their hidden tests in a sandbox."""

from gym.sandbox import Box
from gym.tasksets.code_tasks import CodeTasks
from gym.tasksets.task import Task
from gym.verifiers.code import CallTest, by_calls
from gym.verifiers.code_text import program
from gym.verifiers.result import Result


class Code(CodeTasks):
    """Function tasks, scored in an open sandbox."""

    def __init__(self, box: Box) -> None:
        self.box = box

    def score(self, task: Task, answer_text: str) -> Result:
        tests = [CallTest(test["arguments"], test["expected"]) for test in task.payload["tests"]]
        function = task.payload["function"]
        return by_calls(self.box, program(answer_text, function), function, tests, nonce=f"end-of-{task.id}")
