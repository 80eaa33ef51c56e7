"""Past one machine: records cut into shards, shards embedded anywhere, and committed into one database.

``cut`` reads FASTA and leaves a directory of shards, ``embed_shard`` embeds one of them on whichever machine sees that
directory, ``commit`` puts them into a database. The result is that of an ingest on one machine. On a Ray cluster,
``ingest_on_ray`` does all of it, and ``index_on_ray`` builds the index of vectors.
"""

from __future__ import annotations

from protvec.cluster.committing import Committed, check_complete, commit, committed_shards
from protvec.cluster.cutting import cut
from protvec.cluster.embedding import embed_shard, encoder_for
from protvec.cluster.forecast import Forecast, Rate, Wanted, forecast
from protvec.cluster.indexing import index_on_ray
from protvec.cluster.manifest import Manifest, Part
from protvec.cluster.on_ray import ingest_on_ray
from protvec.cluster.shards import Progress, Shards

__all__ = [
    "Committed",
    "Forecast",
    "Manifest",
    "Part",
    "Progress",
    "Rate",
    "Shards",
    "Wanted",
    "check_complete",
    "commit",
    "committed_shards",
    "cut",
    "embed_shard",
    "encoder_for",
    "forecast",
    "index_on_ray",
    "ingest_on_ray",
]
