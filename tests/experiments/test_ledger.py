"""The ledger: verdicts follow from planted figures and the rule, and from which of the two was committed first."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from experiments import __main__ as program
from experiments.figures import METRICS
from experiments.history import came_first, rule_commits
from experiments.ledger import (
    AFTER,
    CLAIMS,
    LEDGER,
    OPEN,
    REFUTED,
    REPRODUCES,
    UNKNOWN,
    UNTESTED,
    Claim,
    ledger,
    line_of,
    load_claims,
    verdict,
)
from experiments.results import INTERVALS, By, Record, RunsFile, interval, read_lines, size_of, write_results
from stages.harness.errors import InputError
from tests.conftest import ROOT

CLAIM: dict[str, Any] = {
    "name": "gain",
    "statement": "One optimizer is better",
    "source": "§2",
    "k2": "no figure",
    "experiment": "pretraining",
    "metric": "validation_gain",
    "by": "seeds",
    "unit": "nats",
    "direction": "above",
    "threshold": 0.1,
    "size": "smoke",
    "seeds": 3,
}


def claim(**changes: Any) -> Claim:
    return Claim.model_validate(CLAIM | changes)


@pytest.mark.parametrize(
    ("low", "high", "direction", "word"),
    [
        (0.11, 0.3, "above", REPRODUCES),
        (0.1, 0.3, "above", OPEN),  # touches the threshold
        (0.05, 0.3, "above", OPEN),
        (-0.2, 0.1, "above", OPEN),  # touches it from the other side
        (-0.2, 0.09, "above", REFUTED),
        (-0.2, 0.09, "below", REPRODUCES),
        (0.0, 0.1, "below", OPEN),
        (0.11, 0.3, "below", REFUTED),
    ],
)
def test_the_whole_interval_must_lie_beyond_the_threshold(low: float, high: float, direction: str, word: str) -> None:
    assert verdict(claim(direction=direction), ((low + high) / 2, low, high), [], []) == word


def test_a_rule_may_name_the_bound_of_the_other_verdict() -> None:
    lower = claim(refuted=0.0)
    assert verdict(lower, (0.05, 0.01, 0.09), [], []) == OPEN
    assert verdict(lower, (-0.05, -0.09, -0.01), [], []) == REFUTED


def test_what_the_interval_must_also_reach() -> None:
    far = claim(reaches=0.5)
    assert verdict(far, (0.4, 0.2, 0.6), [], []) == REPRODUCES
    assert verdict(far, (0.3, 0.2, 0.49), [], []) == OPEN


def test_second_metrics_hold_or_refute() -> None:
    bound = {"metric": "spikes", "by": "seeds", "direction": "above", "threshold": 0}
    good, up, unclear, down = (0.3, 0.2, 0.4), (2.0, 1.0, 3.0), (0.0, -1.0, 1.0), (-2.0, -3.0, -1.0)
    also, unless = claim(also=[bound]), claim(unless=[bound])
    assert [verdict(also, good, [second], []) for second in (up, unclear, down, None)] == [REPRODUCES, OPEN, OPEN, OPEN]
    found = [verdict(unless, good, [], [second]) for second in (up, unclear, down, None)]
    assert found == [REPRODUCES, REPRODUCES, REFUTED, OPEN]


def test_every_kind_of_interval() -> None:
    assert set(get_args(By)) == set(INTERVALS)
    assert interval([1.0, 2.0, 3.0], "every seed") == (2.0, 1.0, 3.0)
    value, low, high = interval([1.0, 2.0, 3.0], "seeds")
    assert (value, round(low, 3), round(high, 3)) == (2.0, -0.484, 4.484)
    assert interval([0.0, 1.0], "items") == pytest.approx((0.5, -0.48, 1.48), abs=1e-3)
    assert interval([1.0] * 6 + [0.0] * 4, "share") == pytest.approx((0.6, 0.3127, 0.8318), abs=1e-4)
    assert interval([0.2, 0.1, 0.4], "recorded") == (0.2, 0.1, 0.4)


# Figures in a repository of their own, so that the order of rule and run can be planted.


def git(root: Path, *args: str) -> str:
    named = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *args]
    return subprocess.run(named, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def commit(root: Path, path: Path, text: str) -> str:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    git(root, "add", "-A")
    git(root, "commit", "-qm", path.name)
    return git(root, "rev-parse", "HEAD")


def rule(**changes: Any) -> str:
    return yaml.safe_dump([CLAIM | changes], sort_keys=False)


def figures(code: str, seeds: int = 3, size: str = "smoke", gain: float = 0.5) -> str:
    stamp = {"commit": code, "dirty": False, "params": "p", "size": size}
    lines: list[Record] = [{"record": "settings"}]
    for arm, loss in (("adamw", 4.0 + gain), ("muonclip", 4.0)):
        for seed in range(seeds):
            lines.append({"record": "run", "arm": arm, "seed": seed, "validation": loss + seed / 1000, "stamp": stamp})
    return "".join(f"{json.dumps(line)}\n" for line in lines)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, Path("a"), "a")
    return tmp_path


RAW = Path("docs/experiments/pretraining.jsonl")


def test_a_rule_before_its_run_may_reproduce(repo: Path) -> None:
    ruled = commit(repo, CLAIMS, rule())
    commit(repo, RAW, figures(ruled))
    (one,) = ledger(repo)
    assert (one.verdict, one.note) == (REPRODUCES, "")
    assert (one.rule_commit, one.run_commit) == (ruled[:12], ruled)
    assert (one.low, one.high) == pytest.approx((0.5, 0.5))
    assert one.told == "4.501 against 4.001"
    assert one.rule_commit in line_of(one) and "0.5 to 0.5, wanted above 0.1 nats" in line_of(one)


def test_a_rule_written_after_the_run_reproduces_nothing_but_refutes(repo: Path) -> None:
    before = git(repo, "rev-parse", "HEAD")
    commit(repo, CLAIMS, rule())
    commit(repo, RAW, figures(before))
    assert [(one.verdict, one.note) for one in ledger(repo)] == [(OPEN, AFTER)]
    commit(repo, RAW, figures(before, gain=-0.5))
    assert [(one.verdict, one.note) for one in ledger(repo)] == [(REFUTED, AFTER)]


def test_a_changed_threshold_is_a_new_rule_and_changed_words_are_not(repo: Path) -> None:
    ruled = commit(repo, CLAIMS, rule())
    commit(repo, RAW, figures(ruled))
    commit(repo, CLAIMS, rule(statement="Other words", k2="1.9 times"))
    assert [one.verdict for one in ledger(repo)] == [REPRODUCES]
    softer = commit(repo, CLAIMS, rule(threshold=0.05))
    assert [(one.verdict, one.rule_commit) for one in ledger(repo)] == [(OPEN, softer[:12])]


def test_an_earlier_place_of_the_rule_counts_until_the_rule_is_changed(repo: Path) -> None:
    earlier = git(repo, "rev-parse", "HEAD")[:7]
    commit(repo, Path("b"), "b")
    taken = commit(repo, CLAIMS, rule(rule_commit=earlier))
    assert rule_commits(repo, CLAIMS) == {"gain": earlier}
    commit(repo, RAW, figures(taken[:10]))
    assert [one.verdict for one in ledger(repo)] == [REPRODUCES]
    softer = commit(repo, CLAIMS, rule(rule_commit=earlier, threshold=0.05))
    assert rule_commits(repo, CLAIMS) == {"gain": softer[:12]}


def test_figures_without_a_version_are_as_old_as_the_commit_that_brought_them(repo: Path) -> None:
    ruled = commit(repo, CLAIMS, rule())
    later = commit(repo, Path("b"), "b")
    for code, word in ((later, REPRODUCES), (ruled, OPEN)):  # with the rule itself: the run may have been before it
        lines = [json.loads(line) for line in figures("").splitlines()]
        lines = [{"record": "stamp", "commit": code, "recorded": False, "size": "smoke"}] + [
            {key: value for key, value in line.items() if key != "stamp"} for line in lines
        ]
        commit(repo, RAW, "".join(f"{json.dumps(line)}\n" for line in lines))
        assert [one.verdict for one in ledger(repo)] == [word]


def test_without_a_history_nothing_reproduces(tmp_path: Path) -> None:
    for path, text in ((CLAIMS, rule()), (RAW, figures("abc"))):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    assert [(one.verdict, one.rule_commit) for one in ledger(tmp_path)] == [(OPEN, "")]
    assert came_first(tmp_path, "", "abc", itself=True) is None


def test_a_version_that_the_history_does_not_know_reproduces_nothing(repo: Path) -> None:
    commit(repo, CLAIMS, rule())
    commit(repo, RAW, figures("0123456789ab"))
    assert [(one.verdict, one.note) for one in ledger(repo)] == [(OPEN, UNKNOWN)]


def test_missing_figures_say_what_a_test_would_take(repo: Path) -> None:
    ruled = commit(repo, CLAIMS, rule())
    (one,) = ledger(repo)
    assert (one.verdict, one.note, one.low) == (UNTESTED, "python -m experiments gain", None)
    commit(repo, RAW, figures(ruled, seeds=2))
    assert ledger(repo)[0].note == "2 of 3 seeds ran; python -m experiments gain"
    commit(repo, RAW, figures(ruled, size="laptop"))
    (one,) = ledger(repo)
    assert (one.verdict, "there are figures of size laptop alone" in one.note) == (UNTESTED, True)


def test_seeds_that_were_added_do_not_decide(repo: Path) -> None:
    ruled = commit(repo, CLAIMS, rule(seeds=2))
    stamp = {"commit": ruled, "size": "smoke"}
    gains = [0.2, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5]  # the first two settle nothing, all of them would
    lines = [
        {"record": "run", "arm": arm, "seed": seed, "validation": loss, "stamp": stamp}
        for seed, gain in enumerate(gains)
        for arm, loss in (("adamw", 4.0 + gain), ("muonclip", 4.0))
    ]
    commit(repo, RAW, "".join(f"{json.dumps(line)}\n" for line in lines))
    assert [one.verdict for one in ledger(repo)] == [OPEN]
    assert verdict(claim(), interval(gains, "seeds"), [], []) == REPRODUCES


# What experiments leave, in small: the metrics read what the scripts write.


def run(arm: str, seed: int, start: float, end: float, **more: Any) -> Record:
    curves = {f"held_success_{name}": [[0, start], [6, end]] for name in ("parity", "size", "category")}
    curves |= {"held_critic_accuracy": [[0, 0.5], [6, end]], "reward": [[k, k / 10 + end] for k in range(1, 8)]}
    curves |= {"length": [[k, 10.0 - k] for k in range(1, 8)]}
    after = {"outside": 0.5, "conversations": 2.0 + end, "text": 5.0}
    return {"record": "run", "arm": arm, "seed": seed, "curves": curves, "after": after, **more}


def test_metrics_of_rl() -> None:
    lines = [run("default", seed, 0.4, 0.6) for seed in range(3)]
    lines += [run(arm, seed, 0.4, end) for seed in range(3) for arm, end in (("ptx", 0.5), ("lean", 0.7))]
    metrics = METRICS["rl"]
    gain, kept = metrics["parity_gain"](lines), metrics["ptx_conversations"](lines)
    assert gain is not None and gain.values == pytest.approx([0.2] * 3) and gain.told == "0.2"
    assert kept is not None and kept.values == pytest.approx([-0.2] * 3) and kept.told == "2.5 against 2.7"
    assert metrics["int4_reward"](lines) is None
    late = metrics["decay_reward"]([run("decaying temperature", 0, 0.0, 0.3), run("constant temperature", 0, 0.0, 0.1)])
    assert late is not None and late.told == "0.8 against 0.6", "the mean of the last five iterations"


def test_metrics_over_items_pair_what_both_have() -> None:
    score = {"record": "score", "budget": 4000, "grammar": False, "choose": False, "category": "simple_python"}
    lines = [score | {"arm": "singles", "seed": seed, "each": [1, 1, 0, 0]} for seed in range(3)]
    lines += [score | {"arm": "before", "seed": seed, "each": [1, 0, 0, 0]} for seed in range(2)]
    calls = METRICS["agentic_data"]["singles_calls"]
    figure = calls(lines)
    assert figure is not None and (figure.values, figure.seeds) == ([0, 1, 0, 0], 2)
    assert figure.told == "50% against 25% of 4"
    for odd in ({"budget": 100}, {"grammar": True}, {"choose": True}):
        assert calls([line | odd for line in lines]) is None
    base = [{"record": "text", "arm": "base", "loss": 2.8}]
    texts = [{"record": "text", "arm": "singles", "seed": seed, "budget": 4000, "loss": 2.9} for seed in range(3)]
    text = METRICS["agentic_data"]["singles_text"]([*base, *texts])
    assert text is not None and text.values == pytest.approx([0.1] * 3)


def test_one_start_is_before_every_seed_of_a_family() -> None:
    before = {"record": "before", "family": "calls", "each": [0.0, 0.0]}
    after = [{"record": "after", "family": "calls", "seed": seed, "each": [1.0, 0.0], "text": 2.9} for seed in range(3)]
    metrics = METRICS["rl_families"]
    taught = metrics["calls_taught"]([before, *after])
    assert taught is not None and (taught.values, taught.seeds) == ([1.0, 0.0], 3)
    text = metrics["families_text"]([{"record": "text", "of": "base", "loss": 2.8}, *after])
    assert text is not None and text.values == pytest.approx([0.1] * 3)


def test_the_trend_is_the_gain_at_twice_the_width_less_that_of_before() -> None:
    losses = {"sparsity 8, width 1": 4.0, "sparsity 48, width 1": 4.1, "sparsity 8, width 2": 3.0}
    rows = [
        {"record": "run", "arm": arm, "seed": seed, "validation": loss + seed}
        for arm, loss in (losses | {"sparsity 48, width 2": 2.8}).items()
        for seed in range(2)
    ]
    metrics = METRICS["sparsity"]
    figure, wide = metrics["gain_by_width"](rows), metrics["wide_gain"](rows)
    assert figure is not None and figure.values == pytest.approx([0.3, 0.3]) and figure.seeds == 2
    assert wide is not None and wide.values == pytest.approx([0.2, 0.2])
    assert metrics["gain_by_width"](rows[:-2]) is None


def test_what_runs_did_not_keep_is_no_figure() -> None:
    rows = [{"record": "run", "arm": arm, "seed": 0, "settled_logit": 33.0} for arm in ("tau 30", "tau 100")]
    metric = METRICS["pretraining"]["settled_over_tau"]
    figure = metric(rows)
    assert figure is not None and figure.values == [1.1]
    assert metric([{key: value for key, value in row.items() if key != "settled_logit"} for row in rows]) is None


def test_measuring_one_arm_again_takes_nothing_from_the_others(tmp_path: Path) -> None:
    file = tmp_path / "rl.jsonl"
    old = [{"record": "run", "arm": arm, "seed": 0, "x": 1} for arm in ("int4", "ptx")]
    whole = {"record": "stamp", "commit": "abc", "recorded": False, "size": "scratch"}
    file.write_text("".join(f"{json.dumps(line)}\n" for line in [whole, {"record": "settings", "seeds": 1}, *old]))
    for size in ("scratch", "laptop"):
        new = {"arm": "int4", "seed": 0, "x": 2, "stamp": {"commit": "def", "size": size}}
        write_results(file, {"seeds": 3}, runs=[new], charts=[])
    lines = read_lines(file)
    assert [line["seeds"] for line in lines if line["record"] == "settings"] == [3]
    found = {(line["arm"], line["stamp"]["size"]): line["x"] for line in lines if line["record"] == "run"}
    assert found == {("int4", "laptop"): 2, ("int4", "scratch"): 2, ("ptx", "scratch"): 1}
    assert next(line["stamp"]["recorded"] for line in lines if line.get("arm") == "ptx") is False


def test_what_was_measured_at_another_size_is_measured_again(tmp_path: Path) -> None:
    runs = RunsFile(tmp_path / "a.jsonl", "smoke")
    runs.add({"record": "run", "seed": 0})
    assert runs.has({"seed": 0}) and not runs.has({"seed": 1})
    assert not RunsFile(runs.path, "scratch").has({"seed": 0})
    (line,) = runs.lines()
    assert line["stamp"].keys() == {"commit", "dirty", "params", "size"} and len(line["stamp"]["commit"]) == 12


def test_what_an_experiment_concludes_is_of_its_newest_runs_version(tmp_path: Path) -> None:
    runs = RunsFile(tmp_path / "a.jsonl", "smoke")
    for arm in ("bf16", "k2/qat"):
        runs.add({"record": "run", "arm": arm, "stamp": {"commit": arm, "size": "smoke"}})
    row = {"of": "k2/qat - bf16", "mean": 0.002, "low": 0.001, "high": 0.003}
    for _ in range(2):
        runs.conclude(figure=lambda lines: [row])
    figure = METRICS["int4_quality"]["qat_on_k2s_grid"](runs.lines())
    assert figure is not None and interval(figure.values, "recorded") == (0.002, 0.001, 0.003)
    assert [line["arm"] for line in figure.used] == ["bf16", "k2/qat"]
    assert [line["stamp"]["commit"] for line in runs.lines()] == ["bf16", "k2/qat", "k2/qat"]
    assert METRICS["int4_quality"]["distilled_less_plain"](runs.lines()) is None


def test_a_changed_checkout_is_named_with_its_version(repo: Path) -> None:
    ruled = commit(repo, CLAIMS, rule())
    commit(repo, RAW, figures(ruled).replace('"dirty": false', '"dirty": true'))
    assert [one.run_commit for one in ledger(repo)] == [f"{ruled} changed"]


# The file of claims and the program.


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"treshold": 1}, "claims.yaml: gain.treshold: unknown key"),
        ({"direction": "up"}, "claims.yaml: gain.direction: "),
        ({"metric": "no_such"}, "claims.yaml: gain: metric: no_such: not measured by pretraining"),
        ({"experiment": "none"}, "claims.yaml: gain: experiment: none: none of pretraining"),
        ({"experiment": ""}, "claims.yaml: gain: needs: missing"),
        ({"seeds": 0}, "claims.yaml: gain.seeds: "),
        ({"also": [{"metric": "spikes"}]}, "claims.yaml: gain.also.0.by: missing"),
    ],
)
def test_a_broken_claim_is_one_line_that_names_the_key(tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    (tmp_path / "claims.yaml").write_text(rule(**changes))
    with pytest.raises(InputError) as error:
        load_claims(tmp_path / "claims.yaml")
    assert line in str(error.value) and "\n" not in str(error.value)


def test_a_missing_key_and_a_name_given_twice(tmp_path: Path) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump([{key: value for key, value in CLAIM.items() if key != "unit"}]))
    with pytest.raises(InputError, match=r"gain\.unit: missing"):
        load_claims(file)
    file.write_text(yaml.safe_dump([CLAIM, CLAIM]))
    with pytest.raises(InputError, match="gain: named twice"):
        load_claims(file)
    file.write_text("claims: 1")
    with pytest.raises(InputError, match="not a list of claims"):
        load_claims(file)


def test_the_reports_claims_are_covered() -> None:
    claims = load_claims(ROOT / CLAIMS)
    assert len(claims) >= 20
    used = {(one.experiment, one.metric) for one in claims if one.experiment}
    bounds = {(one.experiment, bound.metric) for one in claims for bound in [*one.also, *one.unless]}
    every = {(name, metric) for name, metrics in METRICS.items() for metric in metrics}
    assert every == used | bounds, "a metric without a claim"


def test_the_written_ledger_is_what_rules_and_figures_say() -> None:
    """But for commits, which follow from the history."""
    written = [json.loads(line) for line in (ROOT / LEDGER).read_text().splitlines()]
    mine = [json.loads(json.dumps(one.record())) for one in ledger(ROOT)]
    apart = ("rule_commit", "run_commit")
    assert [{k: v for k, v in row.items() if k not in apart} for row in written] == [
        {k: v for k, v in row.items() if k not in apart} for row in mine
    ]  # else: python -m experiments --write


def test_rules_of_before_are_in_the_history() -> None:
    for one in load_claims(ROOT / CLAIMS):
        if one.rule_commit:
            done = subprocess.run(["git", "cat-file", "-t", one.rule_commit], cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                pytest.skip("a checkout without the history")
            assert done.stdout.strip() == "commit", one.name


def test_the_program_lists_dispatches_and_knows_near_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["experiments"])
    program.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(load_claims()) + 1 and lines[-1].startswith(f"{len(lines) - 1} claims: ")
    for name, said in (
        ("muonclip_los", "muonclip_los: no such claim; near it: muonclip_loss"),
        ("zzz", "zzz: no such claim; python -m experiments lists them"),
        ("weight_update", "weight_update: not tested here: it needs several GPUs"),
        ("rl_parity", "rl_parity: measured at size scratch, params.yaml is at laptop"),
    ):
        monkeypatch.setattr(sys, "argv", ["experiments", name])
        with pytest.raises(SystemExit) as error:
            program.main()
        assert error.value.code == 2 and capsys.readouterr().err.startswith(said)
    asked: list[list[str]] = []

    def ran(argv: list[str], check: bool) -> "subprocess.CompletedProcess[str]":
        asked.append(argv[1:])
        return subprocess.CompletedProcess(argv, 3)

    monkeypatch.setattr(subprocess, "run", ran)
    monkeypatch.setattr(sys, "argv", ["experiments", "half_the_heads", "--", "--threads", "2"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 3
    assert asked == [["-m", "experiments.pretraining", "--steps", "240", "--seeds", "5", "--threads", "2"]]


def test_sizes_have_names() -> None:
    assert size_of("embedded", "laptop") == "laptop"
    assert [size_of("scratch", model) for model in ("laptop", "smoke")] == ["scratch", "smoke"]
    assert size_of("models/own", "laptop") == "own"
