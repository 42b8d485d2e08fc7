"""Generation end to end: an INT4 checkpoint against the same network in bfloat16, through our engine.

    python -m bench.int4_decode                     speed, file and memory of the preset `decode`
    python -m bench.int4_decode --preset moonlight-16b --layers 3 --rows 1 2 4 8 16 32
                                                    of another one's first layers, with its head
    python -m bench.int4_decode --quality models/pretrain
                                                    greedy agreement and KL per token of a checkpoint's INT4 export

The bfloat16 peer is our own best: every linear and the fused experts run on the same kernels
(`k2model.inference.decode`). Both engines take turns of eight tokens; the ratio is of the 5th percentile over turns.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from k2model.config import K2Config
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.formats.int4_checkpoint import load_any, save_int4_checkpoint
from k2model.formats.quant import sizes, to_bfloat16
from k2model.inference.decode import prepare
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model
from k2model.training.token_shards import TokenStream
from kernels.processor import fast_dtype

TURN = 8
PROMPT = 32


def load(path: Path, kind: str) -> K2Model:
    """`int4`, `int4-a8`, `int4-a8-d8` (dense parts in 8 bits too), `bf16` (best) or `plain` (torch's products)."""
    if kind.startswith("int4"):
        return load_any(path, dense_bits=8 if "-d8" in kind else 16, activation_bits=8 if "-a8" in kind else 16)
    model = load_checkpoint(path).eval()
    return prepare(model) if kind == "bf16" else model


def engine(model: K2Model, rows: int, tokens: int) -> Engine:
    """An engine whose rows have read their prompts."""
    made = Engine(model, max_batch=rows, max_length=PROMPT + tokens + 2)
    generator = torch.Generator().manual_seed(1)
    for _ in range(rows):
        prompt = torch.randint(0, model.config.vocab_size, (PROMPT,), generator=generator).tolist()
        made.submit(Request(prompt, tokens + 1, temperature=0.0))
    made.step()
    return made


def speed(folder: Path, rows: int, turns: int, threads: int) -> None:
    clock = time.thread_time if threads == 1 else time.perf_counter
    kinds = {"int4": "int4", "int4-a8": "int4", "int4-a8-d8": "int4", "bf16": "bf16", "plain": "bf16"}
    engines = {kind: engine(load(folder / path, kind), rows, (turns + 1) * TURN) for kind, path in kinds.items()}
    times: dict[str, list[float]] = {kind: [] for kind in engines}
    for _ in range(turns):
        for kind, decoder in engines.items():
            decoder.step()
            started = clock()
            for _ in range(TURN - 1):
                decoder.step()
            times[kind].append((clock() - started) / (TURN - 1))
    timings = {kind: float(np.percentile(samples, 5)) for kind, samples in times.items()}
    print(f"\n{rows} rows, {threads} threads: milliseconds per step")
    for kind, seconds in timings.items():
        print(
            f"  {kind:10s} {1e3 * seconds:8.2f} ms  {rows / seconds:8.1f} tokens/s"
            f"  {timings['bf16'] / seconds:5.2f} times as fast as bf16"
        )


def memory(folder: Path, kind: str) -> float:
    """Peak resident megabytes of a process that loads a checkpoint and decodes, above one that only imports."""
    megabytes = []
    for argument in ("nothing", kind):
        command = [sys.executable, "-m", "bench.int4_decode", "--resident", argument, "--folder", str(folder)]
        megabytes.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]))
    return megabytes[1] - megabytes[0]


def resident(folder: Path, kind: str) -> None:
    if kind != "nothing":
        decoder = engine(load(folder / kind, kind), 1, 4)
        for _ in range(4):
            decoder.step()
        now = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{kind}: {int(now.split()[1]) / 1024:.0f} MB resident, peak {peak:.0f} MB")
    now = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    print(int(now.split()[1]) / 1024)


def make(folder: Path, config: K2Config) -> None:
    model = to_bfloat16(K2Model(config, seed=0))
    save_checkpoint(model, folder / "bf16")
    save_int4_checkpoint(model, folder / "int4")


def file_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.glob("*.safetensors"))


def quality(reference: Path, tokens: int) -> None:
    """On held-out text, a bfloat16 checkpoint against its own INT4 export, and the export against how it is computed.

    KL per token, agreement of the most likely token, and of greedy continuations position by position.
    """
    stream = TokenStream(Path("data/tokens"), "validation", None)
    batch = stream.batch(0, max(1, tokens // 128), 128)
    before = to_bfloat16(load_checkpoint(reference)).eval()
    with tempfile.TemporaryDirectory() as name:
        save_int4_checkpoint(before, Path(name) / "int4")
        exact = load_checkpoint(Path(name) / "int4", dtype=fast_dtype()).eval()
        runtime = {kind: load(Path(name) / "int4", kind) for kind in ("int4", "int4-a8", "int4-a8-d8")}
    pairs = [
        ("bf16 -> INT4, W4A16", before, runtime["int4"]),
        ("bf16 -> INT4, W4A8", before, runtime["int4-a8"]),
        ("bf16 -> INT4, W4A8, dense 8", before, runtime["int4-a8-d8"]),
        ("INT4 in torch -> W4A16", exact, runtime["int4"]),
        ("INT4 in torch -> W4A8", exact, runtime["int4-a8"]),
    ]
    prompts = [row[:PROMPT].tolist() for row in batch.tokens_BL[:16]]
    requests = [Request(prompt, 32, 0.0) for prompt in prompts]
    for name, baseline, candidate in pairs:
        with torch.no_grad():
            log_p, log_q = (F.log_softmax(m(batch.tokens_BL).logits_BLV.float(), -1) for m in (baseline, candidate))
        kl = (log_p.exp() * (log_p - log_q)).sum(-1)
        same = (log_p.argmax(-1) == log_q.argmax(-1)).float().mean()
        outputs = [Engine(m, max_batch=16, max_length=PROMPT + 33).generate(requests) for m in (baseline, candidate)]
        agree = np.mean([a == b for x, y in zip(*outputs, strict=True) for a, b in zip(x.ids, y.ids, strict=True)])
        print(f"{name:28s} KL {kl.mean():.2e} nats/token (max {kl.max():.2e}), top-1 {same:.2%}, greedy {agree:.2%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--preset", default="decode")
    parser.add_argument("--layers", type=int, help="the first so many of the preset's")
    parser.add_argument("--quality", type=Path, metavar="BF16")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--resident", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.resident:
        return resident(args.folder, args.resident)
    if args.quality:
        return quality(args.quality, args.tokens)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = K2Config.preset(args.preset, **({"num_hidden_layers": args.layers} if args.layers else {}))
        make(folder, config)
        computed = sizes(config)
        print(
            f"routed experts are {computed.routed_share:.1%} of the active bytes; "
            f"ceiling {computed.decode_ceiling:.2f}x, with dense parts in 8 bits {computed.dense8_ceiling:.2f}x"
        )
        files = {kind: file_bytes(folder / kind) for kind in ("int4", "bf16")}
        used = {kind: memory(folder, kind) for kind in ("int4", "bf16")}
        for what, megabytes in (("file", {k: v / 2**20 for k, v in files.items()}), ("resident", used)):
            ratio = megabytes["int4"] / megabytes["bf16"]
            print(f"{what:9s} int4 {megabytes['int4']:.0f} MB, bf16 {megabytes['bf16']:.0f} MB: {ratio:.2f}x")
        for rows in args.rows:
            speed(folder, rows, args.turns, args.threads)


if __name__ == "__main__":
    main()
