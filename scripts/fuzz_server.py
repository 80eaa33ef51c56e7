"""Ask a real server whatever its description allows, and what it does not, for some minutes: no answer may be a 5xx.

Schemathesis makes the requests from /openapi.json. An answer that is a 500, that the description does not know, or that
is not of the form which the description says, fails the run; 503 with Retry-After is what a busy server says. It needs
``pip install 'protvec[server,near]' schemathesis``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _server import Server

import protvec
from protvec import data

_HOOKS = '''
"""What schemathesis has to know of this server."""
import schemathesis

IDS = {ids!r}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Half of the requests ask for what is there."""
    if path_parameters and "db" in path_parameters and hash(str(path_parameters)) % 4:
        path_parameters["db"] = "db"
    id = (path_parameters or {{}}).get("id")
    if id is not None and len(id) != 32 and hash(str(path_parameters)) % 2:  # 32: of a job
        path_parameters["id"] = IDS[len(str(path_parameters)) % len(IDS)]
    return path_parameters


@schemathesis.hook
def map_body(context, body):
    """And of most queries."""
    if isinstance(body, dict) and hash(str(body)) % 3:
        if isinstance(body.get("database"), str):
            body["database"] = "db"
        for name in ("id", "query", "target"):
            if isinstance(body.get(name), str):
                body[name] = IDS[len(str(body)) % len(IDS)]
        for name in ("ids", "like"):
            if isinstance(body.get(name), list) and body[name]:
                body[name] = IDS[:3]
    return body


@schemathesis.check
def no_5xx_but_busy(ctx, response, case):
    """503 with Retry-After is an answer; another 5xx is none."""
    if response.status_code >= 500 and not (response.status_code == 503 and "retry-after" in response.headers):
        raise AssertionError(f"{{response.status_code}}: {{response.text[:300]}}")
'''
CHECKS = (
    "no_5xx_but_busy",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
)


def main() -> int:
    """Run it; 0 where nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, about (default 10)")
    parser.add_argument("--quick", action="store_true", help="one minute")
    parser.add_argument("--seed", type=int, default=None, help="of the requests")
    parser.add_argument("--log", type=Path, default=None, help="where to keep the log of the server")
    parser.add_argument("--report", type=Path, default=None, help="a JSON report of schemathesis")
    asked = parser.parse_args()
    seconds = 60 if asked.quick else round(60 * asked.minutes)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        db = protvec.create(folder / "db", model="near")
        db.ingest(data.sample())
        (folder / "hooks.py").write_text(_HOOKS.format(ids=[protein.id for protein in _some(db)]))
        log = asked.log or folder / "server.log"
        report = (asked.report or folder / "report.json").resolve()
        with Server(folder / "db", "--allow-write", "--limit", "seconds=20", "--limit", "queue=8", log=log) as server:
            subprocess.run(
                _command(server.url, seconds, asked.seed, report),
                check=False,
                cwd=folder,
                env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(folder)},
            )
        failed = [line for line in log.read_text(encoding="utf-8").splitlines() if '"level": "ERROR"' in line]
        for line in failed[:20]:
            print(line[:3000])
        found = json.loads(report.read_text(encoding="utf-8"))
    requests, failures = found["test_cases"]["generated"], len(found["failures"])
    print(f"{requests:,} requests, {failures} failures, {len(failed)} errors in the log of the server")
    return int(bool(failures or failed or not requests))  # an error of schemathesis itself is none of the server


def _some(db: protvec.Database) -> list[protvec.Protein]:
    return db.get_many([id for ids, _ in db.store.iter_vectors() for id in ids][:20])


def _command(url: str, seconds: int, seed: int | None, report: Path) -> list[str]:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--max-time", str(seconds)]
    command += ["--checks", ",".join(CHECKS), "--workers", "2", "--max-examples", "100000", "--continue-on-failure"]
    command += ["--request-timeout", "60", "--no-color", "--suppress-health-check", "all"]
    command += ["--seed", str(seed)] if seed is not None else []
    return [*command, "--report-json-path", str(report)]


if __name__ == "__main__":
    sys.exit(main())
