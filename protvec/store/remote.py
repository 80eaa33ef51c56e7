"""What goes wrong with object stores, in plain words."""

from __future__ import annotations

import re

# For the first look at a place: a wrong name or a missing network is to be said within seconds. Reads and
# writes after it keep lance's own patience (3 retries within 180 seconds): a long run must survive a hiccup.
QUICK = {"connect_timeout": "3s", "timeout": "10s", "client_max_retries": "1", "client_retry_timeout": "10"}

_CREDENTIALS = (
    "no credentials: set the environment variables of your store (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY) or give --storage-option"
)
# The first pattern that is found in an error of lance says what it means.
_MEANINGS = (
    (r"NoSuchBucket|ContainerNotFound|bucket does not exist", "there is no such bucket"),
    (
        r"AWS credentials|token request|no Azure account name|FailedToLoadToken|metadata/identity|InvalidGrant"
        r"|Missing.?(Account|AccessKey|Secret)",
        _CREDENTIALS,
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|AuthenticationFailed|AuthFailure|InvalidToken"
        r"|ExpiredToken|InvalidClientTokenId|40[13] (Forbidden|Unauthorized)|PermissionDenied|Unauthenticated",
        "access denied{code}: check the credentials and what they may do",
    ),
    (r"[Ff]ailed to resolve region", "the region of the bucket is not known: set AWS_REGION, and AWS_ENDPOINT_URL"),
    (r"scheme is not allowed|InsecureTransport", "plain http is not allowed: set AWS_ALLOW_HTTP=true if you mean it"),
    (r"error sending request|timed out|dns error|[Cc]onnection refused|tcp connect", "no answer from {host}"),
    (r"[Rr]etry_timeout|after \d+ retries|50[0234] ", "{host} keeps failing: try again later"),
    (r"404 Not Found", "there is no such bucket, or the endpoint is another service"),
)


def explain_remote(error: BaseException) -> str:
    """A failure of an object store in one line, without what may be secret."""
    text = " ".join(str(error).split())
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, text):
            return meaning.format(code=_code(text), host=_host(text))
    return scrubbed(text)[:200]


def is_remote(text: str) -> bool:
    """Whether an error of lance speaks of an object store."""
    return re.search(r"Generic (S3|GCS|MicrosoftAzure|N/A|HTTP) error|https?://|Error performing", text) is not None


def scrubbed(text: str) -> str:
    """The text without the query part of URLs: signatures stand there."""
    return re.sub(r"(https?://[^\s?]+)\?\S+", r"\1", text)


def _code(text: str) -> str:
    found = re.search(r"<Code>(\w+)</Code>", text)
    return f" ({found[1]})" if found else ""


def _host(text: str) -> str:
    found = re.search(r"https?://[^/\s?]+", text)
    return f"{found[0]} (check the network and the endpoint)" if found else "the object store"
