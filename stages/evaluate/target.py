"""Whatever can be evaluated, as a chat client: our checkpoints (INT4 too), an endpoint, the embedded teacher."""

from collections.abc import Callable
from pathlib import Path

from agents.chat.checkpoint import CheckpointClient
from agents.chat.endpoint import EndpointOptions
from agents.chat.open import open_client
from agents.chat.protocol import ChatClient, ChatError, ChatRequest
from agents.chat.store import AnswerStore, CachedClient
from k2model.chat.messages import encode_prompt
from k2model.chat.tokenizer import load_tokenizer
from k2model.formats.checkpoint import load_config
from k2model.formats.int4_checkpoint import load_int4_checkpoint
from stages.harness.files import sha256_tree


def open_target(
    spec: str,
    *,
    store: Path,
    endpoint: EndpointOptions | None = None,
    tokenizer: Path | None = None,
    rows: int = 32,
) -> ChatClient:
    """The client that `spec` names, behind the answer store.

    Raises:
        ChatError: no such client, a URL without the name of its model.
        CheckpointError, ConfigError: a broken checkpoint folder.
    """
    folder = Path(spec)
    if spec == "embedded" or not folder.is_dir():
        return open_client(spec, store=store, endpoint=endpoint, rows=rows)
    if not (folder / "config.json").exists():
        raise ChatError(f"{spec}: no config.json, so no checkpoint")
    if load_config(folder).quantization_config is None:
        return open_client(spec, store=store, tokenizer=tokenizer, rows=rows)
    network = load_int4_checkpoint(folder).eval()
    names = load_tokenizer(tokenizer or folder)
    client = CheckpointClient(network, names, model=f"k2-int4@{sha256_tree([folder])[:16]}", rows=rows)
    return CachedClient(client, AnswerStore(store))


def fits_of(client: ChatClient) -> Callable[[ChatRequest], bool]:
    """Whether a request fits the context, for a client that knows its own; any other answers what it is asked."""
    inner = getattr(client, "client", client)
    network, tokenizer = getattr(inner, "network", None), getattr(inner, "tokenizer", None)
    if network is None or tokenizer is None:
        return lambda request: True
    limit = network.config.max_position_embeddings

    def fits(request: ChatRequest) -> bool:
        length = len(encode_prompt(tokenizer, request.messages, request.tools or None))
        return length + request.max_tokens <= limit

    return fits
