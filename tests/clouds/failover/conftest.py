"""Lets tests of several clouds find what the tests of each one share."""

import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
sys.path[:0] = [str(HERE), str(HERE / "gcp"), str(HERE / "azure")]
