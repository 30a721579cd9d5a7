"""Tests of AWS share the recorder of registrations with those of other clouds."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
