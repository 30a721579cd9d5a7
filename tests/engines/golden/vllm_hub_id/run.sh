# Rendered by Skyrig. Serves one model with vLLM.
environment=$HOME/sky_serve/vllm-0.32.0
if [ -e "$environment/whole" ]; then
  export PATH="$environment/bin:$PATH"
fi
port=${SKYRIG_SERVE_PORT:-8000}
model=Qwen/Qwen3-0.6B
export VLLM_NO_USAGE_STATS=1
exec vllm serve "$model" --served-model-name Qwen/Qwen3-0.6B --host 0.0.0.0 --port "$port" \
  --tensor-parallel-size 8
