#!/bin/bash
# Ingest FASTA files into one database on a Slurm cluster. Run it on the login node, or in a job of its own:
#
#     ./submit.sh DB SHARDS N FASTA...      # such as: ./submit.sh plants.lancedb shards 64 *.fa.gz
#
# DB and SHARDS are directories on a file system that all nodes see, or s3://…; N is the number of shards, the tasks of
# the array job. Options of `protvec shard` may stand in PROTVEC_SHARD_OPTIONS, such as "--model near --dataset all".
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export DB=$1 SHARDS=$2
n=$3
shift 3

# Run again with the same files, this changes nothing: the shards that are there stay.
protvec shard "$@" --db "$DB" -n "$n" -o "$SHARDS" --skip-invalid ${PROTVEC_SHARD_OPTIONS:-}

array=$(sbatch --parsable --array="0-$((n - 1))" "$here/embed.sbatch")
# After all tasks have ended, well or not: the commit itself names the shards that are missing, and takes none of them.
sbatch --parsable --dependency="afterany:$array" "$here/commit.sbatch"
