"""Run on a node (stdlib only, Python 3.8): prints a TCP port that is free on all its addresses.

Ports come from 20000 to 29999, below the range that systems take outgoing ports from, so that none is taken away
between this look and the job's start; `given["taken"]` are those that other starting jobs were promised.
"""

import random
import socket
import sys

taken = set(globals()["given"]["taken"])
for port in random.sample(range(20000, 30000), 200):
    if port in taken:
        continue
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            continue
    sys.stdout.write("%d\n" % port)
    break
