"""One shard embedded, into a small database of its own: killed and started again, it goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from typing import TYPE_CHECKING

from protvec.cluster.shards import ARITHMETIC
from protvec.errors import ShardError, SpaceMismatchError
from protvec.ingest import make_plan, run
from protvec.store import note_once, noted

if TYPE_CHECKING:
    from collections.abc import Callable

    from protvec.cluster.shards import Shards
    from protvec.database import Settings
    from protvec.engine.base import Encoder
    from protvec.ingest import Observer, Plan, Report

PROBE = "MARTKQTARKSTGGKAPRKQLATKAARKSAPATGGVKKPHRFRPGTVALREIRKYQKST"  # the head of histone H3


def embed_shard(
    shards: Shards, number: int, encoder: Callable[[], Encoder], observer: Callable[[Plan], Observer] | None = None
) -> Report:
    """Embed what of a shard is not embedded yet.

    It is an ingest into the shard's own database, in this directory of shards: so it commits at least once a minute,
    a kill costs what was embedded since, and two workers at one shard share its sequences or, where they cannot see
    each other, do some twice and store each once.

    Args:
        shards: The directory.
        number: Of the shard.
        encoder: Gives the engine, if there is anything to embed: see ``encoder_for``.
        observer: Makes what sees progress and may stop the run, of what there is to do.

    Returns:
        The report of that ingest: of a shard that was complete before, all is unchanged.

    Raises:
        ShardError: There is no such shard, or its records are damaged.
        IngestInterrupted: The observer asked to stop; what was done so far is stored.
        DatabaseError: The disk.
    """
    shards.check(number)
    store = shards.make_output(number)
    plan = make_plan([shards.source(number)], store, shards.options)
    engine = encoder() if plan.distinct else None
    if engine is not None:
        store.note_precision(engine.precision)
    return run(plan, store, engine, observer(plan) if observer else None)


def precision_of(shards: Shards) -> str | None:
    """The arithmetic that the shards are embedded in; None where it was left to the first worker, which is to come."""
    return shards.manifest.precision or _first(shards).get("precision")


def engine_of(shards: Shards) -> str | None:
    """What the first worker ran the model with; None where there has been none, or it did not say."""
    return _first(shards).get("engine")


def _first(shards: Shards) -> dict[str, str]:
    """What the first worker has said of how it embeds."""
    word = noted(shards.location.join(ARITHMETIC))
    return {} if word is None else dict(json.loads(word))


def encoder_for(shards: Shards, settings: Settings) -> Encoder:
    """The engine that a worker embeds with: in the same arithmetic as all the others.

    Where it was left open when the records were cut, the first worker says which, for all.

    Args:
        shards: The directory.
        settings: How to get and run the model.

    Raises:
        ModelError: The model's weights cannot be had.
        SpaceMismatchError: They are not those that the shards are for.
        EngineError: This machine does not run that arithmetic.
    """
    space = shards.manifest.space
    checkpoint = settings.checkpoint(space.model)
    if not space.matches(checkpoint.space):
        raise SpaceMismatchError(
            f"{shards.path} is for vectors of {space}, not of {checkpoint.space}",
            expected=space,
            actual=checkpoint.space,
        )
    precision = precision_of(shards) or settings.precision
    encoder = dataclasses.replace(settings, precision=precision).encoder(checkpoint)
    agreed = _agree(shards, encoder, settings)
    if agreed != encoder.precision:  # another worker was first, and said otherwise
        encoder = dataclasses.replace(settings, precision=agreed).encoder(checkpoint)
    return encoder


def fingerprint(encoder: Encoder) -> str:
    """What tells engines apart that differ in the last bit: a digest of the residues of one short sequence."""
    (residues,) = encoder.encode([PROBE])
    return hashlib.sha256(residues.tobytes()).hexdigest()[:16]


def _agree(shards: Shards, encoder: Encoder, settings: Settings) -> str:
    """Say how this worker embeds, or hear how the first one does."""
    own = {
        "precision": encoder.precision,
        "engine": encoder.engine,
        "fingerprint": fingerprint(encoder),
        "host": platform.node(),
    }
    first = json.loads(note_once(shards.location.join(ARITHMETIC), json.dumps(own)))
    if shards.manifest.precision not in (None, first["precision"]):
        raise ShardError(f"{shards.path}: was begun in {first['precision']}, but says {shards.manifest.precision}")
    if first["precision"] == own["precision"] and first["fingerprint"] != own["fingerprint"] and settings.notify:
        settings.notify(
            f"this machine ({own['host']}) embeds in {own['precision']} as the first worker of these shards did "
            f"({first['host']}), but not to the last bit: share the cache of converted models, or take machines alike"
        )
    return str(first["precision"])
