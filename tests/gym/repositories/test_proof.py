"""What is proven is a task: tests fail with the bug, every bug of it has one, hidden tests are not in the tree."""

from dataclasses import replace

import pytest

from gym.repositories import proof as proof_module
from gym.repositories.baseline import Baseline
from gym.repositories.draw import Draw, parse_code
from gym.repositories.hidden import without_tests
from gym.repositories.project import Project
from gym.repositories.proof import Funnel, Proven, prove
from gym.repositories.rewrites import KIND, rewrites
from gym.repositories.suite import run_suite
from gym.repositories.task import Edit, apply_edits
from gym.sandbox import Box

TASKS = 5


@pytest.fixture(scope="module")
def project(toy_project: Project) -> Project:
    return replace(toy_project, options=("--ignore=tests/test_unfit.py",))


@pytest.fixture(scope="module")
def measured(box: Box, project: Project) -> Baseline:
    """As if every test ran every line."""
    run = run_suite(box, project, project.files)
    lines = {path: dict.fromkeys(range(1, 200), 0) for path in project.code}
    return Baseline(tuple(run.outcomes), run.seconds, (tuple(range(len(run.outcomes))),), lines, {}, run.cpu_s)


@pytest.fixture(scope="module")
def made(box: Box, project: Project, measured: Baseline) -> tuple[list[Proven], Funnel]:
    return prove(box, project, measured, TASKS, seed=5)


def edit(project: Project, old: str, new: str, kind: str = "by hand") -> Edit:
    [(path, content)] = [(path, project.files[path]) for path in project.code if old.encode() in project.files[path]]
    start = content.index(old.encode())
    return Edit(path, start, start + len(old.encode()), new, kind, "", content.count(b"\n", 0, start) + 1)


def test_lists_are_what_the_broken_files_give(
    box: Box, project: Project, measured: Baseline, made: tuple[list[Proven], Funnel]
) -> None:
    tasks, funnel = made
    assert len(tasks) == funnel.reasons["proven"] == TASKS
    assert sum(tried for _, tried in funnel.kinds.values()) >= sum(funnel.reasons.values()) > TASKS
    assert sum(proven for proven, _ in funnel.kinds.values()) == sum(len(task.edits) for task in tasks)
    assert funnel.disk_cpu_s > 0 < funnel.search_cpu_s
    for task in tasks[:3]:
        run = run_suite(box, project, apply_edits(project.files, task.edits))
        assert [test for test in measured.tests if run.outcomes[test] != "passed"] == list(task.fail_to_pass)
        assert [test for test in measured.tests if run.outcomes[test] == "passed"] == list(task.pass_to_pass)
        assert set(task.texts) == set(task.fail_to_pass)
        assert all(task.texts.values())


def test_hidden_tests_are_gone_and_the_shown_ones_run(
    box: Box, project: Project, made: tuple[list[Proven], Funnel]
) -> None:
    for task in made[0][:2]:
        listed = [*task.fail_to_pass, *task.pass_to_pass]
        hidden = set(listed) - set(task.shown)
        assert hidden
        tree = without_tests(apply_edits(project.files, task.edits), hidden, task.shown)
        run = run_suite(box, project, tree)
        assert run.ended
        assert set(run.outcomes) == set(task.shown)
        assert {test for test, outcome in run.outcomes.items() if outcome == "passed"} == set(task.pass_to_pass) & set(
            task.shown
        )


def test_equal_seeds_give_equal_tasks(
    box: Box, project: Project, measured: Baseline, made: tuple[list[Proven], Funnel]
) -> None:
    again, funnel = prove(box, project, measured, TASKS, seed=5, workers=1)
    assert again == made[0]
    assert funnel.reasons == made[1].reasons


def test_each_bug_of_a_combination_has_a_failing_test_of_its_own(
    box: Box, project: Project, measured: Baseline
) -> None:
    pairs = [one for one in Draw(project, measured, parse_code(project), 6) if len(one) > 1][:6]
    tasks, funnel = prove(box, project, measured, 2, seed=0, candidates=pairs)
    assert len(tasks) == 2, funnel
    for task in tasks:
        for bug in task.edits:
            others = tuple(other for other in task.edits if other != bug)
            fixed = run_suite(box, project, apply_edits(project.files, others))
            assert [test for test in task.fail_to_pass if fixed.outcomes[test] == "passed"], task


def test_rewrites_of_a_model_are_proven_like_all_others(box: Box, project: Project, measured: Baseline) -> None:
    def complete(prompt: str) -> str:
        return (
            prompt.replace("signed=False", "signed=True")
            .replace("total +=", "total -=")
            .replace("x < crossing", "x > crossing")
        )

    answers = rewrites(complete, parse_code(project), seed=0)
    tasks, _ = prove(box, project, measured, 5, seed=0, candidates=answers)
    assert sorted(edit.function for task in tasks for edit in task.edits) == ["fit", "inside", "perimeter"]
    assert {edit.kind for task in tasks for edit in task.edits} == {KIND}


def test_what_is_no_task_is_counted_by_reason(
    box: Box, project: Project, measured: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gym.repositories.search.START_S", 0.4)
    distance = "return math.hypot(second[0] - first[0], second[1] - first[1])"
    once = "distance.n = getattr(distance, 'n', 0) + 1\n    if distance.n > 5:\n        raise OSError\n    " + distance
    candidates = [
        (edit(project, "return abs(half)", "return abs(-half)"),),
        (edit(project, "return made", "while True: pass"),),
        (edit(project, "half = twice / 2", ""),),
        (edit(project, distance, once),),
        (edit(project, "return abs(half)", "return half"), edit(project, "if signed:", "if not signed:")),
        (edit(project, "x0 * y1 - x1 * y0", "x0 * y1 + x1 * y0"),),
    ]
    tasks, funnel = prove(box, project, measured, 9, seed=0, candidates=candidates)
    assert funnel.reasons == {
        "survived": 1,
        "endless": 1,
        "too easy": 1,
        "flaky": 1,
        "no test of its own": 1,
        "proven": 1,
    }
    assert [task.edits for task in tasks] == [candidates[-1]]
    monkeypatch.setattr(proof_module, "MOST_FAILURES", 0)
    _, funnel = prove(box, project, measured, 9, seed=0, candidates=candidates[-1:])
    assert funnel.reasons == {"fails too much": 1}
