"""The one door to a model."""

from dataclasses import replace
from pathlib import Path

from agents.chat.endpoint import EndpointClient, EndpointOptions
from agents.chat.losses import CountingClient, Losses
from agents.chat.protocol import ChatClient, ChatError
from agents.chat.redact import public, redact
from agents.chat.spec import is_endpoint, needs_model
from agents.chat.store import AnswerStore, CachedClient


def open_client(
    spec: str,
    *,
    store: Path | None = None,
    endpoint: EndpointOptions | None = None,
    tokenizer: Path | None = None,
    rows: int = 64,
    workers: int = 1,
) -> CountingClient:
    """The client that `spec` names, behind the answer store where one is given; its `losses` are counted.

    Args:
        spec: `embedded` (SmolLM2-135M-Instruct), a checkpoint folder (INT4 too), or an OpenAI-compatible endpoint as
            `http(s)://host/v1` or `http(s)://host/v1#model`.
        store: a SQLite file; what it holds is never asked again.
        endpoint: limits, budget, the share of failures that is borne, and the model of a URL that names none.
        tokenizer: for a checkpoint whose folder has none.
        rows: requests that a local model decodes together.
        workers: threads of the embedded teacher.

    Raises:
        ChatError: no such client, a URL without a model, a broken store.
        CheckpointError, ConfigError: a broken checkpoint folder.
    """
    options = endpoint or EndpointOptions()
    losses = Losses(options.max_failed_share)
    client: ChatClient
    if spec == "embedded":
        from agents.chat.embedded.client import EmbeddedClient

        client = EmbeddedClient(rows=rows, workers=workers)
    elif is_endpoint(spec):
        url, _, model = spec.partition("#")
        if needs_model(spec, options.model):
            raise ChatError(f"{public(url)}: an endpoint needs the name of its model")
        client = EndpointClient(url, replace(options, model=model or options.model))
    elif Path(spec).is_dir():
        from agents.chat.checkpoint import CheckpointClient

        client = CheckpointClient.open(Path(spec), tokenizer, rows=rows)
    else:
        raise ChatError(f"{redact(public(spec))!r}: neither 'embedded', nor a URL, nor a checkpoint folder")
    cached = client if store is None else CachedClient(client, AnswerStore(store))
    return CountingClient(cached, losses)
