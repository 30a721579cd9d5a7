"""The keeper: one process on the head that owns the job table, the queue and the running ranks of its cluster.

Run as `python -m skyrig.launch.keeper`. It knows nodes and jobs, no cloud and no credentials of one.
"""
