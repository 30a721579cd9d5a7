"""What torchrun starts in the test of it: adds ones up over all processes, with a checkpoint now and then, until the
file that it is given is there."""

import datetime
import os
import sys
import time
from pathlib import Path

import torch
from torch import distributed as dist

from skyrig.checkpoint import CheckpointManager

dist.init_process_group("gloo", timeout=datetime.timedelta(minutes=5))
turns = torch.zeros(1)
manager = CheckpointManager(sys.argv[2], {"turns": {"turns": turns}}, every=20)
found = manager.restore()
step = found.step if found else 0
assert int(turns) == step
print(f"round of {dist.get_world_size()}, from step {step} of {found.incarnation if found else ''}", flush=True)
done = torch.zeros(1)
while not done:
    done = torch.tensor([float(Path(sys.argv[1]).exists())])
    dist.all_reduce(done)
    turns += 1
    step += 1
    manager.after_step(step)
    time.sleep(0.05)
manager.wait()
print(f"ended in a round of {dist.get_world_size()}", flush=True)
os._exit(0)
