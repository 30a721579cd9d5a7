# Rendered by Skyrig. Serves one model with the server of Hugging Face's Transformers.
environment=$HOME/sky_serve/transformers-5.23.0
if [ -e "$environment/whole" ]; then
  export PATH="$environment/bin:$PATH"
fi
port=${SKYRIG_SERVE_PORT:-8000}
model=$HOME/sky_serve/models/mine
if [ ! -e "$model/config.json" ]; then
  echo "[skyrig] $model on this node is no model: it has no config.json" >&2
  exit 1
fi
export HF_HUB_OFFLINE=1 # the model lies here: nothing is asked of the hub
exec python3 -u ~/sky_serve/transformers_server.py --model "$model" --name mine --host 0.0.0.0 --port "$port"
