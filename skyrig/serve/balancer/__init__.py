"""The balancer: HAProxy on the head of a service, in front of its replicas.

`frontage` is what it shall be, as one value. `config` turns that into HAProxy's configuration, `haproxy` is the process
that runs it, `runtime` talks to the process, `traffic` and `measure` say what went through it. `balancer.Balancer` is
all of that for the steward.
"""
