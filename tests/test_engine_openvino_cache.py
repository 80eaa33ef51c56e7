"""Conversions: complete or absent, shared by processes, listed and removed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from checkpoints import write_t5

from protvec.engine import openvino as fast
from protvec.engine.openvino import cache
from protvec.models import find

if TYPE_CHECKING:
    from pathlib import Path

KEY = cache.Key("org/model", None, "a" * 64, "int8", "2026.4.1")


def fill(directory: Path) -> None:
    (directory / "model.bin").write_bytes(b"weights")


def test_a_conversion_is_made_once(tmp_path: Path) -> None:
    made = cache.make(KEY, fill, tmp_path)
    assert cache.make(KEY, pytest.fail, tmp_path) == made
    assert cache.find(KEY, tmp_path) == made
    assert cache.converted(tmp_path) == [made]
    assert made.bytes == sum(path.stat().st_size for path in made.directory.iterdir())


@pytest.mark.parametrize(
    "other",
    [
        cache.Key("org/model", None, "b" * 64, "int8", "2026.4.1"),
        cache.Key("org/model", None, "a" * 64, "bf16", "2026.4.1"),
        cache.Key("org/model", "c0ffee", "a" * 64, "int8", "2026.4.1"),
        cache.Key("org/model", None, "a" * 64, "int8", "2027.0.0"),
        cache.Key("org/model", None, "a" * 64, "int8", "2026.4.1", version=cache.VERSION + 1),
        cache.Key("org_model", None, "a" * 64, "int8", "2026.4.1"),
        cache.Key("org/model", None, "a" * 64, "int8", "2026.4.1", fixed=False),
    ],
)
def test_another_key_does_not_find_it(tmp_path: Path, other: cache.Key) -> None:
    cache.make(KEY, fill, tmp_path)
    assert cache.find(other, tmp_path) is None


@pytest.mark.parametrize("damage", ["truncate", "lose", "manifest", "no manifest"])
def test_a_damaged_conversion_is_made_again(tmp_path: Path, damage: str) -> None:
    directory = cache.make(KEY, fill, tmp_path).directory
    if damage == "truncate":
        (directory / "model.bin").write_bytes(b"wei")
    elif damage == "lose":
        (directory / "model.bin").unlink()
    elif damage == "manifest":
        (directory / cache.MANIFEST).write_text('{"key":')
    else:
        (directory / cache.MANIFEST).unlink()
    assert cache.find(KEY, tmp_path) is None
    made = cache.make(KEY, fill, tmp_path)
    assert (made.directory / "model.bin").read_bytes() == b"weights"


def test_a_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        fill(directory)
        raise RuntimeError("no more room")

    with pytest.raises(RuntimeError, match="no more room"):
        cache.make(KEY, fail, tmp_path)
    assert cache.converted(tmp_path) == []
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_removal_is_by_model_and_precision(tmp_path: Path) -> None:
    made = cache.make(KEY, fill, tmp_path)
    other = cache.make(cache.Key("other", None, "a" * 64, "int8", "2026.4.1"), fill, tmp_path)
    assert cache.remove("org/model", precision="fp32", root=tmp_path) == 0
    assert cache.remove("org/model", root=tmp_path) == made.bytes
    assert cache.converted(tmp_path) == [other]
    assert cache.remove(root=tmp_path) == other.bytes
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


CONVERT = """
import sys
from protvec.engine import openvino
from protvec.engine.openvino import convert
from protvec.models import find
if "slowly" in sys.argv:
    import openvino as ov, time
    serialize = ov.serialize
    def stall(model, xml, weights):
        serialize(model, xml, weights)
        print("written", flush=True)
        time.sleep(60)
    ov.serialize = stall
print(openvino.convert(find(sys.argv[1]), "fp32").directory)
"""


def start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CONVERT, str(directory), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_conversion_is_never_used(tmp_path: Path) -> None:
    checkpoint = find(write_t5(tmp_path / "killed"))
    with start(checkpoint.directory, "slowly") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.kill()
    root = cache.cache_directory()
    assert list(root.glob("killed-*.unfinished"))
    assert not [c for c in fast.converted() if c.key.model == "killed"]
    encoder = fast.load(checkpoint, precision="fp32", threads=1)
    assert next(encoder.encode(["MKV"])).shape == (3, 64)
    assert not list(root.glob("killed-*.unfinished"))


def test_what_a_killed_conversion_left_is_removed(tmp_path: Path) -> None:
    unfinished = tmp_path / f"{KEY.directory_name}.unfinished"
    unfinished.mkdir()
    fill(unfinished)
    assert cache.remove(root=tmp_path) == len(b"weights")
    assert not unfinished.exists()


def test_a_conversion_at_work_is_not_removed(tmp_path: Path) -> None:
    def look(directory: Path) -> None:
        fill(directory)
        assert cache.remove(root=tmp_path) == 0
        assert (directory / "model.bin").is_file()

    assert cache.find(KEY, tmp_path) is None
    cache.make(KEY, look, tmp_path)


def test_two_processes_convert_at_once(tmp_path: Path) -> None:
    directory = write_t5(tmp_path / "twice")
    began = time.time()
    processes = [start(directory) for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    (conversion,) = [c for c in fast.converted() if c.key.model == "twice"]
    assert (conversion.directory / "model.bin").stat().st_mtime >= began - 1


def test_a_damaged_compilation_is_made_again(tmp_path: Path) -> None:
    checkpoint = find(write_t5(tmp_path / "compiled"))
    (right,) = fast.load(checkpoint, precision="fp32", threads=1).encode(["MKVLA"])
    directory = fast.convert(checkpoint, "fp32").directory
    (blob,) = directory.glob("compiled-*.blob")
    whole = blob.read_bytes()
    for damaged in (b"", whole[:100], whole[: len(whole) // 2]):
        blob.write_bytes(damaged)
        (vectors,) = fast.load(checkpoint, precision="fp32", threads=1).encode(["MKVLA"])
        np.testing.assert_array_equal(vectors, right)
        assert blob.read_bytes() != damaged


def test_the_manifest_says_what_it_was_made_from(tmp_path: Path) -> None:
    checkpoint = find(write_t5(tmp_path / "told"))
    conversion = fast.convert(checkpoint, "fp32")
    manifest = json.loads((conversion.directory / cache.MANIFEST).read_text())
    assert manifest["key"]["weights"] == checkpoint.space.weights
    assert set(manifest["files"]) == {"model.xml", "model.bin"}
