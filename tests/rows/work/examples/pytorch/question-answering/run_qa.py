import os
import sys
from pathlib import Path

said = dict(zip(sys.argv[1:], sys.argv[2:], strict=False))
Path(said["--output_dir"]).mkdir(parents=True, exist_ok=True)
(Path(said["--output_dir"]) / "trainer_state.json").write_text("{}")
print("qa run", said["--run_name"], "with a key of", len(os.environ["WANDB_API_KEY"]), "letters")
