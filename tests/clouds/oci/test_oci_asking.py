"""What is asked of Oracle Cloud beside the engine, against an API on loopback that checks every signature."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from oracle_cloud import COMPARTMENT, FINGERPRINT, REGION, TENANCY, USER, ZONES, OracleCloud

from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import Cloud, NotUsable, SeenMachine, Wanted
from skyrig.clouds.oci import door, session
from skyrig.clouds.oci.names import cluster_name
from skyrig.errors import BadInput, SkyrigError

SETTINGS = ("auth", "tenancy_ocid", "user_ocid", "fingerprint", "private_key", "private_key_path",
            "private_key_password", "config_file_profile", "compartment_ocid", "region")  # fmt: skip


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OracleCloud]:
    """A compartment of one's own."""
    for name in SETTINGS:
        monkeypatch.delenv(f"TF_VAR_{name}", raising=False)
        monkeypatch.delenv(f"OCI_{name.upper()}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(door, "PAUSES_S", (0.01, 0.01))
    with OracleCloud() as running:
        for name, value in running.env(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def oci(oracle: OracleCloud) -> Cloud:
    return clouds.of("oci")


def tags(stack: str = "dev", **more: str) -> dict[str, str]:
    return {"skyrig-stack": stack, "skyrig-owner": "ada", **more}


def instance(oracle: OracleCloud, name: str, stack: str = "dev", **body: Any) -> str:
    """An instance with its interface; its path."""
    id_ = f"ocid1.instance.oc1..{stack}{name}"
    said = {"lifecycleState": "RUNNING", "shape": "VM.GPU.A10.1", "displayName": f"{cluster_name(stack)}-{name}-v1"}
    oracle.put(f"/vnicAttachments/{id_}", instanceId=id_, vnicId=id_, lifecycleState="ATTACHED")
    oracle.put(f"/vnics/{id_}", privateIp="10.128.0.5", publicIp="203.0.113.5" if name == "n0" else None)
    tagged = tags(stack, **{"skyrig-node": name})
    return oracle.put(f"/instances/{id_}", **{**said, "freeformTags": tagged, **body})


def test_machines_of_a_stack_are_seen_with_their_addresses(oracle: OracleCloud, oci: Cloud) -> None:
    instance(oracle, "n0")
    instance(oracle, "n1", lifecycleState="STOPPED")
    instance(oracle, "n2", lifecycleState="TERMINATED")
    instance(oracle, "n0", stack="other")
    oracle.page = 2  # lists come in pages
    assert sorted(oci.machines("dev", REGION), key=lambda each: each.node_id) == [
        SeenMachine("n0", "ocid1.instance.oc1..devn0", "up", "203.0.113.5", "10.128.0.5"),
        SeenMachine("n1", "ocid1.instance.oc1..devn1", "stopped", "", "10.128.0.5"),
    ]
    assert oracle.unsigned == [] and any("page=2" in each for each in oracle.asked)


def test_zones_are_those_that_have_the_shape(oracle: OracleCloud, oci: Cloud) -> None:
    oracle.shapes[ZONES[1]] = ("BM.GPU.H100.8",)
    assert oci.zones(REGION, "VM.Standard.E4.Flex$_4_16") == [ZONES[0], ZONES[2]]
    assert oci.zones(REGION, "BM.GPU.H100.8") == [ZONES[1]]
    assert oci.zones(REGION, "BM.GPU4.8") == []


def test_what_is_busy_is_asked_again_and_not_forever(oracle: OracleCloud, oci: Cloud) -> None:
    oracle.busy = 2
    assert oci.zones(REGION, "BM.GPU4.8") == []
    oracle.busy = 1000
    with pytest.raises(SkyrigError, match="HTTP 429: TooManyRequests"):
        oci.machines("dev", REGION)


def test_a_wrong_key_is_told_as_such(oracle: OracleCloud, oci: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_FINGERPRINT", "00:11")
    with pytest.raises(NotUsable, match="the credentials are not valid: nobody known has signed"):
        oci.machines("dev", REGION)
    assert "credentials" in {each.what for each in oci.check(REGION, None) if not each.ok}


def test_leftovers_are_named_with_their_price_and_removed_in_order(oracle: OracleCloud, oci: Cloud) -> None:
    instance(oracle, "n0")
    instance(oracle, "n1", lifecycleState="STOPPED")
    name = cluster_name("dev")
    volume = oracle.put("/bootVolumes/ocid1.v", displayName=f"{name}-n0-v1 (Boot Volume)", sizeInGBs=1000, vpusPerGB=10)
    oracle.put("/bootVolumes/ocid1.w", displayName="somebody (Boot Volume)", sizeInGBs=1000, vpusPerGB=10)
    oracle.put("/vcns/ocid1.vcn", displayName=f"{name}-vcn", freeformTags=tags())
    oracle.put("/subnets/ocid1.subnet", displayName=f"{name}-public", freeformTags=tags())
    oracle.put("/vcns/ocid1.others", displayName="x", freeformTags=tags("other"))
    oracle.put("/policies/ocid1.policy", name=f"{name}-nodes", freeformTags=tags())
    oracle.put("/dynamicGroups/ocid1.group", name=f"{name}-nodes", freeformTags=tags(), compartmentId=TENANCY)
    left = oci.leftovers("dev", REGION)
    assert [each.kind for each in left] == [
        "instance", "instance", "boot volume", "subnet", "VCN", "policy", "dynamic group"
    ]  # fmt: skip
    assert {each.owner for each in left if each.kind != "boot volume"} == {"ada"}
    prices = {each.id: each.hourly for each in left}
    assert prices["/instances/ocid1.instance.oc1..devn0"] == 2.0 and left[0].since is not None
    assert prices["/instances/ocid1.instance.oc1..devn1"] == 0.0  # VM.GPU.A10 costs nothing when it is stopped
    assert prices[volume] == pytest.approx(0.0425 * 1000 / 730)
    oracle.stuck = {"/vcns/ocid1.vcn"}
    oci.remove("dev", REGION, left)
    assert [each.id for each in oci.leftovers("dev", REGION)] == ["/vcns/ocid1.vcn"]
    kinds = [each.split("/")[1] for each in oracle.calls]
    assert kinds == ["instances", "instances", "bootVolumes", "subnets", "vcns", "policies", "dynamicGroups"]
    assert {"/vcns/ocid1.others", "/bootVolumes/ocid1.w"} <= oracle.things.keys()


def test_a_whole_machine_that_is_stopped_costs_what_it_costs(oracle: OracleCloud, oci: Cloud) -> None:
    instance(oracle, "n0", shape="BM.GPU.H100.8", lifecycleState="STOPPED")
    instance(oracle, "n1", shape="VM.Standard.E4.Flex", shapeConfig={"ocpus": 2.0, "memoryInGBs": 16.0})
    assert [each.hourly for each in oci.leftovers("dev", REGION)] == [80.0, 0.074]


def test_all_of_skyrig_is_found_without_knowing_any_stack(oracle: OracleCloud, oci: Cloud) -> None:
    instance(oracle, "n0")
    instance(oracle, "n0", stack="other")
    oracle.put("/dynamicGroups/g", name="x", freeformTags=tags(), compartmentId=TENANCY)
    oracle.put("/vcns/foreign", displayName="not ours")
    oracle.put("/n/labspace/b/lab-data", name="lab-data", freeformTags=tags("dev-data"))
    for region in (REGION, None):
        found = oci.tagged(region)
        assert found.account == COMPARTMENT and found.unseen == ()
        said = {each.stack: (each.region, [one.kind for one in each.left], each.kept) for each in found.stacks}
        assert said == {
            "dev": (REGION, ["instance", "dynamic group"], ()),
            "other": (REGION, ["instance"], ()),
            "dev-data": (REGION, [], ("oci://lab-data",)),
        }


def test_what_may_not_be_looked_at_is_told(oracle: OracleCloud, oci: Cloud) -> None:
    instance(oracle, "n0")
    oracle.dark = {"dynamicGroups", "n"}
    found = oci.tagged(None)
    assert [each.stack for each in found.stacks] == ["dev"]
    assert len(found.unseen) == 1 and "buckets of us-ashburn-1" in found.unseen[0]
    oracle.dark = {"vcns"}
    with pytest.raises(SkyrigError, match="NotAuthorizedOrNotFound"):
        oci.tagged(REGION)


def test_what_an_engine_was_making_is_found_by_its_name_and_stack(oracle: OracleCloud, oci: Cloud) -> None:
    path = instance(oracle, "n0")
    asked = {"displayName": oracle.things[path]["displayName"], "freeformTags": tags()}
    kind = "oci:Core/instance:Instance"
    assert oci.find(kind, asked, REGION) == path.rpartition("/")[2]
    assert oci.find(kind, {**asked, "freeformTags": tags("other")}, REGION) is None
    oracle.end(path)
    assert oci.find(kind, asked, REGION) is None
    oracle.put("/dynamicGroups/g", name="a-nodes", freeformTags=tags(), compartmentId=TENANCY)
    assert (
        oci.find("oci:Identity/dynamicGroup:DynamicGroup", {"name": "a-nodes", "freeformTags": tags()}, REGION) == "g"
    )
    rule = "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule"
    assert oci.find(rule, {}, REGION) is None and oci.find("pulumi-python:dynamic/skyrig:OciPower", {}, REGION) is None
    oracle.put("/n/labspace/b/lab", name="lab", freeformTags=tags())
    bucket = {"namespace": "labspace", "name": "lab", "freeformTags": tags()}
    assert oci.find("oci:ObjectStorage/bucket:Bucket", bucket, REGION) == "n/labspace/b/lab"
    with pytest.raises(SkyrigError, match="nobody knows how to look for a oci:Core/volume:Volume"):
        oci.find("oci:Core/volume:Volume", {}, REGION)


def test_a_check_says_what_is_in_the_way(oracle: OracleCloud, oci: Cloud) -> None:
    oracle.free = {"gpu-a10-count": 1}
    found = {each.what: each for each in oci.check(REGION, Wanted("VM.GPU.A10.1", 2))}
    assert found["credentials"].said == f"{USER}, tenancy {TENANCY}"
    assert found["limit gpu-a10-count"].ok is False and "2 gpus wanted" in found["limit gpu-a10-count"].said
    assert found["VM.GPU.A10.1"].ok and found["compartment"].said.startswith("lab")
    oracle.free = {"standard-e4-core-count": 4}
    found = {each.what: each for each in oci.check(REGION, Wanted("VM.Standard.E4.Flex$_4_16", 2))}
    assert all(each.ok for each in found.values())
    oracle.dark = {"computeClusters", "dynamicGroups"}
    said = {each.what: each.said for each in oci.check(REGION, None) if not each.ok}
    assert "Allow group YOURS to manage compute-clusters in compartment id" in said["compute-clusters"]
    assert "manage dynamic-groups in tenancy" in said["dynamic-groups"]


def test_a_region_that_the_tenancy_has_not_is_told(oci: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_REGION", REGION)
    found = {each.what: each for each in oci.check("eu-nowhere-1", None)}
    assert found["region eu-nowhere-1"].said == "the tenancy is not subscribed to it, but to us-ashburn-1"


def test_credentials_are_read_as_the_provider_reads_them(oracle: OracleCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("~/.oci").expanduser()
    folder.mkdir()
    key, secret = generate_private_key(65537, 2048), BestAvailableEncryption(b"word")
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    (folder / "config").write_text(
        f"[DEFAULT]\nuser={USER}\nfingerprint={FINGERPRINT}\ntenancy={TENANCY}\nregion=us-ashburn-1\n"
        f"key_file=~/.oci/key.pem\npass_phrase=word\n[lab]\ncompartment=ocid1.compartment.oc1..mine\n"
    )
    for name in ("TENANCY_OCID", "USER_OCID", "FINGERPRINT", "PRIVATE_KEY_PATH", "COMPARTMENT_OCID"):
        monkeypatch.delenv(f"OCI_{name}")
    assert session.missing() == "" and session.account() == TENANCY
    found = session.caller()
    assert found.key_id == f"{TENANCY}/{USER}/{FINGERPRINT}" and found.key.public_key() == key.public_key()
    assert "word" not in repr(found) and FINGERPRINT not in repr(found)
    monkeypatch.setenv("OCI_CONFIG_FILE_PROFILE", "lab")
    assert session.account() == "ocid1.compartment.oc1..mine"  # the rest is DEFAULT's
    (folder / "key.pem").unlink()
    assert "its key is not there" in session.missing()
    with pytest.raises(NotUsable, match="oci: its key is not there"):
        clouds.of("oci").machines("dev", REGION)


def test_a_session_calls_by_its_token(oracle: OracleCloud, oci: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("~/.oci").expanduser()
    folder.mkdir()
    key = generate_private_key(65537, 2048)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "token").write_text("a-token\n")
    (folder / "config").write_text(
        f"[DEFAULT]\ntenancy={TENANCY}\nkey_file=~/.oci/key.pem\nsecurity_token_file=~/.oci/token\n"
    )
    monkeypatch.delenv("OCI_PRIVATE_KEY_PATH")
    monkeypatch.setenv("OCI_AUTH", "SecurityToken")
    oracle.keys = {"ST$a-token": key.public_key()}
    assert oci.machines("dev", REGION) == [] and oracle.unsigned == []


def test_nothing_but_this_machine_stands_in_for_oracle(oracle: OracleCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(door.LOOPBACK, "http://example.org")
    with pytest.raises(BadInput, match="an address of this machine is wanted"):
        clouds.of("oci").machines("dev", REGION)
