"""Who asks Azure: the same account as Pulumi's azure-native provider, which reads the same variables."""

import os
from collections.abc import Callable, Mapping
from typing import Any

AUDIENCES = {
    "public": "https://management.azure.com",
    "usgovernment": "https://management.usgovcloudapi.net",
    "china": "https://management.chinacloudapi.cn",
}
"""Resource Manager of each of Azure's clouds, by the name that ARM_ENVIRONMENT has for it."""


def audience(environment: Mapping[str, str]) -> str:
    """Resource Manager of the cloud that the environment names; the public one where it names none."""
    return AUDIENCES.get(environment.get("ARM_ENVIRONMENT", "public").lower(), AUDIENCES["public"])


def tokens(environment: Mapping[str, str] = os.environ) -> Callable[[], str]:
    """What gives a bearer token whenever one is needed; azure-identity keeps and renews it."""
    credential, scope = _credential(environment), f"{audience(environment)}/.default"
    return lambda: str(credential.get_token(scope).token)


def _credential(environment: Mapping[str, str]) -> Any:
    """A service principal by ARM_CLIENT_SECRET, its certificate or ARM_USE_OIDC's token file, a managed identity by
    ARM_USE_MSI, else what azure-identity finds: AZURE_* variables, `az login` and others."""
    from azure import identity  # half a second, and needed only where power changes

    tenant, client = environment.get("ARM_TENANT_ID", ""), environment.get("ARM_CLIENT_ID", "")
    secret, certificate = environment.get("ARM_CLIENT_SECRET"), environment.get("ARM_CLIENT_CERTIFICATE_PATH")
    if environment.get("ARM_USE_MSI", "").lower() == "true":
        return identity.ManagedIdentityCredential(client_id=client or None)
    if tenant and client and secret:
        return identity.ClientSecretCredential(tenant, client, secret)
    if tenant and client and certificate:
        password = environment.get("ARM_CLIENT_CERTIFICATE_PASSWORD")
        return identity.CertificateCredential(tenant, client, certificate, password=password)
    token_file = environment.get("ARM_OIDC_TOKEN_FILE_PATH")
    if tenant and client and token_file and environment.get("ARM_USE_OIDC", "").lower() == "true":
        return identity.WorkloadIdentityCredential(tenant_id=tenant, client_id=client, token_file_path=token_file)
    return identity.DefaultAzureCredential()
