"""What a full disk does, tried on a small file system of its own. ``test_disk_full.py`` runs this as a program.

Usage: ``full_disk.py FOLDER FASTA``; the folder is where the small file system is. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import Task, examine, work

ROWS = 20


def leave(folder: Path, free: int) -> None:
    """Fill the file system but for so many bytes."""
    state = os.statvfs(folder)
    with (folder / "ballast").open("ab") as ballast:
        ballast.write(bytes(max(0, state.f_bavail * state.f_frsize - free)))


def make_room(folder: Path) -> None:
    (folder / "ballast").unlink()


def attempt(db: str, *steps: list[Any]) -> str:
    """The error of a task; empty where there is none. It begins also where it cannot fit: others may fill a disk."""
    from protvec import ingest
    from protvec.errors import DatabaseError

    ingest.check_fits = lambda plan, store: None
    try:
        work(Task(db, list(steps), rows=ROWS))
    except DatabaseError as error:
        return str(error)
    return ""


def state(db: str) -> dict[str, Any]:
    found = examine(db)
    return {
        "proteins": len(found.content),
        "content": hash(frozenset(found.content.items())),
        "faults": found.faults,
        "orphans": len(found.orphans),
        "temporary": [path.name for path in Path(db).rglob("*") if path.name.startswith(".tmp") or "#" in path.name],
        "bytes": sum(path.stat().st_size for path in Path(db).rglob("*") if path.is_file()),
    }


def refusal(fasta: str, db: str) -> dict[str, Any]:
    """What ``Database.ingest`` says where there is no room, and what it leaves."""
    import shutil

    from _crash import open_database

    from protvec import ingest
    from protvec.errors import DatabaseError
    from protvec.ingest.cost import check_fits

    ingest.check_fits = check_fits
    shutil.rmtree(db + "-few", ignore_errors=True)
    make_room(Path(db).parent)
    database = open_database(db + "-few")
    leave(Path(db).parent, 900_000)
    before = sorted(str(path) for path in Path(database.path).rglob("*"))
    error = ""
    try:
        database.ingest(fasta, nucleotides_ok=True)
    except DatabaseError as caught:
        error = str(caught)
    after = sorted(str(path) for path in Path(database.path).rglob("*"))
    shutil.rmtree(database.path)
    leave(Path(db).parent, 0)
    return {"error": error, "changed": before != after}


def command(*arguments: str) -> dict[str, Any]:
    line = [sys.executable, "-m", "protvec", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    return {"code": done.returncode, "error": done.stderr}


def main(folder: Path, fasta: str) -> dict[str, Any]:
    db, ingest = str(folder / "db"), ["ingest", fasta]
    found: dict[str, Any] = {}

    def note(name: str, error: str = "") -> None:
        found[name] = state(db) | {"error": error}

    leave(folder, 1_000_000)
    note("full", attempt(db, ingest))
    for _ in range(2):
        attempt(db, ingest)
    note("tried again and again")
    make_room(folder)
    note("room again", attempt(db, ingest))
    leave(folder, 100_000)
    note("compaction", attempt(db, ["compact"]))
    output = str(folder / "out.npy")
    leave(folder, 0)
    found["get"] = command("get", "p1", "--db", db, "--residues", "-o", output)
    found["search"] = command("search", "--id", "p1", "--db", db, "-o", str(folder / "hits.tsv"))
    found["files left"] = sorted(path.name for path in folder.iterdir())
    note("deletion", attempt(db, ["delete", ["p1", "p2"]]))
    found["creation"] = attempt(str(folder / "new"), ingest)
    found["library"] = refusal(fasta, db)
    found["cannot fit"] = command("ingest", fasta, "--db", str(folder / "newer"), "--model", "near")
    make_room(folder)
    note("deletion with room", attempt(db, ["delete", ["p1", "p2"]]))
    found["creation with room"] = attempt(str(folder / "new"), ingest)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
