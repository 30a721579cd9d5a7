# Rendered by Skyrig. Serves one model with vLLM on 2 nodes, which a Ray cluster of theirs holds together.
environment=$HOME/sky_serve/vllm-0.32.0
if [ -e "$environment/whole" ]; then
  export PATH="$environment/bin:$PATH"
fi
port=${SKYRIG_SERVE_PORT:-8000}
model=$HOME/sky_models/large
if [ ! -e "$model/config.json" ]; then
  echo "[skyrig] $model on this node is no model: it has no config.json" >&2
  exit 1
fi
export HF_HUB_OFFLINE=1 # the model lies here: nothing is asked of the hub
export VLLM_NO_USAGE_STATS=1
export VLLM_HOST_IP=$SKYRIG_NODE_ADDRESS RAY_USAGE_STATS_ENABLED=0
patience=600 # seconds until all nodes are there
start_ray() { # OPTIONS
  ray start --disable-usage-stats --node-ip-address="$SKYRIG_NODE_ADDRESS" --num-gpus=8 "$@"
}
if [ "$SKYPILOT_NODE_RANK" -ne 0 ]; then
  until (exec 3<>"/dev/tcp/$MASTER_ADDR/$MASTER_PORT") 2>/dev/null; do
    if [ "$SECONDS" -gt "$patience" ]; then
      echo "[skyrig] the first node's Ray does not answer at $MASTER_ADDR:$MASTER_PORT" >&2
      exit 1
    fi
    sleep 1
  done
  start_ray --block --address="$MASTER_ADDR:$MASTER_PORT"
  exit # with Ray's own code: the first node has ended it
fi
start_ray --head --port="$MASTER_PORT" --include-dashboard=false || exit
export RAY_ADDRESS=$SKYRIG_NODE_ADDRESS:$MASTER_PORT
nodes() {
  python3 -c 'import ray; ray.init(logging_level="error"); print(sum(node["Alive"] for node in ray.nodes()))' 2>/dev/null
}
until [ "$(nodes)" = 2 ]; do
  if [ "$SECONDS" -gt "$patience" ]; then
    echo "[skyrig] not all 2 nodes have joined Ray" >&2
    exit 1
  fi
  sleep 1
done
exec vllm serve "$model" --served-model-name '~/sky_models/large' --host 0.0.0.0 --port "$port" \
  --tensor-parallel-size 8 \
  --pipeline-parallel-size 2 --distributed-executor-backend ray \
  --max-model-len \
  4096 \
  '--x=$(id)'
