"""The example's tests run it on the ranks that the rendering tests have."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "render"))
