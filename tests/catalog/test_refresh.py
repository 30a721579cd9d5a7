"""Prices of today out of recorded answers of the clouds' own APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import price_lists
import pytest
from price_lists import KEY, PriceLists

from skyrig import refreshing
from skyrig.catalog import instances, prices, refreshed, sources
from skyrig.clouds import pricing, web
from skyrig.clouds.gcp import session as google
from skyrig.errors import BadInput, SkyrigError

TODAY = date.today().isoformat()
AZURE, RUNPOD = "/prices.azure.com/api/retail/prices", "/api.runpod.io/graphql"
OCI, LAMBDA = "/apexapps.oracle.com/pls/apex/cetools/api/v1/products/", "/cloud.lambda.ai/api/v1/instance-types"


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceLists]:
    """The APIs, for somebody who has an account with all of these clouds but AWS."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        sources.FILE,
        *google.KEY_VARIABLES,
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with price_lists.serve() as made:
        for name, value in made.env(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield made
    sources.forget()


def refresh(*clouds: str, regions: tuple[str, ...] = ()) -> list[str]:
    """The lines of a refresh."""
    lines: list[str] = []
    refreshing.refresh(clouds, regions, lines.append)
    return lines


def hourly(cloud: str, region: str) -> dict[str, tuple[float | None, float | None]]:
    """On demand and spot by type, of what is of today in a region."""
    return {
        row.instance_type: (row.on_demand, row.spot)
        for row in sources.rows(cloud)
        if row.region == region and row.as_of == TODAY
    }


def test_azure_sizes_cost_what_the_plain_consumption_rows_say(lists: PriceLists) -> None:
    told = refresh("azure", regions=("westus3",))
    assert told == ["azure: 5 prices of 1 region (they were 5 months old)"]
    assert hourly("azure", "westus3") == {
        "Standard_NC24ads_A100_v4": (3.80, 0.91),
        "Standard_NV6ads_A10_v5": (0.46, None),
        "Standard_NCC40ads_H100_v5": (7.0, None),
        "Standard_D8s_v5": (0.384, None),
        "Standard_D8ps_v5": (0.308, None),
    }
    new = instances.find("azure", "Standard_NCC40ads_H100_v5")
    assert (new.accelerator, new.accelerator_count, new.cpus, new.memory_gib) == ("H100", 1, 40, 320)
    assert instances.find("azure", "Standard_D8ps_v5").arch == "arm64"
    assert instances.find("azure", "Standard_NV6ads_A10_v5").accelerator_count == 0.167
    assert refreshed.zones("azure", "westus3", "Standard_NCC40ads_H100_v5") == ("2",), "zone 1 is barred"
    assert prices.find("azure", "westus3", "Standard_NC96ads_A100_v4") is not None
    assert sources.find("azure", "westus3", "Standard_NC96ads_A100_v4") is None, "no longer listed"
    before = prices.find("azure", "westus3", "Standard_ND96isr_H100_v5")
    assert sources.find("azure", "westus3", "Standard_ND96isr_H100_v5") == before, "offered, but not in the list"


def test_azure_without_an_account_prices_what_the_catalog_knows(
    lists: PriceLists, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SKYRIG_AZURE_LOOPBACK")
    monkeypatch.delenv("ARM_SUBSCRIPTION_ID")
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "none"))
    refresh("azure", regions=("westus3",))
    assert set(hourly("azure", "westus3")) == {"Standard_NC24ads_A100_v4", "Standard_NV6ads_A10_v5", "Standard_D8s_v5"}


def test_a_machine_of_google_costs_what_its_parts_cost(lists: PriceLists) -> None:
    assert refresh("gcp") == ["gcp: 5 prices of 1 region (they were of 2025)"]
    found = hourly("gcp", "us-central1")
    ssd, spot_ssd = 16 * 375 * 0.08 / 730, 16 * 375 * 0.0365 / 730
    a3 = 208 * 0.02932 + 1872 * 0.00255 + 8 * 9.79655 + ssd
    assert found["a3-highgpu-8g"][0] == pytest.approx(a3)
    assert found["a3-highgpu-8g"][1] == pytest.approx(208 * 0.01677 + 1872 * 0.00146 + 8 * 5.6 + spot_ssd)
    assert found["a3-megagpu-8g"] == (pytest.approx(208 * 0.02932 + 1872 * 0.00255 + 80 + ssd), None)
    assert found["g2-standard-8"] == (pytest.approx(8 * 0.024988 + 32 * 0.002927 + 0.56004), None)
    assert found["n2-standard-8"] == (pytest.approx(8 * 0.031611 + 32 * 0.004237), None)
    assert found["tpu-v5e (per chip)"] == (1.2, 0.48)
    assert "t2a-standard-8" not in found, "its memory has no price"
    assert "e2-medium" not in found and "n1-standard-96-old" not in found
    b200 = prices.find("gcp", "us-central1", "a4-highgpu-8g")
    assert b200 is not None and sources.find("gcp", "us-central1", "a4-highgpu-8g") == b200
    assert refreshed.zones("gcp", "us-central1", "g2-standard-8") == ("us-central1-a", "us-central1-b")
    assert instances.find("gcp", "a9-highgpu-8g").accelerator == "nvidia-x900"
    assert sources.find("gcp", "us-central1", "a2-highgpu-1g") is None
    v6e = prices.find("gcp", "us-central1", "tpu-v6e (per chip)")
    assert sources.find("gcp", "us-central1", "tpu-v6e (per chip)") == v6e, "no zone lists it: the price stays"


def test_lambda_has_one_price_for_all_regions(lists: PriceLists) -> None:
    refresh("lambda")
    regions = {row.region for row in prices.rows("lambda")} | {"us-new-7"}
    assert {row.region for row in sources.rows("lambda")} == regions
    found = hourly("lambda", "us-new-7")
    assert (found["gpu_1x_a10"], found["gpu_8x_h100_sxm5"]) == ((0.75, None), (23.92, None))
    assert "gpu_8x_v100" not in found
    new = instances.find("lambda", "gpu_8x_b300_sxm6")
    assert (new.accelerator, new.accelerator_count, new.accelerator_memory_gib) == ("B300", 8, 288)
    assert instances.find("lambda", "gpu_1x_a100_sxm4").accelerator == "A100"
    assert instances.find("lambda", "cpu_4x_general").accelerator == ""


def test_oracle_sells_gpus_by_the_piece_and_flexible_machines_by_core_and_memory(lists: PriceLists) -> None:
    refresh("oci")
    found = hourly("oci", "*")
    assert (found["BM.GPU.H100.8"], found["BM.GPU.H200.8"], found["VM.GPU.A10.2"]) == (
        (76, None),
        (80, None),
        (4, None),
    )
    assert found["VM.GPU3.2"] == (5.8, 2.9)
    assert found["VM.Standard.E4.Flex$_8_32"] == (pytest.approx(4 * 0.03 + 32 * 0.0015), pytest.approx(0.084))
    for kept in ("BM.GPU.MI300X.8", "BM.GPU.L40S.4", "VM.Standard.E5.Flex$_8_32"):
        assert sources.find("oci", "*", kept) == prices.find("oci", "*", kept)


def test_runpod_prices_the_pods_that_the_catalog_knows(lists: PriceLists) -> None:
    refresh("runpod")
    found = hourly("runpod", "US")
    assert found["8x_A100-80GB_COMMUNITY"] == (pytest.approx(8 * 1.19), pytest.approx(4.8))
    assert found["1x_A100-80GB_SECURE"] == (1.64, 0.82)
    assert found["1x_L40_SECURE"] == (0.99, None)
    assert "1x_RTX6000-Ada_COMMUNITY" not in found


def test_all_are_asked_at_once_and_one_that_fails_stops_no_other(
    lists: PriceLists, capsys: pytest.CaptureFixture[str]
) -> None:
    lists.pages[RUNPOD] = [price_lists.recorded("runpod/denied.json")]
    lists.pages[OCI] = [{"items": [{"displayName": "Compute - GPU - H100", "metricName": "GPU Per Hour",
                                    "currencyCodeLocalizations": 7}]}]  # fmt: skip
    lists.broken[LAMBDA] = [(429, {"Retry-After": "0"}), (503, {})]
    told = "\n".join(refresh())
    assert "lambda: 48 prices of 8 regions (they were of 2026)" in told
    assert "runpod: not refreshed: Unauthorized (is the key valid?); its prices are of 2024" in told
    assert "oci: not refreshed: its answer is not understood (TypeError: " in told
    assert "aws: not asked: no credentials: `aws configure`, or set AWS_PROFILE" in told
    assert not refreshed.table("oci").exists() and refreshed.table("gcp").exists()
    kept = "".join(each.read_text() for each in refreshed.folder().iterdir())
    assert KEY not in told + kept + "".join(capsys.readouterr())
    assert {each[3] for each in lists.asked if each[1] == LAMBDA} == {f"Bearer {KEY}"}
    assert {each[3] for each in lists.asked if each[1] in (AZURE, OCI)} == {""}


def test_a_cloud_that_was_named_and_fails_is_an_error_and_what_was_known_stays(lists: PriceLists) -> None:
    refresh("lambda")
    lists.pages[LAMBDA] = [{"error": {"code": "global/internal-error", "message": "x"}}]
    with pytest.raises(SkyrigError, match=r"no prices came from lambda .the prices that were known stay") as error:
        refresh("lambda")
    assert error.value.exit_code == 5
    assert hourly("lambda", "us-east-1")["gpu_1x_a10"] == (0.75, None)


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "HTTP 401 (the key is not valid"), (404, "HTTP 404"), (302, "HTTP 302")],
)
def test_what_a_server_refuses_is_told_without_the_key(lists: PriceLists, status: int, says: str) -> None:
    lists.broken[LAMBDA] = [(status, {"Location": f"{lists.url}/elsewhere"})]
    lines: list[str] = []
    with pytest.raises(SkyrigError):
        refreshing.refresh(["lambda"], [], lines.append)
    assert len(lines) == 1 and says in lines[0] and KEY not in lines[0]
    assert [each[1] for each in lists.asked] == [LAMBDA], "no redirect is followed"


def test_a_server_that_stays_busy_is_given_up(lists: PriceLists) -> None:
    lists.broken[OCI] = [(503, {"Retry-After": "0"})] * 6
    with pytest.raises(SkyrigError, match=r"apexapps\.oracle\.com: HTTP 503"):
        web.get("oci", "https://apexapps.oracle.com/pls/apex/cetools/api/v1/products/")
    assert len(lists.asked) == 6


def test_a_region_that_does_not_answer_keeps_what_it_had(lists: PriceLists) -> None:
    refresh("azure", regions=("westus3",))
    before = hourly("azure", "westus3")
    lists.broken[AZURE] = [(400, {})]
    with pytest.raises(SkyrigError, match="no prices came from azure"):
        refresh("azure", regions=("westus3",))
    assert hourly("azure", "westus3") == before
    lists.pages[AZURE] = [
        {"Items": [{**each, "armRegionName": "eastus"} for each in page["Items"]]} for page in lists.pages[AZURE]
    ]
    lists.pages["/subscriptions/sub-1/providers/Microsoft.Compute/skus"] = [{"value": []}]
    refresh("azure", regions=("eastus",))
    assert set(hourly("azure", "eastus")) and hourly("azure", "westus3") == before
    assert instances.find("azure", "Standard_D8ps_v5").arch == "arm64"
    assert refreshed.zones("azure", "westus3", "Standard_NCC40ads_H100_v5") == ("2",)


@pytest.mark.parametrize(
    ("clouds", "regions", "says"),
    [
        (["nebius"], [], "--cloud nebius: its prices cannot be asked for .one of: aws, azure, gcp"),
        ([], ["us-east-1"], "--region goes with one --cloud"),
    ],
)
def test_what_cannot_be_asked_is_said(lists: PriceLists, clouds: list[str], regions: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        refreshing.refresh(clouds, regions, print)
    assert lists.asked == []


def test_only_an_address_of_this_machine_stands_for_the_price_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(web.LOOPBACK, "http://192.0.2.1:80")
    with pytest.raises(BadInput, match="an address of this machine is wanted"):
        web.get("oci", "https://apexapps.oracle.com/")


def test_keys_come_from_variables_or_the_files_of_the_clouds_own_tools(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("LAMBDA_API_KEY", "RUNPOD_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert pricing.of("lambda").missing() == "no key: set LAMBDA_API_KEY"
    (tmp_path / ".lambda_cloud").mkdir()
    (tmp_path / ".lambda_cloud" / "lambda_keys").write_text("api_key = abc\n")
    (tmp_path / ".runpod").mkdir()
    (tmp_path / ".runpod" / "config.toml").write_text('[default]\napi_key = "abc"\n')
    assert pricing.of("lambda").missing() == pricing.of("runpod").missing() == ""


def test_the_verb_tells_what_came_and_gpus_shows_it(lists: PriceLists, clone: Any, tmp_path: Path) -> None:
    env = {**clone.env_more, **lists.env(tmp_path)}
    clone.env_more.update({**env, "AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none"})
    done = clone.run("skyrig", "catalog", "refresh", "--cloud", "lambda,oci", "--json")
    told = {each["cloud"]: each for each in json.loads(done.stdout)["clouds"]}
    assert (told["lambda"]["prices"], told["oci"]["error"]) == (48, None)
    assert "lambda: 48 prices of 8 regions (they were of 2026)" in done.stderr
    shown = json.loads(clone.run("invoke", "gpus", "B300", "--json").stdout)["offers"]
    assert {("lambda", 60.0, 0)} <= {(each["cloud"], each["hourly"], each["age_days"]) for each in shown}
    assert "today" in clone.run("invoke", "gpus", "H200").stdout
    assert clone.run("invoke", "catalog.refresh", "--cloud", "mars").returncode == 2
