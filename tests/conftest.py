"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

# One thread a process, here and in sub-processes: the tests of two processes would wait for one another's threads.
# It must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Some tests interrupt themselves; a shell starts its background jobs deaf to that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from checkpoints import ANKH3_PIECES, write_t5
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A machine with other work to do may take any time for an example.
settings.register_profile("protvec", deadline=None)
settings.load_profile("protvec")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's cache directory of protvec, for the tests alone; sub-processes inherit it."""
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(directory))
        yield directory


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real T5 of Ankh's kind: gated GELU, 64 buckets, distance 128, 144 tokens. Not to be changed."""
    directory = tmp_path_factory.mktemp("models") / "tiny-ankh"
    return write_t5(directory, d_model=96, layers=3, heads=4, d_kv=24, d_ff=192)


@pytest.fixture(scope="session")
def ankh3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint that passes for ankh3-large: its dimension and its vocabulary. Not to be changed."""
    return write_t5(
        tmp_path_factory.mktemp("models") / "ankh3",
        d_model=1536,
        layers=1,
        heads=2,
        d_kv=8,
        d_ff=16,
        activation="gated-silu",
        pieces=ANKH3_PIECES,
        vocabulary=256,
        tokenizer="spiece.model",
    )


@pytest.fixture(scope="session")
def plants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the offline model for servers and their clients. Not to be changed."""
    from server_client import make_database

    return make_database(tmp_path_factory.mktemp("plants"))
