"""Runs in an environment that has xllamacpp: `python drive_llama_cpp.py FILE < JSON` prints what came out, as JSON."""

import json
import sys
import urllib.request
from typing import Any

import xllamacpp

asked = json.load(sys.stdin)
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.n_threads_http = 1024, 1, 2
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it rounds to float16
params.yarn_beta_fast, params.yarn_beta_slow = asked["betas"]
params.use_jinja, params.warmup, params.fit_params = True, False, False
params.port = 0
server = xllamacpp.Server(params)


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{server.listening_address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        value: dict[str, Any] = json.load(answer)
    return value


def continued(prompt: list[int]) -> list[int]:
    body = {"prompt": prompt, "n_predict": asked["length"], "temperature": 0, "ignore_eos": True, "return_tokens": True}
    return list(post("/completion", body | {"cache_prompt": False})["tokens"])


told: dict[str, Any] = {"continued": [continued(prompt) for prompt in asked["prompts"]]}
for name, parse in (("ids", False), ("parsed", True)):
    told[name] = [
        post("/tokenize", {"content": text, "add_special": False, "parse_special": parse})["tokens"]
        for text in asked["texts"]
    ]
told["rendered"] = [post("/apply-template", chat)["prompt"] for chat in asked["chats"]]
if asked["chats"]:
    chat = post("/v1/chat/completions", asked["chats"][0] | {"temperature": 0, "max_tokens": asked["length"]})
    told["chat"] = {"finish": chat["choices"][0]["finish_reason"], "text": chat["choices"][0]["message"]["content"]}
print(json.dumps(told), flush=True)
