"""A bucket of Object Storage: what is registered, and how its S3 endpoint is told."""

from __future__ import annotations

from typing import Any

from oci_cases import ANSWERS

from skyrig.cluster import stores
from skyrig.storage import remote
from skyrig.storage import url as urls
from tests.clouds.registrations import record

NAME = "lab-data"


def registered(persistent: bool) -> tuple[list[Any], Any]:
    from components.data import Data

    wanted = {"name": NAME, "store": "oci", "region": "us-ashburn-1", "persistent": persistent, "account": "ocid1.c"}
    args: Any = {"stack": "dev-data", "owner": "ada", "buckets": [wanted]}
    return record(lambda: Data("dev", args).buckets, answers=ANSWERS)


def test_a_bucket_is_private_and_versioned_and_says_where_it_is() -> None:
    made, [said] = registered(persistent=True)
    [bucket] = [each for each in made if each.type == "oci:ObjectStorage/bucket:Bucket"]
    assert bucket.inputs == {
        "name": NAME, "namespace": "labspace", "compartmentId": "ocid1.c", "accessType": "NoPublicAccess",
        "versioning": "Enabled", "freeformTags": {"skyrig-stack": "dev-data", "skyrig-owner": "ada"},
    }  # fmt: skip
    assert said["url"] == f"oci://{NAME}"
    assert said["endpoint"] == "https://labspace.compat.objectstorage.us-ashburn-1.oraclecloud.com"
    [provider] = [each for each in made if each.type == "pulumi:providers:oci"]
    assert provider.inputs == {"region": "us-ashburn-1"}


def test_it_is_opened_by_s3s_protocol_with_a_customer_secret_key() -> None:
    given = {
        "OCI_ACCESS_KEY_ID": "a",
        "OCI_SECRET_ACCESS_KEY": "b",
        "OCI_REGION": "us-ashburn-1",
        "OCI_NAMESPACE": "labspace",
    }
    found = remote.of(urls.read(f"oci://{NAME}"), given, {}, cloud="oci")
    assert found.options["endpoint"] == registered(persistent=False)[1][0]["endpoint"]
    assert found.secrets == {"access_key_id": "a", "secret_access_key": "b"}
    assert stores.of_cloud("oci") == "oci" and not stores.is_own("oci", "oci")
