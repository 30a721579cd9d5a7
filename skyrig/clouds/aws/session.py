"""Clients of AWS's services, and its errors as ours."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skyrig.clouds.cloud import NotUsable
from skyrig.errors import SkyrigError

_SDKS = ("pulumi_aws", "boto3")
_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)
_DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
_UNKNOWN = ("InvalidClientTokenId", "AuthFailure", "ExpiredToken", "ExpiredTokenException", "SignatureDoesNotMatch")


def missing() -> str:
    """What is missing for using AWS from here, by files and variables; "" where nothing is."""
    absent = [name for name in _SDKS if importlib.util.find_spec(name) is None]
    if absent:
        return "its SDK is not installed: `pip install 'skyrig[aws]'`, in a clone `./rig setup aws`"
    files = [os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
             os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")]  # fmt: skip
    if any(os.environ.get(name) for name in _VARIABLES) or any(Path(file).expanduser().exists() for file in files):
        return ""
    return "no credentials: `aws configure`, or set AWS_PROFILE"


@functools.cache
def client(service: str, region: str) -> Any:
    """A client of one service in one region; safe to use from several threads."""
    if reason := missing():
        raise NotUsable(f"aws: {reason}")
    import boto3
    from botocore.config import Config

    patience = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=30)
    return boto3.client(service, region_name=region, config=patience)


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """Errors of AWS in one line that names `what` was asked."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except NoCredentialsError as error:
        raise NotUsable("aws: no credentials", hint="`aws configure`, or set AWS_PROFILE") from error
    except ClientError as error:
        code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code in _UNKNOWN:
            raise NotUsable(
                f"aws: the credentials are not valid ({code})", hint="renew them, then try again"
            ) from error
        if code in _DENIED:
            raise NotUsable(f"aws: {what} is not allowed: {said}", hint="`invoke check` lists the rights") from error
        raise SkyrigError(f"aws: {what}: {code}: {said}") from error
    except (BotoCoreError, ResponseParserError) as error:
        raise SkyrigError(f"aws: {what}: {' '.join(str(error).split())[:300]}") from error
