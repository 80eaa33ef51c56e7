"""What goes wrong with object stores, in plain words."""

from __future__ import annotations

import re

# For the first look at a place: a wrong name or a missing network is to be said within seconds. Reads and
# writes after it keep lance's own patience (3 retries within 180 seconds): a long run must survive a hiccup.
QUICK = {"connect_timeout": "3s", "timeout": "10s", "client_max_retries": "1", "client_retry_timeout": "10"}

# What each store's own tools read, and lance with them.
_VARIABLES = {
    "GCS|gcp|google": "GOOGLE_APPLICATION_CREDENTIALS",
    "Azure": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}
# The first pattern that is found in an error of lance says what it means.
_MEANINGS = (
    (r"NoSuchBucket|ContainerNotFound|bucket does not exist", "there is no such bucket"),
    (
        r"AWS credentials|token request|no Azure account name|FailedToLoadToken|metadata/identity|InvalidGrant"
        r"|Missing.?(Account|AccessKey|Secret)",
        "no credentials: set {variables} in the environment, or give them by --storage-option",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|AuthenticationFailed|AuthFailure|InvalidToken"
        r"|ExpiredToken|InvalidClientTokenId|40[13] (Forbidden|Unauthorized)|PermissionDenied|Unauthenticated",
        "access denied{code}: check the credentials and what they may do",
    ),
    (r"[Ff]ailed to resolve region", "the bucket's region cannot be found out: set AWS_REGION"),
    (r"http://.*builder error|scheme is not allowed", "plain http is off: give --storage-option allow_http=true"),
    (r"error sending request|timed out|dns error|[Cc]onnection refused|tcp connect", "no answer from {host}"),
    (r"[Rr]etry_timeout|after \d+ retries|50[0234] ", "{host} keeps failing: try again later"),
    (r"404 Not Found", "there is no such bucket, or the endpoint is another service"),
)


def explain_remote(error: BaseException) -> str:
    """A failure of an object store in one line, without what may be secret."""
    text = " ".join(str(error).split())
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, text):
            return meaning.format(code=_code(text), host=_host(text), variables=_variables(text))
    return unwrapped(text)


def is_remote(text: str) -> bool:
    """Whether an error of lance speaks of an object store."""
    return re.search(r"Generic (S3|GCS|MicrosoftAzure|N/A|HTTP) error|https?://|Error performing", text) is not None


def unwrapped(text: str) -> str:
    """Lance's message without its wrapping, its source positions, and the query part of URLs: signatures are there."""
    text = re.sub(r"(https?://[^\s?]+)\?\S+", r"\1", " ".join(text.split()))
    text = re.sub(r",? ?/(\S*/)?(rust|rustc)/\S+", "", text)
    text = re.sub(
        r"^((Invalid user input|(Query Execution|External|Generic \S+) error|LanceError\(\w+\)): )+", "", text
    )
    return text if len(text) <= 200 else text[:197] + "..."


def _code(text: str) -> str:
    found = re.search(r"<Code>(\w+)</Code>", text)
    return f" ({found[1]})" if found else ""


def _host(text: str) -> str:
    found = re.search(r"https?://[^/\s?]+", text)
    return f"{found[0]} (check the network and the endpoint)" if found else "the object store"


def _variables(text: str) -> str:
    return next(names for pattern, names in _VARIABLES.items() if re.search(pattern, text))
