"""An object store on this machine, for the tests: moto's S3, and one that answers everything in one way."""

from __future__ import annotations

import http.server
import logging
import threading
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "wJalrXUtnFEMIsSecret"


@contextmanager
def s3(bucket: str) -> Iterator[dict[str, str]]:
    """A server with one empty bucket; what the storage options for it are. Each test process has its own."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        make_bucket(endpoint, bucket)
        yield options(endpoint)
    finally:
        server.stop()


def make_bucket(endpoint: str, name: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{name}", method="PUT")):
        pass


def remove(given: dict[str, str], bucket: str, key: str) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=given["aws_endpoint"],
        aws_access_key_id=given["aws_access_key_id"],
        aws_secret_access_key=given["aws_secret_access_key"],
        region_name=given["aws_region"],
    )
    client.delete_object(Bucket=bucket, Key=key)
    client.close()


def options(endpoint: str) -> dict[str, str]:
    return {
        "aws_endpoint": endpoint,
        "allow_http": "true",
        "aws_access_key_id": "AKIATEST",
        "aws_secret_access_key": SECRET,
        "aws_region": "us-east-1",
    }


class Refusing(http.server.ThreadingHTTPServer):
    """Answers every request with 403; ``requests`` has their paths and ``signers`` how they were signed."""

    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.signers: list[str] = []
        super().__init__(("127.0.0.1", 0), _Refuse)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Refusing:
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Refuse(http.server.BaseHTTPRequestHandler):
    server: Refusing

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.server.signers.append(self.headers.get("Authorization", ""))
        body = b'<?xml version="1.0"?><Error><Code>InvalidAccessKeyId</Code><Message>No such key.</Message></Error>'
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
