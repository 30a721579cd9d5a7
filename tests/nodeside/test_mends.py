"""Which texts are mended, how, and which are left alone."""

from __future__ import annotations

import pytest

from skyrig.launch import commands, mends, serving

RANK = {"PET_NODE_RANK": "SKYPILOT_NODE_RANK"}
MASTER = RANK | {"PET_MASTER_ADDR": "MASTER_ADDR", "PET_MASTER_PORT": "MASTER_PORT"}

IN_A_HERE_DOCUMENT = """\
cat > launch.sh << 'SH'
#!/usr/bin/env bash
set -euo pipefail
# It doesn't matter: "who" cares
IFS=',' read -ra HOSTS <<< "$(sky show ips --internal | tr '\\n' ',' | sed 's/,$//')"
NNODES=${#HOSTS[@]}
python -m torch.distributed.run \\
  --nproc_per_node ${GPUS_PER_NODE} \\
  --nnodes ${NNODES} \\
  --master_addr ${MASTER_ADDR} \\
  --master_port 29500 \\
  train.py --node_rank is the script's
SH
chmod +x launch.sh
./launch.sh
"""


@pytest.mark.parametrize(
    ("text", "env"),
    [
        (IN_A_HERE_DOCUMENT, RANK),
        ("torchrun --nnodes 2 --nproc_per_node=1 train.py", MASTER),
        ("torchrun --nnodes=$SKYPILOT_NUM_NODES train.py", MASTER),
        ("torchrun --nnodes=${N:-2} train.py", MASTER),
        ('torchrun --nnodes="$N" --master-addr="$M" train.py 2>&1 | tee log', RANK),
        ("source .venv/bin/activate && LOGLEVEL=INFO torchrun --nnodes $N train.py", MASTER),
        (".venv/bin/torchrun --nnodes 2 train.py", MASTER),
        ("uv run torchrun --nnodes 2 train.py", MASTER),
        ("nohup python3 -m torch.distributed.launch --nnodes 2 --use_env train.py &", MASTER),
        ("bash -c 'torchrun --nnodes 2 train.py'", MASTER),
        ('ARGS="--nnodes $N\n --master_addr $M"\ntorchrun $ARGS train.py', RANK),
        ("ARGS=(\n --nnodes $N\n --nproc-per-node 2\n)\ntorchrun ${ARGS[@]} train.py", MASTER),
        ("if [ -d data ]; then torchrun --nnodes 2 train.py; fi", MASTER),
        ("torchrun --nnodes 2 --node_rank $R a.py; torchrun --nnodes 2 b.py", MASTER),
        ("torchrun --standalone prepare.py\ntorchrun --nnodes 2 train.py", MASTER),
        # Said, or not to be said:
        ("torchrun --nnodes 2 --node_rank $SKYPILOT_NODE_RANK train.py", None),
        ("torchrun --nnodes=2 --node-rank=${SKYPILOT_NODE_RANK} train.py", None),
        ("torchrun --nnodes 2 --rdzv_backend c10d --rdzv-endpoint $M:29500 train.py", None),
        ("torchrun --nnodes 1:2 train.py", None),
        ('ARGS="--nnodes 2 --node_rank $R"\ntorchrun $ARGS train.py', None),
        ("export PET_NODE_RANK=$R\ntorchrun --nnodes 2 train.py", None),
        ("torchrun --nproc_per_node 4 train.py", None),
        ("torchrun --nnodes 1 train.py", None),
        ("python train.py --nnodes 2", None),
        ("echo torchrun --nnodes 2 train.py", None),
        ("# torchrun --nnodes 2 train.py", None),
        ("pip install torchrun --nnodes 2", None),
        ("", None),
    ],
)
def test_torchrun_learns_its_rank_where_nobody_says_it(text: str, env: dict[str, str] | None) -> None:
    assert [mend.env for mend in mends.of_run(text, 2)] == ([] if env is None else [env])
    assert mends.of_run(text, 1) == ()


@pytest.mark.parametrize("single", ["torchrun a.py", "torchrun --nnodes=1 a.py", "torchrun --nnodes 1:1 $MORE a.py"])
def test_a_rank_is_not_given_to_a_torchrun_of_one_node(single: str) -> None:
    (mend,) = mends.of_run(f"{single}\ntorchrun --nnodes 2 train.py", 2)
    assert mend.env == {}
    assert "--node-rank" in mend.note


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("deepspeed --num_nodes ${NNODES} --num_gpus ${GPUS_PER_NODE} train.py --deepspeed ds.json", True),
        ("deepspeed --hostfile=hosts train.py", True),
        ("deepspeed -H hosts train.py", True),
        ("cat > l.sh <<E\ndeepspeed --num_nodes 2 train.py\nE\nbash l.sh", True),
        ("if [ $SKYPILOT_NODE_RANK = 0 ]; then echo hi; fi\ndeepspeed --num_nodes 2 train.py", True),
        ("[ $SKYPILOT_NODE_RANK = 0 ] && echo hi\ndeepspeed --num_nodes 2 train.py --no_ssh", True),
        ("deepspeed train.py", False),
        ("deepspeed --num_gpus 2 train.py --num_nodes 2", False),
        ("deepspeed --num_nodes 1 train.py", False),
        ("deepspeed --num_nodes 2 --no_ssh --node_rank $R --hostfile h train.py", False),
        ("deepspeed --num_nodes 2 --launcher slurm train.py", False),
        ('if [ "$SKYPILOT_NODE_RANK" == "0" ]; then\n deepspeed --hostfile h train.py\nfi', False),
        ("if [ $RANK -gt 0 ]; then\n sleep infinity\nelse\n deepspeed --hostfile h train.py\nfi", False),
        ("[ $SKYPILOT_NODE_RANK = 0 ] && deepspeed --hostfile h train.py", False),
        ("if [[ $SKYPILOT_NODE_RANK != 0 ]]; then exit 0; fi\ndeepspeed --hostfile h train.py", False),
        ('case "$SKYPILOT_NODE_RANK" in\n 0) deepspeed --hostfile h train.py ;;\nesac', False),
        ("if (( SKYPILOT_NODE_RANK == 0 )); then deepspeed --hostfile h train.py; fi", False),
        ("pip install torch accelerate deepspeed --num_nodes 2", False),
        ("accelerate launch --use_deepspeed --num_machines 2 train.py", False),
    ],
)
def test_deepspeed_on_every_node_is_helped_and_on_one_left_alone(text: str, mended: bool) -> None:
    found = mends.of_run(text, 2)
    assert [sorted(mend.shims) for mend in found] == ([["deepspeed"]] if mended else [])
    assert mends.of_run(text, 1) == ()


def test_every_mend_says_so_in_one_line() -> None:
    text = "torchrun --nnodes 2 a.py; deepspeed --num_nodes 2 b.py; ray start --head"
    found = mends.of_run(text, 2)
    assert [mend.kind for mend in found] == ["torchrun", "deepspeed", "ray"]
    assert all(mend.note and "\n" not in mend.note for mend in found)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("cat > app.py << 'PY'\nprint('it')\nPY\nuvicorn app:app --host 0.0.0.0 --port 8000", [8000]),
        ("uvicorn app:app --host=0.0.0.0 --port=80", [80]),
        ("vllm serve some/model --port 8081 \\\n  --tensor-parallel-size $SKYPILOT_NUM_GPUS_PER_NODE", [8081]),
        ("python3 -u -m vllm.entrypoints.openai.api_server --host 0.0.0.0 --port 8001 &", [8001]),
        ("python -m sglang.launch_server --model-path m --host 0.0.0.0 --port 30000", [30000]),
        ("python3 -m http.server 8080", [8080]),
        ("cd site && exec python -m http.server --bind 0.0.0.0 8080 -d x", [8080]),
        ("gunicorn -w 4 -b 0.0.0.0:9000 app:app", [9000]),
        ("gunicorn --bind=0.0.0.0:9000 app:app", [9000]),
        ("flask run -h 0.0.0.0 -p 5000", [5000]),
        ("streamlit run app.py --server.port 8501", [8501]),
        ("vllm serve m --port 8000 & uvicorn a:a --host 0.0.0.0 --port 8100; vllm serve m --port 8000", [8000, 8100]),
        # Not plain, not a server, or nobody's business:
        ("vllm serve m --port $PORT", []),
        ("vllm serve m", []),
        ("uvicorn app:app --port 8000", []),
        ("uvicorn app:app --host 127.0.0.1 --port 8000", []),
        ("gunicorn -b localhost:9000 app:app", []),
        ("python -m http.server 8080 --bind 127.0.0.1", []),
        ("torchrun --master_port 8008 main.py", []),
        ("python main.py --port 8000", []),
        ("echo uvicorn app:app --host 0.0.0.0 --port 8000", []),
        ("vllm serve m --port 800000", []),
        ("pip install uvicorn vllm", []),
        ("uvicorn() { python serve.py; }; gunicorn", []),
    ],
)
def test_a_servers_port_is_seen(text: str, ports: list[int]) -> None:
    found = serving.ports(text)
    assert [each.port for each in found] == ports
    assert all(str(each.port) in each.note and "\n" not in each.note for each in found)


ODD = ["'", '"', "$(", "`", "${", "\\", "<<", "if", "fi", "esac", "((", "a'b", "\x00", "\udcff", ")", "$"]


@pytest.mark.parametrize("text", ODD)
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    for odd in (text, f"{text}\ntorchrun --nnodes 2 x.py", f"fi\nthen {text} {text}"):
        commands.read(odd)
        mends.of_run(odd, 2)
        serving.ports(odd)
