# Rendered by Skyrig. Serves one model with SGLang.
environment=$HOME/sky_serve/sglang-0.5.10.post1
if [ -e "$environment/whole" ]; then
  export PATH="$environment/bin:$PATH"
fi
port=${SKYRIG_SERVE_PORT:-30000}
model=/data/m
if [ ! -e "$model/config.json" ]; then
  echo "[skyrig] $model on this node is no model: it has no config.json" >&2
  exit 1
fi
export HF_HUB_OFFLINE=1 # the model lies here: nothing is asked of the hub
exec python3 -u -m sglang.launch_server --model-path "$model" --served-model-name /data/m \
  --host 0.0.0.0 --port "$port" --enable-metrics --tp-size 1
