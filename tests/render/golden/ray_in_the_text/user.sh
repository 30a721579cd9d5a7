if [ "$SKYPILOT_NODE_RANK" = 0 ]; then
  ray start --head --port=6379
  python train.py
else
  ray start --address "$(echo "$SKYPILOT_NODE_IPS" | head -n1):6379"
fi
