"""The steward: a process on the head of a service's cluster that keeps its replicas up, with no client and no
credentials.

`memory` is what it knows and must not forget, `world` what it sees at a moment. `decide` makes of both, as a pure
function, what it knows next; only once that is on disk `steward` does what follows from it, all of which may be done
twice. So a steward that is killed at any moment is followed by one that goes on. A replica is a job of the keeper's
that names its nodes and has a key: what is submitted twice is one job.
"""
