"""Tests of models that are brought home have the keeper's tests' nodes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "keeper"))
