"""`python -m stages.base`: what training starts from, a K2 network that knows something, or one that knows nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from k2model.chat.seats import seat_special_tokens
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer, read_vocabulary
from k2model.config import K2Config
from k2model.describe import count_parameters
from k2model.formats.checkpoint import load_config
from k2model.formats.dense import DenseModel
from k2model.formats.model_card import StageRecord
from k2model.formats.model_folder import save_model_folder, save_reference_folder
from k2model.formats.upcycle.attention import AttentionSizes
from k2model.formats.upcycle.calibrate import calibrate
from k2model.formats.upcycle.convert import UpcycleSizes, convert
from k2model.formats.upcycle.experts import ExpertSizes
from k2model.model import K2Model
from stages.base.healing import heal
from stages.base.new_tokens import fit_head, seat_rows
from stages.base.params import UpcycleParams
from stages.base.published import load_published, stays, stored_type
from stages.base.text import rows_of_text
from stages.harness.arguments import no_arguments
from stages.harness.base_model import Source, find_source, open_dense
from stages.harness.errors import InputError
from stages.harness.section import Section, load_section
from stages.harness.stage import Stage
from stages.measure.record import corpus_sources
from stages.measure.text_loss import HeldText, compare
from stages.tracking.runs import Track

CORPUS_PATH = Path("data/corpus.parquet")
TOKENIZER = Path("data/tokenizer")
OUT = Path("models/base")
FIT_LENGTH = 256
FIT_TEXT = 2048  # tokens of text on which rows of the head are fitted, beside conversations


class BaseParams(Section):
    """The stage reads `base`, which is no section, and `upcycle` when it converts."""


BaseStage = Stage[BaseParams]


def scratch(stage: BaseStage, source: Source, tokenizer: K2Tokenizer) -> tuple[K2Model, dict[str, float]]:
    """A random network of the preset `model`."""
    config = K2Config.preset(stage.common.model, vocab_size=tokenizer.vocab_size, **tokenizer.config_ids)
    model = K2Model(config, seed=stage.seed("model"))
    return model, HeldText(stage.common.seed)(model, tokenizer).metrics()


def upcycled(stage: BaseStage, source: Source, tokenizer: K2Tokenizer) -> tuple[K2Model, dict[str, float]]:
    """A dense network converted, its new tokens seated, healed from the original."""
    u = load_section("upcycle", UpcycleParams)
    h = u.healing
    dense, own = open_dense(source)
    new = _new_tokens(stage, own, tokenizer)
    dense = DenseModel(dense.config, seat_rows(dense.weights, own, tokenizer, new))
    components = min(u.components, dense.config.kv_heads)  # with one for each key head nothing is missed
    attention, experts = AttentionSizes(u.latent, components, u.spare), ExpertSizes(u.slices, u.copies, u.shared)
    sizes = UpcycleSizes(attention, experts, u.first_dense, len(dense.weights.embed))
    held = HeldText(stage.common.seed)
    original = held.of(dense, tokenizer, dense.config.context)

    wanted = [u.calibration_tokens, h.tokens, FIT_TEXT]
    batches = _batches(tokenizer, wanted, h.sequence_length, h.rows, stage.rng("text"))
    with stage.progress(u.calibration_tokens + h.tokens, "token") as progress:
        statistics = calibrate(dense, batches[0])
        progress.update(wanted[0], "")
        model = convert(dense, statistics, sizes, seed=stage.seed("model"))
        converted = held(model, tokenizer)
        heal(dense, model, batches[1], h.lr, progress.update)
    healed = held(model, tokenizer).metrics()["text_loss"]
    metrics = _fit(stage, model, tokenizer, new, batches[2])
    metrics |= {"text_loss_converted": converted.metrics()["text_loss"], "text_loss_healed": healed}
    metrics |= compare(original, held(model, tokenizer), stage.common.seed)
    model.config = model.config.replace(**tokenizer.config_ids)
    return model, metrics


def published(stage: BaseStage, source: Source, tokenizer: K2Tokenizer) -> tuple[K2Model, dict[str, float]]:
    """A network of K2's layout as it is, but for the rows of new tokens."""
    assert source.path is not None
    own = read_vocabulary(source.path)
    new = _new_tokens(stage, own, tokenizer)
    model = load_published(source.path, own, tokenizer, new)
    length = min(FIT_LENGTH, model.config.max_position_embeddings)
    (text,) = _batches(tokenizer, [FIT_TEXT if new else 0], length, 1, stage.rng("text"))
    metrics = _fit(stage, model, tokenizer, new, text)
    return model, metrics | HeldText(stage.common.seed)(model, tokenizer).metrics()


def _new_tokens(stage: BaseStage, own: Tokenizer, tokenizer: K2Tokenizer) -> dict[str, int]:
    """The tokens of the tokenizer stage's vocabulary that the base doesn't know."""
    seated, new = seat_special_tokens(own)
    if seated.vocab_size != tokenizer.vocab_size or seated.special != tokenizer.special:
        raise InputError(f"{TOKENIZER}: not the vocabulary of base {stage.common.base}; run the stage tokenizer again")
    return new


def _fit(
    stage: BaseStage, model: K2Model, tokenizer: K2Tokenizer, new: Mapping[str, int], text: Sequence[Tensor]
) -> dict[str, float]:
    """Fits the head's rows of new tokens, where there are any; says how that went."""
    if not new:
        return {"new_tokens": 0}
    before, after = fit_head(model, tokenizer, new, text, stage.seed32("conversations"))
    return {"new_tokens": len(new), "fit_loss_start": before, "fit_loss": after}


def _batches(
    tokenizer: K2Tokenizer, wanted: Sequence[int], length: int, rows: int, rng: np.random.Generator
) -> list[list[Tensor]]:
    """Different text of the corpus for each purpose, in batches of `rows` rows of `length` tokens."""
    text = rows_of_text(CORPUS_PATH, tokenizer, length, rng)
    return [[torch.stack([next(text) for _ in range(rows)]) for _ in range(-(-n // (rows * length)))] for n in wanted]


def main() -> None:
    with Stage("base", BaseParams, Track, system_metrics=True) as stage:
        torch.set_num_threads(stage.common.threads)
        source = find_source(stage.common.base)
        tokenizer = load_tokenizer(TOKENIZER)
        if source.kind == "k2" and source.path is not None and stays(source.path):
            return _refer(stage, source.path, tokenizer)
        make = {"scratch": scratch, "k2": published}.get(source.kind, upcycled)
        model, metrics = make(stage, source, tokenizer)
        metrics["parameters"] = sum(param.numel() for param in model.parameters())
        data = corpus_sources() if make is upcycled else []
        record = StageRecord("base", f"`{stage.common.base}`", stage.shown, data, metrics)
        dtype = stored_type(source.path) if source.kind == "k2" and source.path is not None else None
        save_model_folder(model, OUT, tokenizer, [record], dtype=dtype)
        stage.finish(_line(stage.common.base, metrics), metrics)


def _refer(stage: BaseStage, folder: Path, tokenizer: K2Tokenizer) -> None:
    """A model folder whose weights stay where they are."""
    _new_tokens(stage, read_vocabulary(folder), tokenizer)
    metrics = {"parameters": count_parameters(load_config(folder)).total}
    record = StageRecord("base", f"`{stage.common.base}`", stage.shown, [], metrics)
    save_reference_folder(folder, OUT, tokenizer, [record])
    stage.finish(f"{stage.common.base}: {metrics['parameters']:,} parameters, which stay where they are", metrics)


def _line(name: str, metrics: dict[str, float]) -> str:
    text = f"{name}: {metrics['parameters']:,} parameters, {metrics['text_loss']:.3f} nats per token of held-out text"
    if "text_loss_converted" in metrics:
        text += f" ({metrics['text_loss_start']:.3f} before the conversion, {metrics['text_loss_converted']:.3f} after)"
    return text


if __name__ == "__main__":
    no_arguments("base")
    main()
