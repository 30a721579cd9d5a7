# Rendered by Skyrig. Serves one model with SGLang on 2 nodes.
environment=$HOME/sky_serve/sglang-0.5.10.post1
if [ -e "$environment/whole" ]; then
  export PATH="$environment/bin:$PATH"
fi
port=${SKYRIG_SERVE_PORT:-30000}
model=meta/m
exec python3 -u -m sglang.launch_server --model-path "$model" --served-model-name meta/m \
  --host 0.0.0.0 --port "$port" --enable-metrics --tp-size 16 \
  --nnodes 2 --node-rank "$SKYPILOT_NODE_RANK" --dist-init-addr "$MASTER_ADDR:$MASTER_PORT"
