"""Which precision ``auto`` takes: the fastest one whose fidelity card says that it is good enough here."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.engine import fidelity
from protvec.engine.fidelity import Card, Fidelity
from protvec.engine.threads import available_cpus
from protvec.files import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from protvec.engine.base import Encoder
    from protvec.models import Checkpoint

    Notify = Callable[[str], None]


def choose(checkpoint: Checkpoint, *, threads: int | None = None, notify: Notify | None = None) -> str:
    """The precision that ``auto`` stands for on this machine.

    The first time, every fast precision that the processor supports is converted and measured; the card is kept.

    Args:
        checkpoint: The model.
        threads: Threads to measure with.
        notify: Called with a line of text: that a measurement is being made, and where a precision failed it.
    """
    say = notify or (lambda _: None)
    candidates = [precision for precision in runnable(checkpoint) if precision != "fp32"]
    if not candidates:
        return "fp32"
    card = read_card(checkpoint)
    if card is None or not set(candidates) <= set(card.measured):
        say(f"measuring {' and '.join(candidates)} of {checkpoint.spec.name} against fp32; once on this machine")
        card = verify(checkpoint, candidates, threads=threads)
        if card.fixed and card.measured["int8"].passed:
            say(freed(card, card.fixed))
    for entry in card.measured.values():
        if entry.precision in candidates and not entry.passed:
            say(failure(card, entry))
    return card.best or "fp32"


def runnable(checkpoint: Checkpoint) -> list[str]:
    """The precisions that the fast engine runs a model in on this processor, without emulation."""
    from protvec.engine.openvino import supported_precisions

    supported = supported_precisions()
    # NEAR's convolutions have no integer form.
    return [p for p in supported if p != "int8" or checkpoint.spec.architecture == "t5"]


def failure(card: Card, entry: Fidelity) -> str:
    """The sentence that says why ``auto`` leaves a precision out."""
    return (
        f"{entry.precision} is not used for {card.model}: its cosine with fp32 falls to {entry.pooled_min:.4f} for "
        f"a protein and {entry.residue_min:.4f} for a residue; at least {fidelity.POOLED_LIMIT} and "
        f"{fidelity.RESIDUE_LIMIT} are needed. --precision {entry.precision} forces it"
    )


def freed(card: Card, entry: Fidelity) -> str:
    """The sentence that says that int8 runs without fixed steps, and why."""
    return (
        f"int8 of {card.model} finds every step of its rounding while it runs: with steps fixed at conversion, which "
        f"is a little faster, its cosine with fp32 fell to {entry.pooled_min:.4f} for a protein and "
        f"{entry.residue_min:.4f} for a residue"
    )


def verify(checkpoint: Checkpoint, precisions: Sequence[str], *, threads: int | None = None) -> Card:
    """Measure precisions against the fp32 reference in torch, on the same weights, and keep the card.

    Where int8 fails and some of its steps were fixed at conversion, they are given up, and it is measured again.

    Args:
        checkpoint: The model.
        precisions: Which to measure; what an older card of the same conversion holds of others stays in it.
        threads: Threads to measure with; by default all that this process may use.
    """
    from protvec import engine
    from protvec.engine.openvino import free, is_free

    sequences = fidelity.probe()
    torch = engine.load(checkpoint, engine="torch", precision="fp32")
    reference, reference_speed = fidelity.run(torch, sequences)
    golden = _golden(checkpoint, torch)
    del torch  # its weights need not lie beside the converted ones
    before = read_card(checkpoint)
    measured, fixed = (dict(before.measured), before.fixed) if before else ({}, None)

    def measure(precision: str) -> Fidelity:
        return _measure(checkpoint, precision, reference, sequences, threads=threads)

    for precision in precisions:
        measured[precision] = measure(precision)
    if "int8" in precisions and not is_free(checkpoint):
        fixed = None
        if not measured["int8"].passed and free(checkpoint):
            fixed, measured["int8"] = measured["int8"], measure("int8")
    card = Card(
        model=checkpoint.spec.name,
        weights=checkpoint.space.weights,
        machine=machine(),
        threads=threads or available_cpus(),
        converter=_converter(),
        proteins=len(sequences),
        residues=sum(map(len, sequences)),
        reference_speed=reference_speed,
        golden=golden,
        measured={name: measured[name] for name in ("fp32", "bf16", "int8") if name in measured},
        fixed=fixed,
    )
    _write(card, _path(checkpoint))
    return card


def _measure(
    checkpoint: Checkpoint,
    precision: str,
    reference: Sequence[NDArray[np.float32]],
    sequences: Sequence[str],
    *,
    threads: int | None,
) -> Fidelity:
    """One precision, converted where that was not done yet, against what the reference gave."""
    from protvec.engine import openvino

    encoder: Encoder = openvino.load(checkpoint, precision=precision, threads=threads)
    arrays, speed = fidelity.run(encoder, sequences)
    return fidelity.compare(precision, reference, arrays, residues_per_second=speed)


def _golden(checkpoint: Checkpoint, encoder: Encoder) -> float | None:
    """How near the reference is to the official checkpoint's golden figures, where they are known."""
    from protvec import engine
    from protvec.models.golden import GOLDEN_OUTPUTS, GOLDEN_SEQUENCES

    if checkpoint.space.repository is None or checkpoint.spec.name not in GOLDEN_OUTPUTS:
        return None
    if checkpoint.spec.prefix:  # the figures were made without one
        encoder = engine.load(replace(checkpoint, spec=replace(checkpoint.spec, prefix="")), engine="torch")
    figures = [row[0] for row in GOLDEN_OUTPUTS[checkpoint.spec.name].rows]
    return fidelity.golden_cosine(encoder, figures, GOLDEN_SEQUENCES)


def read_card(checkpoint: Checkpoint) -> Card | None:
    """The card of a model on this machine; None where there is none, or it is of another conversion."""
    try:
        card = Card.from_json(_path(checkpoint).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    current = (checkpoint.space.weights, machine(), _converter())
    return card if (card.weights, card.machine, card.converter) == current else None


def machine() -> str:
    """The processor, as a person knows it."""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        if found := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE):
            return f"{found[1].strip()} ({platform.machine()})"
    return f"{platform.processor() or platform.system()} ({platform.machine()})"


def _converter() -> str:
    from importlib.metadata import version

    from protvec.engine.openvino.cache import VERSION

    return f"{VERSION}, openvino {version('openvino')}"


def _path(checkpoint: Checkpoint) -> Path:
    """One card for each model and kind of processor: a home directory may be shared by many machines."""
    from platformdirs import user_cache_path

    name = re.sub(r"[^A-Za-z0-9._-]", "_", checkpoint.spec.name)
    key = hashlib.sha256(f"{checkpoint.space.weights} {machine()}".encode()).hexdigest()
    return Path(user_cache_path("protvec")) / "cards" / f"{name}-{key[:16]}.json"


def _write(card: Card, path: Path) -> None:
    """Atomically: another process may be reading, or writing its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(card.to_json(), encoding="utf-8")
