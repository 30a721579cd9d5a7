"""The numbers that rig goes by, each with where it comes from.

Sizes were measured on 2026-11-21 on Linux x86_64 with Python 3.11: downloads as pip printed them, folders by `du`.
macOS gets a torch without CUDA libraries, so its numbers are smaller and only estimated.
"""

import sys
from dataclasses import dataclass

MB = 1_000_000

ENGINE = "3.258.0"
"""Pulumi's engine and Python SDK: the newest that can be built from Go modules."""

OLDEST_PYTHON = "3.11"


@dataclass(frozen=True)
class PackageSet:
    """One file of requirements/: what it is for, and what it costs."""

    what: str
    download_mb: int
    disk_mb: int


_CUDA = sys.platform == "linux"

_TORCH = (3000, 5300) if _CUDA else (120, 600)

SETS = {
    "base": PackageSet("Skyrig's own dependencies", 22, 90),
    "dev": PackageSet("tools for tests and checks", 95, 330),
    "torch": PackageSet("PyTorch" + (" with its CUDA libraries" if _CUDA else ""), *_TORCH),
    "accelerate": PackageSet("Hugging Face Accelerate", 7, 40),
    "deepspeed": PackageSet("DeepSpeed", 4, 60),
    "ray": PackageSet("Ray", 85, 230),
    "aws": PackageSet("AWS's SDKs", 30, 200),
    "gcp": PackageSet("Google Cloud's SDKs", 15, 120),
    "azure": PackageSet("Azure's SDKs", 25, 400),
    "oci": PackageSet("Oracle Cloud's SDK", 40, 400),
    "nebius": PackageSet("Nebius's SDKs", 8, 40),
    "kubernetes": PackageSet("Kubernetes's SDK and client", 10, 90),
    "lora": PackageSet("Hugging Face's Transformers, Datasets and PEFT", 85, 290),
    "lightning": PackageSet("PyTorch Lightning", 3, 12),
    "serve": PackageSet("Hugging Face's Transformers, its server and OpenAI's client", 35, 160),
    "wandb": PackageSet("the client of Weights & Biases", 22, 80),
    "postgres": PackageSet("the client of PostgreSQL", 6, 20),
}
"""In the order of installation: a later set may build on an earlier one."""

PACKAGE_CACHE_FACTOR = 2
"""pip and uv keep what they downloaded, and unpack beside it."""

ENGINE_DISK_MB = 140
"""The engine, its language host and two scripts, stripped."""

OFFICIAL_DOWNLOAD_MB = 120
OFFICIAL_DISK_MB = 500
"""The official release holds the language hosts of all languages (estimated from its list of files)."""

GO_DISK_MB = 4000
"""Go's module and build caches after a cold build: 2.0 GB and 1.8 GB."""

GO_PACKAGES = 1680
"""Go packages that the engine is made of: `go list -deps` prints that many."""

GO_MINUTES = "3 to 5 minutes on 2 cores"

PROGRESS_S = 12.0
"""Seconds between progress lines where nobody watches a terminal."""

POLL_S = 0.1
"""Seconds between two looks at what is waited for."""

PROBE_S = 4.0
"""Seconds that a look at the official release's server may take."""

STORAGE_DISK_MB = 95
"""rclone with the stores that Skyrig uses, and versitygw, stripped: 46 and 45 MB."""

STORAGE_DOWNLOAD_MB = 50
"""Their official releases: archives of about 25 MB each (estimated)."""

STORAGE_GO_DISK_MB = 1500
"""What Go's caches grow by when both are built: 0.7 GB of modules, 0.8 GB of what was compiled."""
