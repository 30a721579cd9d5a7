"""The run of mingpt.yaml as a Python program: `SKYRIG_INFRA=local python launch.py` runs it on this machine."""

import os
import sys

import skyrig as sky

task = sky.Task(
    name="mingpt",
    workdir=".",
    num_nodes=2,
    envs={"STEPS": os.environ.get("STEPS", "400")},
    resources=sky.Resources(accelerators=os.environ.get("GPUS")),  # L4:4, A100:8, H100:8
    setup='python3 -c "import torch" 2>/dev/null || pip install "torch>=2.4" numpy safetensors',
    run=[
        'if [ "$SKYPILOT_NUM_GPUS_PER_NODE" -gt 0 ]; then processes=$SKYPILOT_NUM_GPUS_PER_NODE; else processes=1; fi',
        'python3 -m torch.distributed.run --nnodes "$SKYPILOT_NUM_NODES" --node-rank "$SKYPILOT_NODE_RANK" \\',
        '  --nproc-per-node "$processes" --master-addr "$(echo "$SKYPILOT_NODE_IPS" | head -n1)" \\',
        '  --master-port "${MASTER_PORT:-29500}" train.py --steps "$STEPS"',
    ],
)

launched = sky.launch(task, cluster_name="mingpt")
job, _ = sky.stream_and_get(launched)
sys.exit(sky.tail_logs("mingpt", job, follow=True))
