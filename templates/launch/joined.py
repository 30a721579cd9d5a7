"""Waits until the Ray cluster at $RAY_ADDRESS has as many nodes as the job; says so and exits with 1 where it has not
after the seconds given as the one argument. Runs on rank 0, with the task's own Python and Ray.
"""

import os
import sys
import time

import ray

wanted = int(os.environ["SKYRIG_NUM_NODES"])
deadline = time.monotonic() + float(sys.argv[1])
ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level="ERROR")
joined = 0
while time.monotonic() < deadline and joined < wanted:
    joined = sum(node["Alive"] for node in ray.nodes())
    time.sleep(0.1)
ray.shutdown()
if joined < wanted:
    sys.stderr.write(f"[skyrig] of {wanted} nodes only {joined} joined Ray\n")
    sys.exit(1)
