"""A checkout in which every stage has left something small, for the report to show."""

import json
import shutil
from pathlib import Path
from typing import Any

from stages.harness.tables import CORPUS, REPHRASED, ROLLOUTS, SAMPLES, TOOLS, TRAJECTORIES, write_table

REPO = Path(__file__).parents[3]
FORGED = "<script>document.title='forged'</script>"


def filled(schema: Any, **given: Any) -> dict[str, Any]:
    empty = {"string": "", "int32": 0, "int64": 0, "double": 0.0, "bool": False}
    return {field.name: given.get(field.name, empty.get(str(field.type))) for field in schema}


def checkout(root: Path) -> Path:
    """Files as the stages leave them; texts try to break out of the page."""
    for folder in ("metrics", "plots", "data/samples", "work", "docs/experiments"):
        (root / folder).mkdir(parents=True)
    shutil.copy(REPO / "dvc.yaml", root)
    metrics = {
        "corpus": {"documents": 3, "bytes": 100},
        "tokenizer": {"vocab_size": 512},
        "tokens": {"train_tokens": 4000, "train_documents": 3, "overlap_humaneval": 1},
        "rephrase": {"accepted": 0.5, "texts": 2},
        "tools": {"tools": 1, "real": 0, "synthetic": 1},
        "repositories": {"tasks": 60, "held_tasks": 12, "proven_share": 0.64, "candidates": 118},
        "trajectories": {"kept": 1, "kept_share": 1.0, "trajectories": 1},
        "pretrain": {"parameters": 1_000_000, "tokens": 4000},
        "sft": {
            "call_accuracy": 0.0,
            "call_accuracy_n": 24,
            "call_accuracy_ci_low": 0.0,
            "call_accuracy_ci_high": 0.14,
        },
        "rl": {
            "held_parity": 0.9,
            "text_loss_start": 4.7,
            "text_loss": 4.75,
            "text_loss_per_byte": 1.5,
            "text_loss_change": 0.05,
            "text_loss_change_ci_low": 0.01,
            "text_loss_change_ci_high": 0.09,
        },
        "qat": {
            **{
                f"{what}_{arm}{end}": v
                for what, v in (("loss", 5.0), ("facts", 0.1))
                for arm in ("start", "bf16", "ptq", "qat")
                for end in ("", "_ci_low", "_ci_high")
            },
            **{f"{arm}_minus_bf16{end}": 0.01 for arm in ("ptq", "qat") for end in ("", "_ci_low", "_ci_high")},
            "bytes": 1e6,
            "bytes_ratio": 0.3,
        },
        "scores": {
            "validation_loss": 5.0,
            "validation_bits_per_byte": 2.0,
            "validation_tokens": 100,
            **{"aime_2025": 0.0, "aime_2025_n": 6, "aime_2025_ci_low": 0.0, "aime_2025_ci_high": 0.39},
            "aime_2025_truncated": 6,
            "gpqa_diamond_n": 0,
            **{"aime_2025_majority_of_n": 0.0, "arena_n": 4, "arena_settled": 0.0, "arena_judge_agreement": 0.1},
            **{"arena_judge_pairs": 10, "arena_judge_first_place": 0.9},
            **{"aime_2025_contaminated_corpus": 0.1, "aime_2025_contaminated_rl": 0.0},
            **{"aime_2025_tokens_per_answer": 61.5, "aime_2025_truncated_share": 1.0},
            **{f"one_shot_minus_agentic{end}": 0.25 for end in ("", "_ci_low", "_ci_high")},
            "one_shot_minus_agentic_items": 12,
            **{f"compared_base_gsm8k{end}": 0.5 for end in ("", "_ci_low", "_ci_high")},
            **{f"compared_qat_gsm8k{end}": 0.25 for end in ("", "_ci_low", "_ci_high")},
            **{"change_qat_gsm8k": -0.25, "change_qat_gsm8k_ci_low": -0.4, "change_qat_gsm8k_ci_high": -0.1},
            **{"change_qat_gsm8k_items": 40, "regressions": 1},
        },
    }
    for name, value in metrics.items():
        (root / "metrics" / f"{name}.json").write_text(json.dumps(value))
    (root / "work" / "timings.json").write_text(json.dumps({"corpus": 8.2, "pretrain": 291.0}))
    (root / "plots" / "pretrain.csv").write_text(
        "step,tokens,loss,max_logit,lr,load_cv\n" + "".join(f"{i},{i * 10},{9 - i},{i},0.1,0.5\n" for i in range(1, 6))
    )
    (root / "plots" / "sft.csv").write_text("step,loss,call_accuracy,text_loss\n0,,,2.8\n1,2.5,,\n2,2.1,0.25,2.7\n")
    (root / "plots" / "rl.csv").write_text("iteration,held_success_parity,reward\n0,0.4,0.1\n1,,0.2\n2,0.9,0.5\n")
    doc = {"doc_id": "a", "text": "Source text."}
    write_table(root / "data/corpus.parquet", [filled(CORPUS, **doc)], CORPUS)
    texts = [
        filled(REPHRASED, doc_id="a", style="faq", text=FORGED, accepted=True),
        filled(REPHRASED, doc_id="a", style="table", text="x", reason="a new name: Bob"),
    ]
    write_table(root / "data/rephrased.parquet", texts, REPHRASED)
    tool = {"name": "t", "domain": "travel", "application": "trips", "origin": "synthetic", "source": "grammar"}
    write_table(root / "data/tools.parquet", [filled(TOOLS, **tool)], TOOLS)
    messages = [{"role": "user", "content": FORGED}, {"role": "assistant", "content": "done"}]
    trajectory = filled(
        TRAJECTORIES,
        traj_id="t1",
        domain="travel",
        messages=json.dumps(messages),
        tools="[]",
        verdict="success",
        kept=True,
    )
    write_table(root / "data/trajectories.parquet", [trajectory], TRAJECTORIES)
    samples = [
        filled(SAMPLES, benchmark="aime_2025", dataset="aime-2025 (package)", task_id=f"item {k}", output=FORGED)
        for k in range(30)
    ]
    write_table(root / "data/samples/aime_2025.parquet", samples, SAMPLES)
    references = [
        {"name": "Kimi-K2-Instruct (published)", "source": "table 3", "scores": {"aime_2025": 0.495}},
        {"name": "Kimi-K2-Thinking (published)", "source": "card", "scores": {"aime_2025": 0.945}},
        {"name": "small (published)", "source": f"card {FORGED}", "scores": {"gsm8k": 0.014}},
    ]
    compared = {"models": ["base", "qat"], "benchmarks": ["gsm8k"], "published": references}
    (root / "data/samples/comparison.json").write_text(json.dumps(compared))
    asked = json.dumps([{"role": "user", "content": "Is 8 even?"}])
    answers = [
        filled(ROLLOUTS, iteration=k // 20, key=f"{k}", taskset="parity", question=asked, text=f"answer {k} {FORGED}")
        for k in range(60)
    ]
    write_table(root / "data/rollouts.parquet", answers, ROLLOUTS)
    rule = {"source": "§2.1", "k2": "yes", "unit": "nats", "direction": "below", "threshold": 0}
    rule |= {"size": "smoke", "seeds": 3}
    found = rule | {"told": "3 against 4", "value": -1.0, "low": -2.0, "high": -0.5}
    found |= {"rule_commit": "aaa111", "run_commit": "bbb222"}
    none = rule | dict.fromkeys(("value", "low", "high")) | {"told": "", "rule_commit": "ccc333", "run_commit": ""}
    verdicts = [
        found | {"name": "falls", "statement": f"it falls {FORGED}", "verdict": "reproduces", "note": ""},
        found | {"name": "late", "statement": "it stays", "verdict": "not settled", "note": "rule after the run"},
        none | {"name": "huge", "statement": "it scales", "verdict": "not tested here", "note": "a cluster"},
    ]
    ledger = "".join(f"{json.dumps({'record': 'verdict', **one})}\n" for one in verdicts)
    (root / "docs/experiments/ledger.jsonl").write_text(ledger)
    chart = {"title": "loss", "x": "step", "y": "nats", "series": [{"name": "a", "x": [0, 1], "y": [2, 1]}]}
    lines = [{"record": "settings"}, {"record": "chart", **chart}]
    (root / "docs/experiments/one.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return root
