#!/usr/bin/env python3
"""Terminates this instance, or stops it (--stop), with the rights of its own dynamic group: on itself alone.

Its certificate buys a token; keys and token stay in this process, and in pipes to openssl. Where that fails, the
machine powers off, so that nothing runs on it, and this exits 1: it is paid for until somebody ends it.
"""

import base64
import email.utils
import hashlib
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
AUTH = os.environ.get("SKYRIG_OCI_AUTH", "")  # "" is the region's own
API = os.environ.get("SKYRIG_OCI_API", "")
PATIENCE_S = float(os.environ.get("SKYRIG_PATIENCE_S", "90"))
ANSWER_S = 20
PLAIN = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # metadata is never behind a proxy
OF_A_BODY = ("content-length", "content-type", "x-content-sha256")


def metadata(path):
    """One answer of the metadata service."""
    request = urllib.request.Request(METADATA + "/opc/v2/" + path, headers={"Authorization": "Bearer Oracle"})
    with PLAIN.open(request, timeout=ANSWER_S) as answer:
        return answer.read().decode()


def openssl(*words, given, key=None):
    """What openssl makes of `given`. A key goes through a pipe: it is in no argument and on no disk."""
    if key is None:
        return subprocess.run(("openssl", *words), input=given, stdout=subprocess.PIPE, check=True).stdout
    read, write = os.pipe()
    os.write(write, key.encode())
    os.close(write)
    try:
        done = subprocess.run(
            ("openssl", *words, f"/dev/fd/{read}"), input=given, stdout=subprocess.PIPE, check=True, pass_fds=(read,)
        )
    finally:
        os.close(read)
    return done.stdout


def plain(pem):
    """The text of a certificate or a key without its first and last line."""
    return "".join(line for line in pem.split("\n") if line and not line.startswith("-----"))


def signed(method, url, body, key_id, key, covers):
    """Headers of a call, with its signature (Oracle's version 1)."""
    parts = urllib.parse.urlsplit(url)
    target = parts.path + ("?" + parts.query if parts.query else "")
    headers = {"date": email.utils.formatdate(usegmt=True), "host": parts.netloc}
    if body is not None:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers.update({"content-length": str(len(body)), "content-type": "application/json"})
        headers["x-content-sha256"] = digest
        covers = (*covers, *OF_A_BODY)
    known = dict(headers, **{"(request-target)": f"{method.lower()} {target}"})
    text = "\n".join(f"{name}: {known[name]}" for name in covers)
    signature = base64.b64encode(openssl("dgst", "-sha256", "-sign", given=text.encode(), key=key)).decode()
    words = {"version": "1", "headers": " ".join(covers), "keyId": key_id, "algorithm": "rsa-sha256"}
    told = ",".join(f'{name}="{value}"' for name, value in dict(words, signature=signature).items())
    return dict(headers, authorization="Signature " + told)


def called(method, url, body, key_id, key, covers):
    """The answer to one call."""
    headers = signed(method, url, body, key_id, key, covers)
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
        return answer.read().decode()


def token(instance):
    """A token of this instance, and the key that belongs to it."""
    leaf, own = metadata("identity/cert.pem"), metadata("identity/key.pem")
    between = metadata("identity/intermediate.pem")
    session = openssl("genrsa", "2048", given=b"").decode()
    public = openssl("pkey", "-pubout", given=session.encode()).decode()
    digest = hashlib.sha1(base64.b64decode(plain(leaf))).hexdigest().upper()  # the API's own name of a certificate
    key_id = f"{instance['tenantId']}/fed-x509/" + ":".join(re.findall("..", digest))
    said = {"certificate": plain(leaf), "publicKey": plain(public), "intermediateCertificates": [plain(between)]}
    place = instance["regionInfo"]
    url = (AUTH or f"https://auth.{place['regionIdentifier']}.{place['realmDomainComponent']}") + "/v1/x509"
    answer = called("POST", url, json.dumps(said).encode(), key_id, own, ("date", "(request-target)"))
    return "ST$" + json.loads(answer)["token"], session


def gone(stop):
    """Ask Compute once; OSError (an HTTPError where it refused), ValueError or KeyError where that failed."""
    instance = json.loads(metadata("instance/"))
    key_id, key = token(instance)
    place = instance["regionInfo"]
    api = API or f"https://iaas.{place['regionIdentifier']}.{place['realmDomainComponent']}"
    url = f"{api}/20160918/instances/{instance['id']}"
    covers = ("date", "(request-target)", "host")
    if stop:
        called("POST", url + "?action=SOFTSTOP", b"", key_id, key, covers)
    else:
        called("DELETE", url + "?preserveBootVolume=false", None, key_id, key, covers)


def main():
    """Do it, or power off after PATIENCE_S; the exit status."""
    stop = sys.argv[1:] == ["--stop"]
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            gone(stop)
            return 0
        except urllib.error.HTTPError as error:
            why = f"HTTP {error.code}: {' '.join(error.read().decode(errors='replace').split())[:300]}"
        except (OSError, ValueError, KeyError) as error:
            why = str(error)
        except subprocess.CalledProcessError as error:
            why = f"openssl failed with {error.returncode}"
        if time.monotonic() > until:
            break
        time.sleep(3)
    verb = "stop" if stop else "terminate"
    print(f"end: this instance cannot {verb} itself, it powers off and is paid for still: {why}", file=sys.stderr)
    subprocess.call(("shutdown", "-P", "now"))
    return 1


if __name__ == "__main__":
    sys.exit(main())
