"""Keeps the nodes of a job together until rank 0 has ended: `hold` on rank 0, `stay` on every other; `port` finds one.

    hold    holds a connection from every other node, each of which is told the line in SKYRIG_TOLD; until the file
            `over` lies in the rank's folder and all nodes have been here, or the process that started it is gone
    stay    prints that line, and ends when rank 0 has
    port    prints a port that is free here

They meet at MASTER_ADDR:MASTER_PORT. Runs on nodes: standard library only, Python 3.8 or newer.
"""

import os
import select
import socket
import sys
import time

PATIENCE_S = 60.0
"""How long another node tries to reach rank 0, which may only just be starting."""


def family(address):
    """The address family of `address`."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def free_port():
    """A port that is free now on this node's address."""
    address = os.environ["SKYRIG_NODE_ADDRESS"]
    with socket.create_server((address, 0), family=family(address)) as found:
        return found.getsockname()[1]


def hold():
    """Hold who comes. A node that comes late must still be told that rank 0 has ended, so the end waits for all."""
    over = os.environ["SKYRIG_RANK_DIR"] + "/over"
    address, parent = os.environ["SKYRIG_NODE_ADDRESS"], os.getppid()
    others = int(os.environ["SKYRIG_NUM_NODES"]) - 1
    told = os.environ.get("SKYRIG_TOLD", "").encode() + b"\n"
    held = []
    with socket.create_server((address, int(os.environ["MASTER_PORT"])), family=family(address), backlog=1024) as door:
        while os.getppid() == parent and not (len(held) >= others and os.access(over, os.F_OK)):
            if select.select([door], [], [], 0.2)[0]:
                held.append(door.accept()[0])
                held[-1].sendall(told)


def stay():
    """Until rank 0 has ended; 1 where it was never reached."""
    where = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            line = socket.create_connection(where, timeout=10)
            break
        except OSError as problem:
            if time.monotonic() > deadline:
                sys.stderr.write(f"[skyrig] rank 0 was not reached at {where[0]} port {where[1]}: {problem}\n")
                return 1
            time.sleep(0.1)
    line.settimeout(None)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        while True:
            told = line.recv(4096)
            if not told:
                return 0
            os.write(1, told)
    except OSError:
        return 0  # it ended, in whatever way


if __name__ == "__main__":
    if sys.argv[1] == "port":
        print(free_port())
    elif sys.argv[1] == "hold":
        hold()
    else:
        sys.exit(stay())
