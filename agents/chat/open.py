"""One call that opens any chat client."""

from pathlib import Path

from agents.chat.endpoint import EndpointClient, EndpointOptions
from agents.chat.protocol import ChatClient, ChatError
from agents.chat.store import AnswerStore, CachedClient


def open_client(
    spec: str,
    *,
    store: Path | None = None,
    endpoint: EndpointOptions | None = None,
    tokenizer: Path | None = None,
    rows: int = 64,
    workers: int = 1,
) -> ChatClient:
    """The client that `spec` names, behind the answer store where one is given.

    Args:
        spec: `embedded` (SmolLM2-135M-Instruct), `http(s)://host/v1` (OpenAI-compatible) or a checkpoint folder.
        store: a SQLite file; what it holds is never asked again.
        endpoint: needed for a URL: the model's name, limits, budget.
        tokenizer: for a checkpoint whose folder has none.
        rows: requests that a local model decodes together.
        workers: threads of the embedded teacher.

    Raises:
        ChatError: no such client, a URL without options, a broken store.
        CheckpointError, ConfigError: a broken checkpoint folder.
    """
    client: ChatClient
    if spec == "embedded":
        from agents.chat.embedded.client import EmbeddedClient

        client = EmbeddedClient(rows=rows, workers=workers)
    elif spec.startswith(("http://", "https://")):
        if endpoint is None:
            raise ChatError(f"{spec}: an endpoint needs the name of its model")
        client = EndpointClient(spec, endpoint)
    elif Path(spec).is_dir():
        from agents.chat.checkpoint import CheckpointClient

        client = CheckpointClient.open(Path(spec), tokenizer, rows=rows)
    else:
        raise ChatError(f"{spec!r}: neither 'embedded', nor a URL, nor a checkpoint folder")
    return client if store is None else CachedClient(client, AnswerStore(store))
