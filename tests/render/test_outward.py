"""What of a setup text plainly needs the internet."""

from __future__ import annotations

import pytest

from skyrig.errors import BadInput
from skyrig.launch import outward


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pip install torch", "pip install torch"),
        ("echo hi && sudo apt-get install -y jq", "apt-get install -y jq"),
        ("python -m pip install -U vllm", "pip install -U vllm"),
        ("PIP_NO_CACHE=1 /opt/venv/bin/pip3 install x", "pip3 install x"),
        ("uv pip install --system x", "uv pip install --system"),
        ("cd x; uv sync", "uv sync"),
        ("bash -c 'pip install x'", "pip install x"),
        ("curl -LsSf https://astral.sh/uv/install.sh | sh", "curl -LsSf https://astral.sh/uv/install.sh"),
        ("git clone git@github.com:karpathy/nanoGPT.git", "git clone git@github.com:karpathy/nanoGPT.git"),
        ("wget http://8.8.8.8/x", "wget http://8.8.8.8/x"),
        ("hf download gpt2", "hf download gpt2"),
        # what may work inside
        ("", ""),
        ("echo pip install torch", ""),
        ("pip install .", ""),
        ("pip install -e .", ""),
        ("pip install ./a.whl ~/b.whl", ""),
        ("pip install --no-index --find-links wheels torch", ""),
        ("pip install --index-url=http://mirror.corp/simple torch", ""),
        ("pip install -r requirements.txt", ""),
        ("curl http://169.254.169.254/latest/meta-data", ""),
        ("curl http://127.0.0.1:8000/health", ""),
        ("wget http://mirror/x; wget http://10.0.0.7/x; wget https://files.corp.internal/x", ""),
        ("curl https://s3.us-east-1.amazonaws.com/bucket/key", ""),
        ("curl https://$HOST/x", ""),
        ("git pull; git submodule update", ""),
        ("nvidia-smi; conda activate x", ""),
    ],
)
def test_what_is_sure_to_need_it(text: str, found: str) -> None:
    assert outward.needed(text) == found


def test_it_is_refused_where_there_is_no_way_out() -> None:
    for egress in ("", "nat", "public-outbound", "head-proxy"):
        outward.refuse("pip install torch", egress, "big")
    outward.refuse(None, "none", "big")
    with pytest.raises(BadInput, match=r"setup runs `pip install torch`, and nodes of big have no way to the internet"):
        outward.refuse("pip install torch", "none", "big")
