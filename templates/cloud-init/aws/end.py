#!/usr/bin/env python3
"""Terminates this instance, with the rights of its own role: ec2:TerminateInstances on itself.

Credentials come from the instance's metadata and stay in this process. Where EC2 cannot be had, the instance powers
off, so that nothing but its disk is paid for, and this exits 1.
"""

import datetime
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

METADATA = os.environ.get("SKYRIG_METADATA", "http://169.254.169.254")
EC2 = os.environ.get("SKYRIG_EC2", "")  # "" is the region's own
PATIENCE_S = float(os.environ.get("SKYRIG_PATIENCE_S", "90"))
ANSWER_S = 10
PLAIN = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # metadata is never behind a proxy


def metadata(path, token):
    """One answer of the metadata service."""
    request = urllib.request.Request(METADATA + "/latest/" + path, headers={"X-aws-ec2-metadata-token": token})
    with PLAIN.open(request, timeout=ANSWER_S) as answer:
        return answer.read().decode()


def new_token():
    """A token of the metadata service (IMDSv2)."""
    lasting = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
    request = urllib.request.Request(METADATA + "/latest/api/token", headers=lasting, method="PUT")
    with PLAIN.open(request, timeout=ANSWER_S) as answer:
        return answer.read().decode()


def signed(url, body, region, key, now):
    """Headers of a POST to EC2 at `now` (UTC), signed with Signature Version 4."""
    parts = urllib.parse.urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": parts.netloc,
        "x-amz-date": stamp,
        "x-amz-security-token": key["Token"],
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    digest = hashlib.sha256(body).hexdigest()
    asked = "\n".join(("POST", parts.path or "/", "", lines, names, digest))
    scope = f"{stamp[:8]}/{region}/ec2/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(asked.encode()).hexdigest()))
    secret = ("AWS4" + key["SecretAccessKey"]).encode()
    for part in scope.split("/"):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    who = f"{key['AccessKeyId']}/{scope}"
    said = f"AWS4-HMAC-SHA256 Credential={who}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": said}


def terminate():
    """Ask EC2 once; OSError (an HTTPError where it refused) or ValueError where that failed."""
    token = new_token()
    instance = metadata("meta-data/instance-id", token)
    region = metadata("meta-data/placement/region", token)
    role = metadata("meta-data/iam/security-credentials/", token).split()
    if not role:
        raise ValueError("this instance has no role")
    key = json.loads(metadata("meta-data/iam/security-credentials/" + role[0], token))
    url = EC2 or f"https://ec2.{region}.{metadata('meta-data/services/domain', token)}/"
    words = {"Action": "TerminateInstances", "InstanceId.1": instance, "Version": "2016-11-15"}
    body = urllib.parse.urlencode(words).encode()
    now = datetime.datetime.now(datetime.timezone.utc)
    request = urllib.request.Request(url, body, signed(url, body, region, key, now))
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
        answer.read()


def main():
    """Terminate, or power off after PATIENCE_S; the exit status."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            terminate()
            return 0
        except urllib.error.HTTPError as error:
            said = re.findall(r"<(?:Code|Message)>(.*?)<", error.read().decode(errors="replace"), re.DOTALL)
            why = ": ".join([f"HTTP {error.code}", *said])[:400]
        except (OSError, ValueError, KeyError) as error:
            why = str(error)
        if time.monotonic() > until:
            break
        time.sleep(3)
    print(f"end: this instance cannot terminate itself, it powers off: {why}", file=sys.stderr)
    subprocess.call(("shutdown", "-P", "now"))
    return 1


if __name__ == "__main__":
    sys.exit(main())
