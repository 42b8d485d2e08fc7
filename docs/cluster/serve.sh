#!/bin/bash
# Servers for the teacher, rollouts and evaluation: `docs/cluster/serve.sh teacher-vllm`, on a node with 8 GPUs.
set -euo pipefail

case "${1:-}" in
teacher-vllm) # params.yaml: rephrase.teacher: http://HOST:8000/v1#teacher
  exec vllm serve "${MODEL:-moonshotai/Kimi-K2-Instruct}" --served-model-name teacher --tensor-parallel-size 8 \
    --enable-auto-tool-choice --tool-call-parser kimi_k2 --max-model-len 32768 --port 8000
  ;;
teacher-sglang)
  exec python -m sglang.launch_server --model-path "${MODEL:-moonshotai/Kimi-K2-Instruct}" \
    --served-model-name teacher --tp 8 --trust-remote-code --tool-call-parser kimi_k2 --host 0.0.0.0 --port 8000
  ;;
rollouts-ours) # params.yaml: rl.rollouts: {backend: server, url: http://HOST:8001}; takes each iteration's weights
  exec python -m k2model.serving.server models/sft --host 0.0.0.0 --port 8001
  ;;
rollouts-vllm) # params.yaml: rl.rollouts: {backend: server, url: http://HOST:8001}; the mode gives it a route for weights
  VLLM_SERVER_DEV_MODE=1 exec vllm serve models/sft --served-model-name policy --tensor-parallel-size 8 \
    --logprobs-mode processed_logprobs --host 0.0.0.0 --port 8001
  ;;
evaluate-vllm) # the INT4 checkpoint; then: k2 evaluate --target http://HOST:8002/v1 --model k2
  exec vllm serve models/qat --served-model-name k2 --tensor-parallel-size 8 --port 8002
  ;;
*)
  echo "usage: $0 teacher-vllm|teacher-sglang|rollouts-ours|rollouts-vllm|evaluate-vllm" >&2
  exit 2
  ;;
esac
