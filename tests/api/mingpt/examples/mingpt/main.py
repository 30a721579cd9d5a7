"""Stands for a DDP script: is started as torchrun starts one, and says who it is."""

import os

rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
assert os.environ["MASTER_ADDR"] and int(os.environ["MASTER_PORT"])
line = f"process {rank} of {world}, device {local}, {os.environ['LOGLEVEL']}\n"
os.write(1, line.encode())  # in one piece, beside three others
