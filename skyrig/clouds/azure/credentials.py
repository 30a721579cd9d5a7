"""Who asks Azure, and on which subscription: the same as Pulumi's azure-native provider, which reads the same
variables, in the same order."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from skyrig.clouds.cloud import NotUsable

AUDIENCES = {
    "public": "https://management.azure.com",
    "usgovernment": "https://management.usgovcloudapi.net",
    "china": "https://management.chinacloudapi.cn",
}
"""Resource Manager of each of Azure's clouds, by the name that ARM_ENVIRONMENT has for it."""

LOGIN = "`az login`, or ARM_CLIENT_ID, ARM_TENANT_ID and ARM_CLIENT_SECRET"
"""What mends that nobody is logged in."""

_SUBSCRIPTIONS = ("ARM_SUBSCRIPTION_ID", "AZURE_SUBSCRIPTION_ID")


def audience(environment: Mapping[str, str]) -> str:
    """Resource Manager of the cloud that the environment names; the public one where it names none."""
    named = environment.get("ARM_ENVIRONMENT") or environment.get("AZURE_ENVIRONMENT") or "public"
    return AUDIENCES.get(named.lower(), AUDIENCES["public"])


def subscription(environment: Mapping[str, str] = os.environ) -> str:
    """The subscription that is named here, by a variable or as the default of the az CLI; "" where none is."""
    named = next((environment[name] for name in _SUBSCRIPTIONS if environment.get(name)), "")
    return (named or _default(environment)).lower()


def no_sdk() -> str:
    """That the SDK is not installed, and how it is; "" where it is."""
    names = ("pulumi_azure_native", "requests", "azure", "azure.identity")
    if all(importlib.util.find_spec(name) is not None for name in names):
        return ""
    return "its SDK is not installed: `pip install 'skyrig[azure]'`, in a clone `./rig setup azure`"


def nobody(environment: Mapping[str, str] = os.environ) -> str:
    """That nobody is logged in, and what mends it, by files and variables; "" where somebody seems to be."""
    return "" if _kind(environment) != "cli" or _default(environment) else f"no credentials: {LOGIN}"


def tokens(environment: Mapping[str, str] = os.environ) -> Callable[[], str]:
    """What gives a bearer token whenever one is needed; azure-identity keeps and renews it. NotUsable where nobody is
    logged in."""
    credential, scope = _credential(environment), f"{audience(environment)}/.default"

    def token() -> str:
        from azure.core.exceptions import ClientAuthenticationError

        try:
            return str(credential.get_token(scope).token)
        except ClientAuthenticationError as error:
            said = str(error.message).strip().partition("\n")[0]
            raise NotUsable(f"azure: nobody is logged in: {said}", hint=LOGIN) from error

    return token


def _kind(environment: Mapping[str, str]) -> str:
    """How one is logged in, in the provider's order: default, certificate, secret, oidc, msi, cli."""

    def said(name: str) -> bool:
        return environment.get(name, "").lower() == "true"

    if said("ARM_USE_DEFAULT_AZURE_CREDENTIAL"):
        return "default"
    if environment.get("ARM_CLIENT_CERTIFICATE_PATH"):
        return "certificate"
    if environment.get("ARM_CLIENT_SECRET"):
        return "secret"
    if said("ARM_USE_OIDC"):
        return "oidc"
    return "msi" if said("ARM_USE_MSI") else "cli"


def _credential(environment: Mapping[str, str]) -> Any:
    """What azure-identity has for the way in which one is logged in."""
    from azure import identity  # half a second, and needed only where Azure is asked

    tenant, client = environment.get("ARM_TENANT_ID", ""), environment.get("ARM_CLIENT_ID", "")
    kind = _kind(environment)
    if kind in ("certificate", "secret", "oidc") and not (tenant and client):
        raise NotUsable("azure: ARM_TENANT_ID or ARM_CLIENT_ID is not set", hint=LOGIN)
    if kind == "default":
        return identity.DefaultAzureCredential()
    if kind == "certificate":
        password = environment.get("ARM_CLIENT_CERTIFICATE_PASSWORD")
        file = environment["ARM_CLIENT_CERTIFICATE_PATH"]
        return identity.CertificateCredential(tenant, client, file, password=password)
    if kind == "secret":
        return identity.ClientSecretCredential(tenant, client, environment["ARM_CLIENT_SECRET"])
    if kind == "oidc":
        return _federated(environment, tenant, client)
    if kind == "msi":
        return identity.ManagedIdentityCredential(client_id=client or None)
    return identity.AzureCliCredential(tenant_id=tenant)


def _federated(environment: Mapping[str, str], tenant: str, client: str) -> Any:
    """Who shows another issuer's token: given as text, in a file, or had from GitHub's actions."""
    from azure import identity

    given, file = environment.get("ARM_OIDC_TOKEN"), environment.get("ARM_OIDC_TOKEN_FILE_PATH")
    if given:
        return identity.ClientAssertionCredential(tenant, client, lambda: given)
    if file:
        return identity.WorkloadIdentityCredential(tenant_id=tenant, client_id=client, token_file_path=file)
    if environment.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        return identity.ClientAssertionCredential(tenant, client, lambda: _from_github(environment))
    raise NotUsable("azure: ARM_USE_OIDC without a token", hint="ARM_OIDC_TOKEN or ARM_OIDC_TOKEN_FILE_PATH")


def _from_github(environment: Mapping[str, str]) -> str:
    import requests

    answer = requests.get(
        environment["ACTIONS_ID_TOKEN_REQUEST_URL"],
        params={"audience": environment.get("ARM_OIDC_AUDIENCE") or "api://AzureADTokenExchange"},
        headers={"Authorization": f"Bearer {environment.get('ACTIONS_ID_TOKEN_REQUEST_TOKEN', '')}"},
        timeout=30,
    )
    if not answer.ok:
        raise NotUsable(f"azure: GitHub gives no token: {answer.status_code}", hint="`permissions: id-token: write`")
    return str(answer.json()["value"])


def _default(environment: Mapping[str, str]) -> str:
    """The subscription that the az CLI uses; "" where nobody is logged in there."""
    folder = environment.get("AZURE_CONFIG_DIR") or "~/.azure"
    file = Path(folder).expanduser() / "azureProfile.json"
    try:
        said = json.loads(file.read_text(encoding="utf-8-sig"))  # the CLI writes it with a byte order mark
    except (OSError, ValueError):
        return ""
    listed = said.get("subscriptions") or [] if isinstance(said, dict) else []
    return next((str(each["id"]) for each in listed if each.get("isDefault") and each.get("id")), "")
