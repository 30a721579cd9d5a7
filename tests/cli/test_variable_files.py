"""Files of variables are read once: they may be pipes, as a shell's <(...) makes them."""

import os
import threading
from pathlib import Path
from typing import Any


def test_a_file_of_variables_may_be_a_pipe(clone: Any) -> None:
    (clone.path / "task.yaml").write_text("envs: {A: }\nsecrets: {S: }\nrun: echo $A\n")
    pipes = [clone.path / "env", clone.path / "secrets"]
    for pipe in pipes:
        os.mkfifo(pipe)
    for pipe, text in zip(pipes, ("A=of the pipe\n", "S=kept-from-all\n"), strict=True):
        threading.Thread(target=Path.write_text, args=(pipe, text), daemon=True).start()
    done = clone.run("invoke", "render", "task.yaml", "--env-file", "env", "--secret-file", "secrets")
    assert done.returncode == 0, done.stderr
    assert "A='of the pipe'" in done.stdout
    assert "kept-from-all" not in done.stdout
