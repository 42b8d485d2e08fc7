"""`k2 export gguf FOLDER`: a model folder in a format of other programs."""

import argparse
import sys
from pathlib import Path

from k2model.errors import CheckpointError, ConfigError, NotFiniteError
from k2model.formats.gguf_export import DTYPES, export_gguf

MAGIC = b"GGUF"


def _check_place(out: Path) -> None:
    """Raises ConfigError where a file of another kind, a model's weights say, would be written over."""
    if out.is_dir():
        raise ConfigError(f"--out: {out} is a folder")
    if out.exists():
        with out.open("rb") as handle:
            if handle.read(len(MAGIC)) != MAGIC:
                raise ConfigError(f"--out: {out} is there and no GGUF file")


def main() -> int:
    parser = argparse.ArgumentParser(prog="k2 export", description="A model folder in a format of other programs.")
    formats = parser.add_subparsers(dest="format", required=True, metavar="FORMAT")
    one_file = formats.add_parser("gguf", help="one file for llama.cpp, Ollama and LM Studio")
    one_file.add_argument("folder", type=Path, help="with weights, config, tokenizer and chat template")
    one_file.add_argument("--out", type=Path, help="the file to write (FOLDER.gguf beside the folder)")
    one_file.add_argument("--dtype", choices=DTYPES, help="of the matrices (as in the folder; q4_0 experts of INT4)")
    one_file.add_argument("--tokenizer", type=Path, help="a folder of tokenizer and template (FOLDER)")
    args = parser.parse_args()
    folder = args.folder.resolve()
    out = args.out or folder.parent / f"{folder.name}.gguf"
    try:
        _check_place(out)
        done = export_gguf(args.folder, out, dtype=args.dtype, tokenizer=args.tokenizer)
    except (CheckpointError, ConfigError, NotFiniteError) as error:
        print(f"k2 export: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"k2 export: {error.filename or out}: {error.strerror or error}", file=sys.stderr)
        return 2
    for note in done.notes:
        print(f"{out}: {note}")
    size = out.stat().st_size / 1e6
    print(f"{out}: {done.tensors} tensors as {done.dtype}, splitter {done.splitter}, {size:,.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
