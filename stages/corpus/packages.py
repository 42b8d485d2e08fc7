"""Text inside installed Python packages, read as data: the packages are never imported."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from stages.harness.errors import InputError


def package_files(package: str, suffix: str) -> list[Path]:
    """Files of an installed distribution whose name ends with `suffix`, sorted.

    Raises:
        InputError: the package is not installed or has no such file.
    """
    try:
        listed = files(package) or []
    except PackageNotFoundError:
        raise InputError(f"corpus.sources: the package {package} is not installed (make setup)") from None
    paths = sorted(Path(str(entry.locate())) for entry in listed if str(entry).endswith(suffix))
    if not paths:
        raise InputError(f"corpus.sources: the package {package} has no file {suffix}")
    return paths
