#!/usr/bin/env python3
"""Deletes this machine, with the rights of its own service account: compute.instances.delete on the cluster's machines.

The token comes from the machine's metadata and stays in this process. Where the API cannot be had, or refuses, the
machine powers off, so that nothing but its disk is paid for, and this exits 1.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

METADATA = os.environ.get("SKYRIG_METADATA", "http://metadata.google.internal")
COMPUTE = os.environ.get("SKYRIG_COMPUTE", "https://compute.googleapis.com/compute/v1")
PATIENCE_S = float(os.environ.get("SKYRIG_PATIENCE_S", "90"))
ANSWER_S = 10
PLAIN = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # metadata is never behind a proxy


def metadata(path):
    """One answer of the metadata service."""
    request = urllib.request.Request(METADATA + "/computeMetadata/v1/" + path, headers={"Metadata-Flavor": "Google"})
    with PLAIN.open(request, timeout=ANSWER_S) as answer:
        return answer.read().decode()


def delete():
    """Ask the API once; OSError (an HTTPError where it refused) or ValueError where that failed."""
    project = metadata("project/project-id")
    zone = metadata("instance/zone").rpartition("/")[2]
    token = json.loads(metadata("instance/service-accounts/default/token"))["access_token"]
    url = f"{COMPUTE}/projects/{project}/zones/{zone}/instances/{metadata('instance/name')}"
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token}, method="DELETE")
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
        answer.read()


def main():
    """Delete, or power off after PATIENCE_S; the exit status."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            delete()
            return 0
        except urllib.error.HTTPError as error:
            why = f"HTTP {error.code}: {' '.join(error.read().decode(errors='replace').split())[:300]}"
        except (OSError, ValueError, KeyError) as error:
            why = str(error)
        if time.monotonic() > until:
            break
        time.sleep(3)
    print(f"end: this machine cannot delete itself, it powers off: {why}", file=sys.stderr)
    subprocess.call(("shutdown", "-P", "now"))
    return 1


if __name__ == "__main__":
    sys.exit(main())
