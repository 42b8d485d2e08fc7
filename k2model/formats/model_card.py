"""The card of a model: what made it, of which data under which licences, what it scored, what it can't do."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k2model.config import K2Config
from k2model.describe import count_parameters

NOTABLE = 0.15  # nats per token


@dataclass(frozen=True)
class DataSource:
    """Data that a stage learned from: its name, its licence, and how much of it."""

    name: str
    licence: str
    amount: str


@dataclass(frozen=True)
class StageRecord:
    """One stage of a model's making.

    start: what it went on from, in words. parameters: its section of params.yaml. metrics: what it measured, held-out
    text loss before and after (`text_loss_start`, `text_loss`, in nats per token) among them.
    """

    stage: str
    start: str
    parameters: Mapping[str, Any]
    data: Sequence[DataSource]
    metrics: Mapping[str, float] = field(default_factory=dict)


HEAD = """---
library_name: transformers
pipeline_tag: text-generation
license: other
license_name: licences-of-the-data-below
tags:
- kimi-k2
- mixture-of-experts
- tool-calling
---
"""

USE = """
## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
messages = [{"role": "user", "content": "What is the capital of France?"}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**inputs, max_new_tokens=64)
```

`k2 serve FOLDER` serves it with the OpenAI API, `k2 export gguf FOLDER` writes one file for llama.cpp, Ollama and LM
Studio. Text of a message that spells a special token becomes that token in transformers; `k2` keeps it text. For
training elsewhere the chat template marks with `{% generation %}` what is to be learned; `keep_last_reasoning` renders
the last answer with its reasoning.
"""


def model_card(config: K2Config, records: Sequence[StageRecord], *, int4: bool = False) -> str:
    """Markdown with Hugging Face's front matter; the same records give the same bytes."""
    counts = count_parameters(config.replace(quantization_config=None))
    last = records[-1].stage if records else "unknown"
    experts = f"{config.n_routed_experts} routed experts, {config.num_experts_per_tok} at a time"
    weights = "INT4 routed experts (compressed-tensors, groups of 32)" if int4 else "unquantized weights"
    lines = [
        f"# A K2 network after the stage `{last}`",
        "",
        f"{counts.total:,} parameters, {counts.active:,} of them for each token; {config.num_hidden_layers} layers, "
        f"{experts}, multi-head latent attention, in DeepSeek-V3's layout; {weights}; vocabulary "
        f"{config.vocab_size:,}, context {config.max_position_embeddings:,}.",
    ]
    made = [line for number, record in enumerate(records, 1) for line in _made(number, record)]
    made = made or ["", "This folder's origin is not recorded."]
    parts = [*lines, USE.rstrip("\n"), "", "## How it was made", *made]
    return HEAD + "\n".join([*parts, *_language(records), *_scores(records), *_limits(config, records)]) + "\n"


def _made(number: int, record: StageRecord) -> Iterator[str]:
    yield from ("", f"{number}. `{record.stage}`, from {record.start}", "")
    for source in record.data:
        yield f"   - {source.name}: {source.amount}; licence: {source.licence}"
    if record.data:
        yield ""
    parameters = json.dumps(record.parameters, indent=1, ensure_ascii=False, default=str).splitlines()
    yield from ("   <details><summary>parameters</summary>", "", "   ```json")
    yield from (f"   {line}" for line in parameters)
    yield from ("   ```", "", "   </details>")


def _language(records: Sequence[StageRecord]) -> Iterator[str]:
    measured = [record for record in records if "text_loss" in record.metrics]
    yield from ("", "## Language: loss on held-out documents", "")
    if not measured:
        yield "Not measured."
        return
    yield "| stage | before, nats per token | after | nats per byte after |"
    yield "|---|---:|---:|---:|"
    for record in measured:
        before = record.metrics.get("text_loss_start")
        after, per_byte = record.metrics["text_loss"], record.metrics.get("text_loss_per_byte")
        cells = ("" if loss is None else f"{loss:.4f}" for loss in (before, after, per_byte))
        yield f"| {record.stage} | {' | '.join(cells)} |"


def _scores(records: Sequence[StageRecord]) -> Iterator[str]:
    yield from ("", "## What each stage measured")
    for record in records:
        if not record.metrics:
            continue
        yield from ("", f"### {record.stage}", "", "| measure | value | 95 % interval |", "|---|---:|---:|")
        for key, value in sorted(record.metrics.items()):
            if key.endswith(("_ci_low", "_ci_high")):
                continue
            low, high = (record.metrics.get(f"{key}_ci_{end}") for end in ("low", "high"))
            interval = "" if low is None or high is None else f"{low:,.6g} to {high:,.6g}"
            yield f"| {key.replace('_', ' ')} | {value:,.6g} | {interval} |"


def _limits(config: K2Config, records: Sequence[StageRecord]) -> Iterator[str]:
    yield from ("", "## Limits", "")
    yield "- Nothing was measured but what stands above. No safety evaluation was made."
    yield f"- Its context ends at {config.max_position_embeddings:,} tokens; the parameters above say how long the"
    yield "  sequences were that it learned from."
    yield "- It learned text of the sources above and dialogs made by programs; facts that it states may be wrong."
    losses = [record.metrics["text_loss"] for record in records if "text_loss" in record.metrics]
    if losses and losses[-1] > min(losses) + NOTABLE:
        yield f"- Its loss on plain text is {losses[-1] - min(losses):.2f} nats above its lowest: language was lost."
