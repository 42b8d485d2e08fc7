"""Issues of known bugs: what they say, and what they must not say."""

from dataclasses import replace

import numpy as np
import pytest

from gym.repositories.issue_facts import holds_facts
from gym.repositories.issue_leaks import gives_away
from gym.repositories.issue_naming import called, sentence_about
from gym.repositories.issues import Issue, rewritten, write_issue
from gym.repositories.project import Project
from gym.repositories.snippets import ProvenCall
from gym.repositories.task import Edit, Snippet
from gym.sandbox import Box


def edit_of(project: Project, old: str, new: str, function: str, kind: str, path: str = "shapes/plane.py") -> Edit:
    content = project.files[path]
    assert content.count(old.encode()) == 1, old
    start = content.index(old.encode())
    return Edit(path, start, start + len(old.encode()), new, kind, function, content.count(b"\n", 0, start) + 1)


@pytest.fixture(scope="module")
def edge_bug(toy_project: Project) -> Edit:
    return edit_of(toy_project, "(number + 1) %", "(number + 2) %", "_edges", "off_by_one")


@pytest.fixture(scope="module")
def edge_issue(box: Box, toy_project: Project, edge_bug: Edit) -> Issue:
    made = write_issue(box, toy_project, (edge_bug,), ["tests/test_plane.py::test_perimeter"], np.random.default_rng(3))
    assert made is not None
    return made


def test_a_bug_in_a_helper_is_told_by_its_caller(edge_issue: Issue) -> None:
    assert edge_issue.snippet is not None
    assert "perimeter" in edge_issue.text and "_edges" not in edge_issue.text
    assert holds_facts(edge_issue.text, edge_issue.proven[0])
    assert (edge_issue.chain, edge_issue.names) == (2, ())


def test_equal_seeds_give_equal_issues(box: Box, toy_project: Project, edge_bug: Edit, edge_issue: Issue) -> None:
    tests = ["tests/test_plane.py::test_perimeter"]
    again = write_issue(box, toy_project, (edge_bug,), tests, np.random.default_rng(3))
    assert again == edge_issue
    others = write_issue(box, toy_project, (edge_bug,), tests, np.random.default_rng(4))
    assert others is not None and others.text != edge_issue.text


def test_a_caller_is_preferred_to_the_changed_function(box: Box, toy_project: Project) -> None:
    edit = edit_of(toy_project, "return min(across)", "return max(across)", "bounds", "wrong_call")
    tests = ["tests/test_plane.py::test_bounds", "tests/test_plane.py::test_describe"]
    for seed in range(3):
        made = write_issue(box, toy_project, (edit,), tests, np.random.default_rng(seed))
        assert made is not None and made.snippet is not None
        assert "describe()" in made.snippet.expression
        assert made.names == ()
    alone = write_issue(box, toy_project, (edit,), tests[:1], np.random.default_rng(0))
    assert alone is not None and alone.names == ("function bounds",)


def test_a_failing_test_is_quoted_where_no_call_can_be_told(box: Box, toy_project: Project) -> None:
    edit = edit_of(toy_project, "if width <= 0 or", "if", "Box.__init__", "dropped_condition", "shapes/layout.py")
    test = "tests/test_layout.py::FitTest::test_no_negative_side"
    made = write_issue(box, toy_project, (edit,), [test], np.random.default_rng(0))
    assert made is not None
    assert (made.form, made.snippet, made.quoted) == ("quoted_test", None, (test,))
    assert "with self.assertRaises(ValueError):\n        Box(-1, 2)" in made.text


def test_each_of_two_bugs_is_told(box: Box, toy_project: Project, edge_bug: Edit) -> None:
    other = edit_of(toy_project, "total += gap", "pass", "fit", "operator", "shapes/layout.py")
    tests = ["tests/test_plane.py::test_perimeter", "tests/test_layout.py::FitTest::test_fit_in_rows"]
    made = write_issue(box, toy_project, (edge_bug, other), tests, np.random.default_rng(0))
    assert made is not None
    assert "perimeter(" in made.text and "fit(" in made.text
    assert [one.symptom for one in made.proven] == ["wrong", "wrong"]
    assert all(holds_facts(made.text, one) for one in made.proven)
    assert len(made.form.split("+")) == 2
    assert write_issue(box, toy_project, (edge_bug, other), tests[:1], np.random.default_rng(0)) is None


def test_nothing_can_be_said_without_a_failing_test(box: Box, toy_project: Project, edge_bug: Edit) -> None:
    assert (
        write_issue(box, toy_project, (edge_bug,), ["tests/test_layout.py::test_rows"], np.random.default_rng(0))
        is None
    )


LEAKS = {
    "The bug is in shapes/plane.py": "file shapes/plane.py",
    "look at plane.py, please": "file shapes/plane.py",
    "perimeter is wrong, an off-by-one I guess": "kind off_by_one",
    "It looks like swapped arguments": "kind swapped argument",
    "there is a missing return": "kind missing return",
    "`_edges` is wrong": "function _edges",
    "FAILED tests/test_x.py::test__edges": "function _edges",
}


@pytest.mark.parametrize("text", LEAKS)
def test_leaks_are_seen(toy_project: Project, edge_bug: Edit, text: str) -> None:
    assert LEAKS[text] in gives_away(text, toy_project, (edge_bug,))


def test_what_is_no_leak(toy_project: Project, edge_bug: Edit) -> None:
    text = "perimeter([(0, 0)]) of shapes returns 8 edges in tests/test_plane.py and airplane.py"
    assert gives_away(text, toy_project, (edge_bug,)) == ()


def test_methods_are_named_by_their_class_or_name(toy_project: Project, edge_bug: Edit) -> None:
    made = replace(edge_bug, function="Box.__init__")
    assert gives_away("Box(1, 2) fails", toy_project, (made,)) == ("function Box.__init__",)
    assert gives_away("Boxes fail", toy_project, (made,)) == ()
    assert gives_away("x.turned() fails", toy_project, (replace(edge_bug, function="Box.turned"),)) != ()


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("list(area([1]))", "area"),
        ("Box(1, 2).turned()", "Box.turned"),
        ("shapes.area([1]) + 1", "shapes.area"),
        ("shapes.UNITS", "shapes.UNITS"),
        ("made.turned()", "Box"),
        ("B(2, 3).turned()", "Box.turned"),
    ],
)
def test_name_of_what_is_called(toy_project: Project, expression: str, name: str) -> None:
    imports = ("import shapes", "from shapes import Box, Box as B, area")
    setup = ("made = Box(1, 2)",) if "made" in expression else ()
    one = ProvenCall(Snippet("", expression, "1", "2"), imports, setup, "equal", None)
    assert called(one, toy_project) == name


def test_sentence_about(toy_project: Project) -> None:
    assert sentence_about(toy_project, "perimeter") == "The length of all edges together."
    assert sentence_about(toy_project, "Box.turned") == "Lying on its other side."
    assert sentence_about(toy_project, "nothing") == ""


def test_teacher(toy_project: Project, edge_bug: Edit, edge_issue: Issue) -> None:
    assert edge_issue.snippet is not None
    shown = edge_issue.snippet
    told = f"Perimeter is off\n\nI called {shown.expression} and got {shown.broken}, the answer is {shown.good}."
    prompts: list[str] = []

    def complete(prompt: str) -> str:
        prompts.append(prompt)
        return told

    made = rewritten(edge_issue, toy_project, (edge_bug,), complete)
    assert (made.text, made.form, made.snippet) == (told, "teacher", shown)
    assert edge_issue.text in prompts[0]
    for bad in (
        told.replace(shown.good, "something else"),
        told.replace(shown.expression, "perimeter(...)"),
        told + " The cause is in plane.py.",
        told + " An off by one error.",
        "",
    ):
        answers = iter([bad, bad])
        assert rewritten(edge_issue, toy_project, (edge_bug,), lambda prompt: next(answers)) is edge_issue  # noqa: B023
    answers = iter(["", told])
    assert rewritten(edge_issue, toy_project, (edge_bug,), lambda prompt: next(answers)).text == told
