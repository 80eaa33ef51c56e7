"""``protvec plan``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli.console import duration, note
from protvec.cli.options import (
    Device,
    Engine,
    EngineOption,
    Json,
    Offline,
    Precision,
    PrecisionOption,
    Threads,
    model_settings,
)
from protvec.words import size

if TYPE_CHECKING:
    from protvec.cluster import Forecast, Rate, Wanted
    from protvec.database import Settings


def plan(
    proteins: Annotated[int, typer.Option("--proteins", min=1, help="How many, of distinct sequences.")],
    mean_length: Annotated[float, typer.Option("--mean-length", min=1, help="Their mean length, in residues.")],
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Machines.")] = 1,
    cores: Annotated[int, typer.Option("--cores", min=1, help="Processors of each machine.")] = 1,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="A model of `protvec models`.")] = "ankh-base",
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="N",
            help="Residues that one core embeds in a second, at that mean length.  [default: measured here and now]",
            show_default=False,
        ),
    ] = None,
    egress_price: Annotated[
        float, typer.Option("--egress-price", min=0, help="Price of a GB that leaves the object store.")
    ] = 0.09,
    precision: PrecisionOption = Precision.auto,
    engine: EngineOption = Engine.auto,
    threads: Threads = None,
    device: Device = "cpu",
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """What a large ingest will take: time, disk, memory, index and egress, before anything is there."""
    from protvec import cluster

    wanted = cluster.Wanted(
        proteins=proteins, mean_length=mean_length, nodes=nodes, cores=cores, model=model, egress_price=egress_price
    )
    if rate is None:
        measured = _measured(model_settings(model, precision, engine, threads, device, offline))
    else:
        measured = cluster.Rate.given(rate, mean_length=mean_length, model=model)
    found = cluster.forecast(wanted, measured)
    if as_json:
        print(json.dumps(found.to_dict()))
    else:
        print("\n".join(_lines(wanted, measured, found)))


def _measured(settings: Settings) -> Rate:
    """The rate of a core of this machine."""
    from protvec.cluster import Rate
    from protvec.engine.threads import available_cpus

    checkpoint = settings.checkpoint()
    cores = settings.threads or available_cpus()
    note(f"measuring {checkpoint.spec.name} on {cores} of this machine's cores")
    return Rate.measured(settings.encoder(checkpoint), cores=cores)


def _lines(wanted: Wanted, rate: Rate, found: Forecast) -> list[str]:
    one = wanted.mean_length / rate.seconds(1, wanted.mean_length)
    how = f"in {rate.precision}, measured here" if rate.precision else "as given"
    memory = [
        f"{size(found.worker_memory)} a worker",
        f"{size(found.shard_memory)} for protvec shard",
        f"{size(found.committer_memory)} for protvec commit",
    ]
    rows = [
        ("embed", f"{found.residues:,} residues of {wanted.proteins:,} proteins with {wanted.model}"),
        ("rate", f"{one:,.0f} residues/s a core ({how}), {found.residues_per_second:,.0f}/s on all of them"),
        ("time", f"{duration(found.embed_seconds)} on {wanted.nodes} x {wanted.cores} cores"),
        ("shards", f"{found.shards:,}: protvec shard -n {found.shards}"),
        ("memory", ", ".join(memory)),
        ("search", f"{_searching(found)}: {size(found.search_memory)} of memory for each process that searches"),
    ]
    for codec, taken in found.disk.items():
        commit, price = duration(found.commit_seconds[codec]), f"{found.egress[codec]:,.2f}"
        rows.append((codec, f"{size(taken)} on disk, {commit} to commit, {price} for the egress of all of it"))
    return [f"{name:10}{text}" for name, text in rows]


def _searching(found: Forecast) -> str:
    if found.index == "ivf_sq":
        return f"by an index ({found.index}, {size(found.index_bytes)})"
    return "exact, in memory" if found.index == "exact" else "exact, by a byte of each value in memory"
