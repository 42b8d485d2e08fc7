"""LiveCodeBench's programs are run as upstream runs them; a right program counts whatever its style."""

import json
from collections.abc import Iterator

import pytest

from gym.benchmarks import livecodebench
from gym.benchmarks.base import Grade, Reply, Sample
from gym.benchmarks.livecodebench import LiveCodeBench
from gym.benchmarks.open import open_benchmark
from gym.sandbox import open_sandbox
from gym.verifiers.result import Status


@pytest.fixture(scope="module")
def bench() -> Iterator[LiveCodeBench]:
    found = open_benchmark("stdin_programs")
    assert isinstance(found, LiveCodeBench)
    with open_sandbox(workers=1) as box:
        found.box = box
        yield found


def sample(cases: list[tuple[str, str]], method: str = "") -> Sample:
    tests = [{"input": a, "output": b, "testtype": "functional" if method else "stdin"} for a, b in cases]
    gold = {
        "public_test_cases": json.dumps(tests),
        "private_test_cases": livecodebench.encode_private([]),
        "metadata": json.dumps({"func_name": method} if method else {}),
    }
    return Sample("one", (), gold)


def graded(bench: LiveCodeBench, code: str, cases: list[tuple[str, str]], method: str = "") -> Grade:
    return bench.grade(sample(cases, method), Reply(f"Here it is.\n```python\n{code}\n```\nThat is all."))


SUM = [("3\n1 2 3\n", "6"), ("1\n5\n", "5")]
READ = "n = int(input())\na = list(map(int, input().split()))\n"
STDIN = {
    "plain": READ + "print(sum(a))",
    "Counter without import": READ + "c = Counter(a)\nprint(sum(k * v for k, v in c.items()))",
    "reduce without import": READ + "print(reduce(lambda x, y: x + y, a))",
    "cache without import": READ + "@cache\ndef f(i):\n    return a[i] + f(i + 1) if i < n else 0\nprint(f(0))",
    "sys without import": "data = sys.stdin.read().split()\nprint(sum(map(int, data[1:])))",
    "heapq, bisect, deque, accumulate": READ
    + "heapify(a)\nbisect_left(a, 1)\nd = deque(a)\nprint(list(accumulate(d))[-1])",
    "math names and modules": READ + "assert gcd(4, 6) == 2 and math.inf == inf\nprint(sum(a))",
    "exit status 1": READ + "print(sum(a))\nsys.exit(1)",
    "exit with a message": READ + "print(sum(a))\nsys.exit('done')",
    "exit()": READ + "print(sum(a))\nexit()",
    "a main block": "def main():\n    input()\n    print(sum(map(int, input().split())))\n"
    "if __name__ == '__main__':\n    main()",
    "typing names": "def f(a: List[int], b: Optional[int] = None) -> int:\n    return sum(a)\n" + READ + "print(f(a))",
    "a line, then the rest": "n = int(input())\nprint(sum(map(int, sys.stdin.read().split())))",
    "lines": "next(sys.stdin)\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))",
    "bytes": "input = sys.stdin.buffer.read().split()\nprint(sum(map(int, input[1:])))",
    "blanks at the end": READ + "print(sum(a), end='  \\n\\n')",
    "a decimal": READ + "print(f'{sum(a)}.000')",
    "a thread with a large stack": READ
    + "import threading\nthreading.stack_size(1 << 27)\ndef go():\n    print(sum(a))\n"
    "t = threading.Thread(target=go)\nt.start()\nt.join()",
}
AS_A_FILE = {  # right as files, where upstream's harness fails
    "global": "n = 0\ndef f(x):\n    global n\n    n += x\ninput()\nfor x in map(int, input().split()):\n"
    "    f(x)\nprint(n)",
    "from __future__": "from __future__ import annotations\n" + READ + "print(sum(a))",
    "sys.stdout.buffer": READ + "sys.stdout.buffer.write(str(sum(a)).encode())",
    "open(0)": "data = open(0).read().split()\nprint(sum(map(int, data[1:])))",
    "a main block in the middle": READ + "if __name__ == '__main__':\n    print(sum(a))\nx = 1",
}
WRONG = {
    "another value": READ + "print(sum(a) + 1)",
    "an error after the right output": READ + "print(sum(a), flush=True)\n1 / 0",
    "more lines": READ + "print(sum(a))\nprint(1)",
    "nothing": "pass",
    "no program": "this is no Python",
    "only imports": "import math",
    "os._exit": READ + "import os\nprint(sum(a), flush=True)\nos._exit(3)",
    "a bracket bomb": "(" * 5000,
    "deep recursion without end": "def f(n):\n    return f(n + 1)\nf(0)",
    "memory": "x = [0] * (1 << 40)",
    "NaN": "print('nan')",
}


@pytest.mark.parametrize("kind", STDIN)
def test_a_right_program_scores_1_officially(bench: LiveCodeBench, kind: str) -> None:
    grade = graded(bench, STDIN[kind], SUM)
    assert (grade.result.score, grade.parts["official"]) == (1.0, 1.0), grade.result


@pytest.mark.parametrize("kind", AS_A_FILE)
def test_a_program_that_only_upstreams_stand_ins_break_counts_and_not_officially(
    bench: LiveCodeBench, kind: str
) -> None:
    grade = graded(bench, AS_A_FILE[kind], SUM)
    assert (grade.result.score, grade.parts["official"]) == (1.0, 0.0), grade.result


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_program_scores_0(bench: LiveCodeBench, kind: str) -> None:
    grade = graded(bench, WRONG[kind], SUM)
    assert (grade.result.score, grade.result.status) == (0.0, Status.SCORED), grade.result


@pytest.mark.parametrize(
    "code",
    [
        "def f(n):\n    return 0 if n == 0 else f(n - 1) + 1\nprint(f(int(input())))",
        "@cache\ndef f(n):\n    return 0 if n == 0 else f(n - 1) + 1\nprint(f(int(input())))",
        "def f(n):\n    return 0 if n == 0 else max(map(f, [n - 1])) + 1\nprint(f(int(input())))",
    ],
)
def test_recursion_20000_deep_works_through_built_in_functions_too(bench: LiveCodeBench, code: str) -> None:
    grade = graded(bench, code, [("20000\n", "20000")])
    assert (grade.result.score, grade.parts["official"]) == (1.0, 1.0), grade.result


@pytest.mark.parametrize("size", [420_000, 2_000_000])
def test_large_right_output_counts_and_a_change_at_its_end_does_not(bench: LiveCodeBench, size: int) -> None:
    lines = size // 6
    gold = "\n".join(f"{i % 100000:05d}" for i in range(lines))
    code = "n = int(input())\nprint('\\n'.join(f'{i % 100000:05d}' for i in range(n)))"
    assert graded(bench, code, [(f"{lines}\n", gold)]).result.score == 1.0
    assert graded(bench, code + "\nprint(1)", [(f"{lines}\n", gold)]).result.score == 0.0


def test_an_integer_of_many_digits_is_printed_and_compared(bench: LiveCodeBench) -> None:
    gold = "1" + "0" * 20_000
    assert graded(bench, "print(10 ** int(input()))", [("20000", gold)]).result.score == 1.0


PAIRS = [("[1, 2]\n3", "[1, 2, 3]"), ("[]\n0", "[0]")]
METHODS = {
    "as the starter code is given": "class Solution:\n"
    "    def f(self, a: List[int], b: int) -> List[int]:\n        return a + [b]",
    "a tuple": "class Solution:\n    def f(self, a, b):\n        return (*a, b)",
    "a plain function": "def f(a, b):\n    return a + [b]",
    "names without import": "class Solution:\n    def f(self, a, b):\n        return list(chain(a, deque([b])))",
    "prints on the way": "class Solution:\n    def f(self, a, b):\n        print('x' * 100000)\n        return a + [b]",
    "a subclass of int": "class N(int):\n    pass\nclass Solution:\n    def f(self, a, b):\n        return a + [N(b)]",
    "a helper named like an imported one": "class Solution:\n    def f(self, a, b):\n        return self.search(a, b)\n"
    "    def search(self, a, b):\n        return a + [b]",
}
WRONG_METHODS = {
    "another value": "class Solution:\n    def f(self, a, b):\n        return a",
    "a set": "class Solution:\n    def f(self, a, b):\n        return {*a, b}",
    "an object equal to everything": "class E:\n    def __eq__(self, o): return True\n"
    "class Solution:\n    def f(self, a, b):\n"
    "        return E()",
    "a deque": "class Solution:\n    def f(self, a, b):\n        return deque([*a, b])",
    "exit": "class Solution:\n    def f(self, a, b):\n        sys.exit(0)",
    "no method": "class Solution:\n    pass",
    "nested without end": "class Solution:\n    def f(self, a, b):\n        x = []\n        for _ in range(5000):\n"
    "            x = [x]\n        return x",
    "a large integer": "class Solution:\n    def f(self, a, b):\n        return 10 ** 6000",
    "infinity": "class Solution:\n    def f(self, a, b):\n        return inf",
    "an error": "class Solution:\n    def f(self, a, b):\n        return a[99]",
}


@pytest.mark.parametrize("kind", METHODS)
def test_a_right_method_scores_1_officially(bench: LiveCodeBench, kind: str) -> None:
    grade = graded(bench, METHODS[kind], PAIRS, "f")
    assert (grade.result.score, grade.parts["official"]) == (1.0, 1.0), grade.result


@pytest.mark.parametrize("kind", WRONG_METHODS)
def test_a_wrong_method_scores_0(bench: LiveCodeBench, kind: str) -> None:
    grade = graded(bench, WRONG_METHODS[kind], PAIRS, "f")
    assert (grade.result.score, grade.result.status) == (0.0, Status.SCORED), grade.result


def test_a_method_keeps_its_state_out_of_the_way_and_large_values_come_back(bench: LiveCodeBench) -> None:
    code = "class Solution:\n    def f(self, n: int) -> List[int]:\n        return list(range(n))"
    gold = json.dumps(list(range(200_000)))
    assert graded(bench, code, [("200000", gold), ("0", "[]")], "f").result.score == 1.0
    future = "from __future__ import annotations\n" + code
    grade = graded(bench, future, [("2", "[0, 1]")], "f")
    assert (grade.result.score, grade.parts["official"]) == (1.0, 0.0)


def test_a_test_has_six_seconds_and_a_slow_call_is_wrong(bench: LiveCodeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert livecodebench.TEST_S == livecodebench.LIMITS.cpu_s == 6.0
    monkeypatch.setattr(livecodebench, "TEST_S", 0.5)
    code = "class Solution:\n    def f(self, n):\n        while n:\n            pass\n        return 0"
    grade = graded(bench, code, [("0", "0"), ("1", "0"), ("0", "0")], "f")
    assert grade.result.reason == "test 1: TimeLimit"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\na\n```", "a"),
        ("```python\na\n```\nthen\n```python\nb\n```", "b"),
        ("```\na\n```\nand\n```\nb", "and"),  # to the letter: the last two lines with a fence
        ("no fence", ""),
        ("```python\nnever closed", ""),
        ("text ```python\nx = 1\n``` text", "x = 1"),
        ("    ```py\n    a\n    ```", "    a"),
    ],
)
def test_the_official_reading_takes_what_the_last_two_fences_enclose(text: str, code: str) -> None:
    assert livecodebench.extracted(text) == code


def test_a_program_without_fences_counts_and_not_officially(bench: LiveCodeBench) -> None:
    grade = bench.grade(sample(SUM), Reply(STDIN["plain"]))
    assert (grade.result.score, grade.parts["official"]) == (1.0, 0.0)
    assert bench.grade(sample(SUM), Reply(" ")).result.status is Status.NO_ANSWER
    assert bench.summary([{"parts": grade.parts}, {"parts": {"official": 1.0}}]) == {"official": 0.5}


@pytest.mark.parametrize(
    ("said", "wanted", "same"),
    [
        ("1\n2 \n", "1\n2", True), ("1.0 2", "1 2.00", True), ("1", "2", False), ("1\n", "1\n1", False),
        ("1 2", "1  2", True),
        ("1\n2", "1 2", False), ("0.30000000001", "0.3", False), ("YES", "yes", False), ("YES ", "YES", True),
        ("", "", True),
        ("\n\n1", "1", True), ("1\n\n2", "1\n2", False), ("1e3", "1000", True),
        ("50000000000000001", "50000000000000000", False),
        ("a 1.0", "a 1", False), ("a  b", "a b", False), ("-0", "0", True), ("sNaN", "1", False),
        ("1e9999999999999999999", "1", False),
        ("+1", "1", True), ("1,2", "1, 2", False), ("1\r\n2", "1\n2", True),
    ],
)  # fmt: skip
def test_output_is_compared_by_line_and_then_by_decimals(said: str, wanted: str, same: bool) -> None:
    assert livecodebench.same_output(said, wanted) is same
