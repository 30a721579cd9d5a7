"""What Google Cloud is asked beside the engine: real HTTP, against an in-memory server of its APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google_cloud import PROJECT, GoogleCloud

from skyrig.catalog import refusals
from skyrig.clouds import cloud
from skyrig.clouds.cloud import NotUsable, Wanted
from skyrig.clouds.gcp import door, session
from skyrig.clouds.gcp.names import account_email, cluster_name, described, labels, role_id
from skyrig.errors import SkyrigError

REGION, ZONE, STACK = "us-central1", "us-central1-a", "dev"
CLUSTER = cluster_name(STACK)
SAID = labels({"skyrig-stack": STACK, "skyrig-owner": "ada"})
TOLD = described(SAID)
AT = f"projects/{PROJECT}"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GoogleCloud]:
    for name in (*session.PROJECT_VARIABLES, *session.KEY_VARIABLES, "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GOOGLE_IMPERSONATE_SERVICE_ACCOUNT", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setattr(session, "_PRODUCT", tmp_path / "product")
    with GoogleCloud() as running:
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        yield running


def instance(google: GoogleCloud, node: str, status: str = "RUNNING", zone: str = ZONE, **more: Any) -> str:
    """An instance of the stack; its name."""
    name = f"{CLUSTER}-{node}-v1"
    nic = {"networkIP": "10.128.0.2", "accessConfigs": [{"natIP": "203.0.113.2"}] if node == "n0" else []}
    kind = {"machineType": "https://x/machineTypes/g2-standard-4", "scheduling": {"provisioningModel": "STANDARD"}}
    said = {"id": f"77{node[1:]}", "status": status, "labels": {**SAID, "skyrig-node": node}}
    body = {**kind, **said, "networkInterfaces": [nic]}
    google.put(f"zones/{zone}/instances/{name}", **{**body, **more})
    return name


def tpu(google: GoogleCloud, state: str = "READY") -> str:
    """A TPU slice of two hosts; its path in the project."""
    path = f"locations/us-west4-a/nodes/{CLUSTER}-n0-v1"
    google.put(path, "tpu", state=state, labels={**SAID, "skyrig-node": "n0"}, acceleratorType="v5litepod-8",
               description="Nodes n0, n1", schedulingConfig={"spot": False},
               networkEndpoints=[{"ipAddress": "10.128.0.2", "accessConfig": {"externalIp": "203.0.113.4"}},
                                 {"ipAddress": "10.128.0.3"}])  # fmt: skip
    return path


def test_machines_are_told_by_label_and_by_what_they_are_now(google: GoogleCloud) -> None:
    google.page = 2
    for node, status in (("n0", "RUNNING"), ("n1", "TERMINATED"), ("n2", "STAGING"), ("n3", "SUSPENDED")):
        instance(google, node, status, ZONE if node != "n2" else "us-central1-b")
    instance(google, "n4", labels={"skyrig-stack": "another"})
    google.put(f"zones/{ZONE}/instances/{cluster_name('DEV')}-n0-v1", id="9", labels={**SAID, "skyrig-node": "n0"})
    seen = {each.node_id: each for each in cloud.of("gcp").machines(STACK, REGION)}
    assert {node: (each.machine, each.power) for node, each in seen.items()} == {
        "n0": ("770", "up"), "n1": ("771", "stopped"), "n2": ("772", "up"), "n3": ("773", "stopped"),
    }  # fmt: skip
    assert (seen["n0"].public, seen["n0"].private, seen["n1"].public) == ("203.0.113.2", "10.128.0.2", "")
    assert sum("aggregated/instances" in url for url in google.urls) == 3


def test_hosts_of_a_slice_are_machines_as_their_description_calls_them(google: GoogleCloud) -> None:
    path = tpu(google)
    seen = cloud.of("gcp").machines(STACK, "us-west4")
    assert [(each.node_id, each.machine, each.power) for each in seen] == [
        ("n0", f"{AT}/{path}/0 at 10.128.0.2", "up"),
        ("n1", f"{AT}/{path}/1 at 10.128.0.3", "up"),
    ]
    tpu(google, "PREEMPTED")
    assert cloud.of("gcp").machines(STACK, "us-west4") == []
    assert [(each.kind, each.hourly) for each in cloud.of("gcp").leftovers(STACK, "us-west4")] == [("TPU slice", 0.0)]
    google.disabled = {"tpu"}
    assert cloud.of("gcp").machines(STACK, "us-west4") == []


@pytest.mark.parametrize("broken", ["project", "denied", "zone", "tpu zone", "tpu denied"])
def test_what_cannot_be_seen_is_never_gone(google: GoogleCloud, broken: str) -> None:
    asked = cloud.of("gcp", "no-such-project" if broken == "project" else PROJECT)
    google.denied = {"denied": {"compute"}, "tpu denied": {"tpu"}}.get(broken, set())
    if "zone" in broken:
        google.silent = {ZONE}
    if broken == "tpu zone":
        google.silent = {"us-west4-a"}
    with pytest.raises(SkyrigError, match=r"not found|Required permission|cannot be listed now"):
        asked.machines(STACK, "us-west4")
    if broken in ("project", "denied"):
        with pytest.raises(SkyrigError):
            asked.leftovers(STACK, REGION)
        with pytest.raises(NotUsable):
            asked.find("gcp:compute/network:Network", {"name": f"{CLUSTER}-main", "description": TOLD}, REGION)


def test_a_busy_api_is_asked_again_and_a_stubborn_one_is_told(google: GoogleCloud) -> None:
    instance(google, "n0")
    google.busy = 3
    assert len(cloud.of("gcp").machines(STACK, REGION)) == 1
    google.busy = 100
    with pytest.raises(SkyrigError, match="HTTP 429: slow down"):
        cloud.of("gcp").machines(STACK, REGION)
    assert google.busy == 100 - len(door.PAUSES_S) - 1


def left_over(google: GoogleCloud) -> None:
    """All that a stack may leave, and some things of others."""
    instance(google, "n0")
    instance(google, "n1", "TERMINATED")
    where = f"regions/{REGION}"
    google.put(f"zones/{ZONE}/disks/{CLUSTER}-n0-v1", labels=SAID, sizeGb="200", type="https://x/diskTypes/pd-balanced")
    google.put(f"{where}/addresses/{CLUSTER}-head", labels=SAID)
    google.put(f"{where}/routers/{CLUSTER}-router", description=TOLD, nats=[{"name": f"{CLUSTER}-nat"}])
    google.put(f"{where}/subnetworks/{CLUSTER}-main", description=TOLD)
    google.put(f"{where}/resourcePolicies/{CLUSTER}-placement", description=TOLD)
    google.put(f"global/networks/{CLUSTER}-main", description=TOLD)
    google.put(f"global/firewalls/{CLUSTER}-ssh", description=TOLD)
    google.put(f"roles/{role_id(CLUSTER)}", "iam", title=f"Ends machines of {CLUSTER}")
    google.put(f"serviceAccounts/{account_email(CLUSTER, PROJECT)}", "iam", displayName=f"Nodes of {CLUSTER}")
    google.put("global/networks/default", description="")
    google.put(f"global/networks/{CLUSTER}-theirs", description="skyrig-stack=dev-2")


def test_what_is_left_is_named_with_its_price_and_removed_in_order(google: GoogleCloud) -> None:
    left_over(google)
    tpu(google)
    google.stuck = {f"global/networks/{CLUSTER}-main"}
    gcp = cloud.of("gcp")
    left = gcp.leftovers(STACK, REGION)
    price = {each.id: each.hourly for each in left}
    assert [each.kind for each in left] == [
        "TPU slice", "instance", "instance", "NAT gateway", "address", "disk", "firewall rule", "subnet", "network",
        "placement policy", "custom role", "service account",
    ]  # fmt: skip
    assert price[f"zones/{ZONE}/instances/{CLUSTER}-n0-v1"] == pytest.approx(0.7068, abs=0.2)
    assert price[f"zones/{ZONE}/instances/{CLUSTER}-n1-v1"] == 0
    assert price[f"zones/{ZONE}/disks/{CLUSTER}-n0-v1"] == pytest.approx(20 / 730)
    assert price[f"regions/{REGION}/addresses/{CLUSTER}-head"] == 0.01
    assert price[f"regions/{REGION}/routers/{CLUSTER}-router"] == 0.005
    gcp.remove(STACK, REGION, left)
    assert gcp.leftovers(STACK, REGION) == [left[8]]
    deleted = [call for call in google.calls if call.startswith("delete")]
    order = [next(n for n, call in enumerate(deleted) if word in call) for word in ("-n0-v1", "router", "ssh", "main")]
    assert order == sorted(order)
    google.stuck = set()
    gcp.remove(STACK, REGION, [left[8]])
    assert google.left() == ["global/networks/default", f"global/networks/{CLUSTER}-theirs"]


def test_a_balancer_goes_before_what_it_stands_on(google: GoogleCloud) -> None:
    there = [path for kind, (path, _, _) in FOUND.items() if path.rpartition("-")[0].endswith(("entrance", "-head"))
             or path.endswith(("entrance", "probe"))]  # fmt: skip
    for path in there:
        google.put(path, **({"labels": SAID} if "Rules" in path else {"description": TOLD}))
    google.put(f"zones/{ZONE}/instances/{CLUSTER}-n0-v1", labels=SAID, status="RUNNING", machineType="x/g2-standard-8")
    gcp = cloud.of("gcp")
    left = gcp.leftovers(STACK, REGION)
    assert [each.kind for each in left] == [
        "forwarding rule", "backend service", "health check", "instance group", "instance",
    ]  # fmt: skip
    assert left[0].hourly == 0.025 and [each.hourly for each in left[1:4]] == [0.0, 0.0, 0.0]
    gcp.remove(STACK, REGION, left)
    deleted = [url.split("/")[-2] for url in google.urls if url.startswith("DELETE")]
    assert deleted == ["forwardingRules", "backendServices", "healthChecks", "instanceGroups", "instances"]
    assert gcp.leftovers(STACK, REGION) == []


def test_who_may_not_see_slices_has_none_to_sweep(google: GoogleCloud) -> None:
    google.denied = {"tpu"}
    assert cloud.of("gcp").leftovers(STACK, REGION) == []


FOUND = {
    "gcp:compute/instance:Instance": (f"zones/{ZONE}/instances/{CLUSTER}-n0-v1", "", {"zone": ZONE}),
    "gcp:compute/address:Address": (f"regions/{REGION}/addresses/{CLUSTER}-head", "", {"region": REGION}),
    "gcp:compute/network:Network": (f"global/networks/{CLUSTER}-main", "description", {}),
    "gcp:compute/subnetwork:Subnetwork": (f"regions/{REGION}/subnetworks/{CLUSTER}-main", "description", {}),
    "gcp:compute/firewall:Firewall": (f"global/firewalls/{CLUSTER}-ssh", "description", {}),
    "gcp:compute/router:Router": (f"regions/{REGION}/routers/{CLUSTER}-router", "description", {}),
    "gcp:compute/resourcePolicy:ResourcePolicy": (
        f"regions/{REGION}/resourcePolicies/{CLUSTER}-placement", "description", {}),
    "gcp:compute/forwardingRule:ForwardingRule": (f"regions/{REGION}/forwardingRules/{CLUSTER}-entrance-80", "", {}),
    "gcp:compute/regionBackendService:RegionBackendService": (
        f"regions/{REGION}/backendServices/{CLUSTER}-entrance", "description", {}),
    "gcp:compute/regionHealthCheck:RegionHealthCheck": (
        f"regions/{REGION}/healthChecks/{CLUSTER}-probe", "description", {}),
    "gcp:compute/instanceGroup:InstanceGroup": (
        f"zones/{ZONE}/instanceGroups/{CLUSTER}-head-7", "description", {"zone": ZONE}),
}  # fmt: skip
"""Where a thing of each type lies, what it is told by ("": labels), and what it is made from beside its name."""


@pytest.mark.parametrize("kind", FOUND)
def test_a_cut_off_create_is_found_under_the_providers_id(google: GoogleCloud, kind: str) -> None:
    path, told_by, more = FOUND[kind]
    mine = {told_by: TOLD} if told_by else {"labels": SAID}
    inputs = {"name": path.rpartition("/")[2], **mine, **more}
    gcp = cloud.of("gcp")
    assert gcp.find(kind, inputs, REGION) is None
    google.put(path, **mine)
    assert gcp.find(kind, inputs, REGION) == f"{AT}/{path}"
    google.put(path, **({told_by: "of somebody else"} if told_by else {"labels": {}}))
    with pytest.raises(SkyrigError, match="is there, and its"):
        gcp.find(kind, inputs, REGION)
    with pytest.raises(SkyrigError, match="without anything that tells it"):
        gcp.find(kind, {key: value for key, value in inputs.items() if key not in mine}, REGION)


def test_a_cut_off_create_of_other_services_is_found(google: GoogleCloud) -> None:
    gcp, email, role = cloud.of("gcp"), account_email(CLUSTER, PROJECT), role_id(CLUSTER)
    account = {"accountId": CLUSTER, "displayName": f"Nodes of {CLUSTER}", "description": TOLD}
    gateway = {"router": f"{CLUSTER}-router", "name": f"{CLUSTER}-nat", "region": REGION}
    title = {"roleId": role, "title": f"Ends machines of {CLUSTER}"}
    bucket = {"name": "dev-data", "labels": SAID}
    slice_ = {"name": f"{CLUSTER}-n0-v1", "zone": "us-west4-a", "labels": SAID}
    asked = {
        "gcp:serviceaccount/account:Account": (account, f"{AT}/serviceAccounts/{email}"),
        "gcp:projects/iAMCustomRole:IAMCustomRole": (title, f"{AT}/roles/{role}"),
        "gcp:compute/routerNat:RouterNat": (gateway, f"{PROJECT}/{REGION}/{CLUSTER}-router/{CLUSTER}-nat"),
        "gcp:storage/bucket:Bucket": (bucket, "dev-data"),
        "gcp:tpu/v2Vm:V2Vm": (slice_, f"{AT}/locations/us-west4-a/nodes/{CLUSTER}-n0-v1"),
    }
    assert {gcp.find(kind, inputs, REGION) for kind, (inputs, _) in asked.items()} == {None}
    google.put(f"regions/{REGION}/routers/{CLUSTER}-router", description=TOLD)
    assert gcp.find("gcp:compute/routerNat:RouterNat", gateway, REGION) is None  # it has no gateway yet
    left_over(google)
    google.things[f"iam/{AT}/serviceAccounts/{email}"]["description"] = TOLD
    google.things["storage/b/dev-data"] = {"name": "dev-data", "labels": {**SAID, "more": "x"}}
    tpu(google)
    assert {kind: gcp.find(kind, inputs, REGION) for kind, (inputs, _) in asked.items()} == {
        kind: there for kind, (_, there) in asked.items()
    }
    google.things[f"iam/{AT}/roles/{role}"]["deleted"] = True
    assert gcp.find("gcp:projects/iAMCustomRole:IAMCustomRole", title, REGION) is None
    assert gcp.find("gcp:projects/iAMMember:IAMMember", {"role": "x"}, REGION) is None
    with pytest.raises(SkyrigError, match="nobody knows"):
        gcp.find("gcp:sql/databaseInstance:DatabaseInstance", {"name": "x"}, REGION)


def test_every_type_that_clusters_are_made_of_can_be_looked_for(google: GoogleCloud) -> None:
    golden = Path(__file__).parent / "golden"
    made = [each for file in golden.glob("*.json") for each in json.loads(file.read_text())]
    asked = {each["type"]: each["inputs"] for each in made if each["type"].startswith("gcp:")}
    assert len(asked) >= 12
    for kind, inputs in asked.items():
        assert cloud.of("gcp").find(kind, inputs, REGION) is None, kind


def test_zones_that_have_a_type(google: GoogleCloud) -> None:
    for zone in ("us-central1-c", "us-central1-a", "us-east1-b"):
        google.put(f"zones/{zone}/machineTypes/a3-megagpu-8g")
    gcp = cloud.of("gcp")
    assert gcp.zones(REGION, "a3-megagpu-8g") == ["us-central1-a", "us-central1-c"]
    assert gcp.zones(REGION, "g2-standard-4") == []
    for zone in ("us-west4-a", "us-west4-b"):
        google.put(f"locations/{zone}", "tpu", locationId=zone)
    google.put("locations/us-west4-b/acceleratorTypes/v5litepod-16", "tpu")
    assert gcp.zones("us-west4", "v5litepod-16") == ["us-west4-b"]


def test_who_pays_is_what_is_named_beside_the_credentials(
    google: GoogleCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account = cloud.of("gcp", "another").account
    assert account(REGION) == PROJECT
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    assert account(REGION) == ""
    folder = tmp_path / "gcloud"
    (folder / "configurations").mkdir(parents=True)
    (folder / "application_default_credentials.json").write_text('{"quota_project_id": "of-default"}')
    assert account(REGION) == "of-default"
    (folder / "active_config").write_text("work\n")
    (folder / "configurations" / "config_work").write_text("[core]\nproject = of-gcloud\n")
    assert account(REGION) == "of-gcloud"
    monkeypatch.setenv("GOOGLE_CREDENTIALS", '{"type": "service_account", "project_id": "of-key"}')
    assert account(REGION) == "of-key"
    monkeypatch.setenv("GOOGLE_PROJECT", "first")
    assert account(REGION) == "first"
    assert google.urls == []


def test_what_is_missing_is_said_with_its_mending(
    google: GoogleCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gcp = cloud.of("gcp")
    assert gcp.missing() == ""
    monkeypatch.delenv("GOOGLE_OAUTH_ACCESS_TOKEN")
    assert "no credentials: `gcloud auth application-default login`" in gcp.missing()
    [finding] = gcp.check(REGION, None)
    assert (finding.what, finding.ok) == ("credentials", False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")
    assert "/no/such/file, and no such file is there" in gcp.missing()
    with pytest.raises(NotUsable, match="no credentials of Google Cloud"):
        gcp.machines(STACK, REGION)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    (tmp_path / "product").write_text("Google Compute Engine\n")
    assert gcp.missing() == ""
    monkeypatch.setattr(session, "_SDKS", ("pulumi_gcp", "no_such_package.at_all"))
    assert "its SDK is not installed" in gcp.missing()


def checked(wanted: Wanted | None = None) -> dict[str, tuple[bool | None, str]]:
    """What a check finds, by what was looked at."""
    return {each.what: (each.ok, each.said) for each in cloud.of("gcp").check(REGION, wanted)}


def test_a_check_of_a_project_that_lacks_nothing(google: GoogleCloud) -> None:
    google.put("zones/us-central1-a/machineTypes/g2-standard-4")
    google.put(f"regions/{REGION}", quotas=[{"metric": "NVIDIA_L4_GPUS", "limit": 4, "usage": 1}])
    google.things[f"compute/{AT}"]["quotas"] = [{"metric": "GPUS_ALL_REGIONS", "limit": 8, "usage": 1}]
    found = checked(Wanted("g2-standard-4", nodes=3))
    assert {ok for ok, _ in found.values()} == {True}
    assert set(found) >= {"credentials", "compute.googleapis.com", "roles/compute.admin", "quota GPUS_ALL_REGIONS"}
    assert found["quota NVIDIA_L4_GPUS"][1] == f"3 GPUs in {REGION} free, 3 wanted"
    assert found["g2-standard-4"][1] == "in us-central1-a" and PROJECT in found["credentials"][1]


def test_a_check_says_what_is_in_the_way_and_what_to_do(google: GoogleCloud) -> None:
    google.disabled, google.allowed = {"iam"}, {"compute.instances.create", "iam.serviceAccounts.actAs"}
    google.put(f"regions/{REGION}", quotas=[{"metric": "PREEMPTIBLE_NVIDIA_L4_GPUS", "limit": 1, "usage": 0}])
    found = checked(Wanted("g2-standard-4", nodes=3, spot=True))
    bad = {what: said for what, (ok, said) in found.items() if ok is False}
    assert sorted(bad) == [
        "g2-standard-4", "iam.googleapis.com", "quota PREEMPTIBLE_NVIDIA_L4_GPUS", "roles/compute.admin",
        "roles/iam.roleAdmin", "roles/iam.serviceAccountAdmin", "roles/resourcemanager.projectIamAdmin",
    ]  # fmt: skip
    assert f"`gcloud services enable iam.googleapis.com --project {PROJECT}`" in bad["iam.googleapis.com"]
    assert "compute.networks.create" in bad["roles/compute.admin"] and "--role=roles/compute.admin" in str(bad)
    assert "1 GPUs in us-central1 free, 3 wanted: ask for more" in bad["quota PREEMPTIBLE_NVIDIA_L4_GPUS"]
    assert f"no zone of {REGION} has it" in bad["g2-standard-4"]


@pytest.mark.parametrize(("limit", "ok"), [("16", True), ("8", False), ("-1", True), (None, None)])
def test_quotas_that_regions_do_not_list_are_asked_for(google: GoogleCloud, limit: str | None, ok: bool | None) -> None:
    name = "locations/global/services/compute.googleapis.com/quotaInfos/GPUS-PER-GPU-FAMILY-per-project-region"
    others = {"dimensions": {"region": "us-east1", "gpu_family": "NVIDIA_H100_MEGA"}, "details": {"value": "64"}}
    family = {"dimensions": {"gpu_family": "NVIDIA_H100_MEGA"}, "applicableLocations": ["us-west1", REGION]}
    rest = {"dimensions": {}, "applicableLocations": [REGION], "details": {"value": "0"}}
    mine = [rest, {**family, "details": {"value": limit}}]  # what holds for all families comes after its own
    google.put(name, "cloudquotas", dimensionsInfos=[others, *(mine if limit else [])])
    google.things[f"compute/{AT}"]["quotas"] = [{"metric": "NETWORKS", "limit": 15, "usage": 10}]
    found = checked(Wanted("a3-megagpu-8g", nodes=2))
    assert found["quota GPUS-PER-GPU-FAMILY-per-project-region/NVIDIA_H100_MEGA"][0] is ok
    assert found["quota NETWORKS"] == (False, found["quota NETWORKS"][1]) and "9 wanted" in found["quota NETWORKS"][1]


def test_a_check_of_slices_asks_for_their_api_and_rights(google: GoogleCloud) -> None:
    google.disabled = {"tpu"}
    found = checked(Wanted("v5litepod-16", nodes=4))
    assert found["tpu.googleapis.com"][0] is False and found["roles/tpu.admin"][0] is True
    assert found["quota of v5litepod-16"][0] is None and found["v5litepod-16"][0] is None


@pytest.mark.parametrize("broken", ["project", "named", "denied", "disabled"])
def test_a_check_never_raises(google: GoogleCloud, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    if broken == "project":
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "nowhere")
    if broken == "named":
        monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    google.denied = {"compute", "cloudresourcemanager", "serviceusage"} if broken == "denied" else set()
    google.disabled = {"compute"} if broken == "disabled" else set()
    found = checked(Wanted("g2-standard-4"))
    told = {"project": "nowhere is not there", "named": "gcloud config set project", "denied": "Required permission",
            "disabled": "gcloud services enable compute.googleapis.com"}[broken]  # fmt: skip
    assert [what for what, (ok, said) in found.items() if ok is False and told in said]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Error waiting for instance to create: The zone 'projects/p/zones/us-central1-a' does not have enough "
         "resources available to fulfill the request.  '(resource type:compute)'.", "capacity"),
        ("googleapi: Error 503: ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "capacity"),
        ('Error code 8, message: There is no more capacity in the zone "europe-west4-a"', "capacity"),
        ("googleapi: Error 403: Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 1.0 in region us-central1., quotaExceeded",
         "quota"),
        ("Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", "quota"),
        ("googleapi: Error 403: Quota exceeded for quota metric 'Queries' and limit 'Queries per minute', "
         "rateLimitExceeded", "throttling"),
        ("googleapi: Error 400: Invalid value for field", ""),
    ],
)  # fmt: skip
def test_refusals_are_told_by_the_providers_words(said: str, kind: str) -> None:
    assert refusals.kind("gcp", said) == kind
