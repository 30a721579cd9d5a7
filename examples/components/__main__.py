"""A lab's own Pulumi program: a network, a bucket, and what may use it, made by Skyrig's components.

The same components make Skyrig's clusters. Each takes plain values, and a provider by `opts` where the default one will
not do.
"""

import sys

import pulumi

from skyrig import places

sys.path.append(str(places.shipped()))  # `components` is no package of its own: a clone has it, and so does the wheel

from components.aws.bucket import AwsBucket
from components.aws.identity import AwsIdentity
from components.aws.network import AwsNetwork

config = pulumi.Config()
region, zone = config.require("region"), config.require("zone")
tags = {"owner": "lab", "stack": pulumi.get_stack()}

network = AwsNetwork("net", {"region": region, "zone": zone, "vpc": "", "egress": "none", "tags": tags})
results = AwsBucket(
    "results", {"bucket": "", "region": region, "persistent": False, "noncurrent_days": 30, "tags": tags}
)
readers = AwsIdentity(
    "readers",
    {"stack": pulumi.get_stack(), "region": region, "account": "", "buckets": [results.bucket], "tags": tags},
)

pulumi.export("subnet", network.private_subnet_id)
pulumi.export("bucket", results.bucket)
pulumi.export("profile", readers.profile_name)
