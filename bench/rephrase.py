"""The teacher's throughput, as ratios in one process.

python -m bench.rephrase teacher      embedded, in batches, against transformers' generate, one by one
python -m bench.rephrase endpoint     500 requests in flight against a server that answers after a fixed time
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import psutil
import torch

from agents.chat.embedded.teacher import teacher_file
from agents.chat.endpoint import EndpointOptions
from agents.chat.open import open_client
from agents.chat.protocol import ChatAnswer, ChatRequest, ChatResponse
from agents.rephrase.styles import PERSPECTIVES, STYLES, ask, shots

PASSAGES = (
    "The Danube is the second-longest river in Europe, after the Volga.",
    "San Juan was founded by Spanish colonists in 1521, who called it Ciudad de Puerto Rico.",
    "A honey bee colony has a single queen, several hundred drones and up to 60,000 workers.",
    "Photosynthesis takes place in chloroplasts, which contain the green pigment chlorophyll.",
)


def requests(n: int, max_tokens: int = 40) -> list[ChatRequest]:
    shared = shots(STYLES["paraphrase"])
    return [
        ChatRequest(
            (
                *shared,
                {"role": "user", "content": ask(PERSPECTIVES["teacher"], f"Text {i}", PASSAGES[i % len(PASSAGES)])},
            ),
            max_tokens=max_tokens,
            temperature=0.7,
            seed=i,
            shared=len(shared),
        )
        for i in range(n)
    ]


def one_by_one(model: Any, tokenizer: Any, some: list[ChatRequest]) -> float:
    """Tokens per second of `generate`, a request at a time, with the same sampling."""
    made = 0
    started = time.perf_counter()
    for request in some:
        text = tokenizer.apply_chat_template(list(request.messages), tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            out = model.generate(
                ids,
                max_new_tokens=request.max_tokens,
                do_sample=True,
                temperature=request.temperature,
                top_k=64,
                pad_token_id=tokenizer.eos_token_id,
                attention_mask=torch.ones_like(ids),
            )
        made += out.shape[1] - ids.shape[1]
    return made / (time.perf_counter() - started)


def teacher(threads: int, rounds: int, batch: int) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(threads)
    path = teacher_file()
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.bfloat16).eval()
    client = open_client("embedded", workers=threads)
    one_by_one(model, tokenizer, requests(1, 4))
    client.complete(requests(4, 4))
    ours, peer = [], []
    for _ in range(rounds):
        peer.append(one_by_one(model, tokenizer, requests(2)))
        started = time.perf_counter()
        torch.set_num_threads(1)
        answers = client.complete(requests(batch))
        torch.set_num_threads(threads)
        written = sum(answer.completion_tokens for answer in answers if isinstance(answer, ChatResponse))
        ours.append(written / (time.perf_counter() - started))
        print(f"embedded {ours[-1]:,.0f} tokens/s, generate one by one {peer[-1]:,.1f} tokens/s", flush=True)
    ratios = [a / b for a, b in zip(ours, peer, strict=True)]
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"{threads} threads, batch {batch}: {middle:.1f}× (from {low:.1f}× to {high:.1f}×)")


def endpoint(n: int, concurrency: int, delay_s: float) -> None:
    command = [sys.executable, "-m", "bench.mock_endpoint", str(delay_s)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        client = open_client(f"{url}#mock", endpoint=EndpointOptions(concurrency=concurrency, key_variable=""))
        plain = [ChatRequest(({"role": "user", "content": f"request {i}"},), max_tokens=16) for i in range(n)]
        client.complete(plain[:concurrency])
        process = psutil.Process(os.getpid())
        memory: list[float] = []

        def note(index: int, answer: ChatAnswer) -> None:
            if index % concurrency == 0:
                memory.append(process.memory_info().rss / 2**20)

        started = time.perf_counter()
        client.complete(plain, note)
        took = time.perf_counter() - started
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
    ideal = -(-n // concurrency) * delay_s
    third = max(1, len(memory) // 3)
    print(
        f"{n:,} requests, {concurrency} in flight, {delay_s} s each: {took:.2f} s, ideal {ideal:.2f} s, "
        f"{ideal / took:.1%} of ideal; memory {statistics.mean(memory[:third]):.0f} MiB in the first third, "
        f"{statistics.mean(memory[-third:]):.0f} MiB in the last"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["teacher", "endpoint"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--concurrency", type=int, default=500)
    parser.add_argument("--delay", type=float, default=10.0)
    args = parser.parse_args()
    if args.what == "teacher":
        teacher(args.threads, args.rounds, args.batch)
    else:
        endpoint(args.requests, args.concurrency, args.delay)


if __name__ == "__main__":
    main()
