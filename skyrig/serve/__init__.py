"""Services: replicas of a task behind one endpoint that stays up.

`spec` and `state` are the values that all parts share. `steward/` runs on the head of the service's cluster, with no
client and no credentials: replicas, probes, draining, updates on the nodes that exist. `balancer/` is HAProxy there:
its configuration, its runtime, what it measures. `engines/` renders what a model is served with.
"""
