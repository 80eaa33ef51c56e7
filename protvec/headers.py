"""A header line of any source becomes typed metadata; the id is never touched.

``parse`` tries one small function for each style. A style either recognises the line by marks that no other
has and says what the line says, or steps aside. Nothing is guessed: a line of unknown style keeps its
description and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable

ARABIDOPSIS = ("Arabidopsis thaliana", 3702)

_AGI = re.compile(r"(?:^|_)((AT[1-5CM]G[0-9]{5})(?:\.[0-9]+)?)$", re.IGNORECASE)
# Both TAIR and Araport write it; TAIR writes chr, Araport Chr.
_LOCATION = re.compile(r"([Cc]hr)\w+:[0-9]+-[0-9]+(?:\s+(?:FORWARD|REVERSE))?(?=\s|$)")
_PEFF_KEY = re.compile(r"(?:^|\s)\\([A-Za-z]\w*)=")
_UNIPROT_ID = re.compile(r"(sp|tr)\|([^|]+)\|")
_UNIPROT_KEY = re.compile(r"(?:^|\s)(OS|OX|GN|PE|SV)=")
_ENSEMBL = re.compile(r"pep(?::\S+)?\s+(\w+:\S+)\s.*\bgene:", re.DOTALL)
_ENSEMBL_KEY = re.compile(r"(?:^|\s)(gene|transcript|gene_biotype|transcript_biotype|gene_symbol):")
_PHYTOZOME_OLD = re.compile(r"([^|]+)\|PACid:([0-9]+)$")
_PHYTOZOME_KEY = re.compile(r"(?:^|\s)(pacid|transcript|locus|ID|annot-version|polypeptide)=")
_NCBI_PIPES = re.compile(r"(?:gi\|[0-9]+\|)?(ref|gb|emb|dbj)\|([^|]+)\|")
_REFSEQ = re.compile(r"(?:^|_)([ANWXYZ]P_[0-9]{6,}(?:\.[0-9]+)?)$")
_GENBANK = re.compile(r"[A-Z]{3}(?:[0-9]{5}|[0-9]{7})\.[0-9]+$")
_SCOP_ID = re.compile(r"([deg][0-9][0-9a-z]{3}[0-9A-Za-z_.]{2})(?:/([a-l](?:\.[0-9]+){3}))?$")
_SCOP_CLASS = re.compile(r"[a-l](?:\.[0-9]+){3}(?=\s|$)")
_CATH_ID = re.compile(r"cath\|[^|]+\|([0-9][0-9A-Za-z]{6})(?:/|$)")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a header line says of its protein; None where it says nothing.

    Attributes:
        description: The part written for people.
        gene: The primary gene symbol, the first of ``symbols``.
        symbols: All gene symbols, in order.
        locus: The gene's locus or gene id.
        transcript: The transcript of which this is the product.
        organism: The organism's scientific name, as written.
        taxid: NCBI taxonomy id.
        accession: The accession of the protein in its source.
        source: The database or annotation: TAIR10, Araport11, PeptideAtlas, UniProt/Swiss-Prot,
            UniProt/TrEMBL, Ensembl, Phytozome, RefSeq, GenBank, SCOP or CATH.
        location: Where the gene lies on the genome, as written.
    """

    description: str | None = None
    gene: str | None = None
    symbols: tuple[str, ...] = ()
    locus: str | None = None
    transcript: str | None = None
    organism: str | None = None
    taxid: int | None = None
    accession: str | None = None
    source: str | None = None
    location: str | None = None


def parse(id: str, description: str) -> Metadata:
    """The metadata of a header line; it never fails.

    A locus of *Arabidopsis* (``AT1G01010.1``, ``ATCG00500.1``) is read from the id in every style, but the
    organism follows only from a line that names TAIR10 or Araport11, or is laid out as theirs.

    Args:
        id: The first word of the header.
        description: The rest of it.
    """
    metadata = Metadata(_text(description))
    for style in _STYLES:
        if (found := style(id, description)) is not None:
            metadata = found
            break
    agi = _AGI.search(id)
    if agi is None:
        return metadata
    return replace(
        metadata,
        locus=metadata.locus or agi[2].upper(),
        transcript=metadata.transcript or _transcript(agi[1]),
    )


def _tair(name: str, description: str) -> Metadata | None:
    """``| Symbols: A, B | description | chr5:1-2 FORWARD LENGTH=134``: TAIR10, and Araport11 of all years."""
    fields = [field.strip() for field in description.split("|")]
    at = next((n for n, field in enumerate(fields) if _LOCATION.match(field)), None)
    if at is None or fields[0] or not _AGI.search(name):
        return None
    location = _LOCATION.match(fields[at])
    texts = fields[1:at]
    symbols: tuple[str, ...] = ()
    if texts and texts[0].startswith("Symbols:"):
        symbols = _split(texts.pop(0).removeprefix("Symbols:"))
    organism, taxid = ARABIDOPSIS
    return Metadata(
        description=_text(" | ".join(texts)),
        gene=_first(symbols),
        symbols=symbols,
        organism=organism,
        taxid=taxid,
        source="TAIR10" if location and location[1] == "chr" else "Araport11",
        location=location[0] if location else None,
    )


def _peff(name: str, description: str) -> Metadata | None:
    r"""``text \Key=value \Key=value``, percent-encoded; in PeptideAtlas the text is Araport11's line."""
    text, keys = _keys(_PEFF_KEY, description)
    if not keys:
        return None
    base = _tair(name, text) or Metadata(_text(text))
    title = keys.get("PName", base.description)
    symbols = _split(keys.get("GName", "")) or base.symbols
    return replace(
        base,
        description=_text(unquote(title or "")),
        gene=_first(symbols),
        symbols=symbols,
        organism=_text(unquote(keys.get("TaxName", ""))) or base.organism,
        taxid=_taxid(keys.get("NcbiTaxId", "")) or base.taxid,
        source="PeptideAtlas" if name.startswith("PeptideAtlas_") else None,
    )


def _uniprot(name: str, description: str) -> Metadata | None:
    """``sp|P38798|NMD2_YEAST Name OS=Organism OX=559292 GN=NMD2 PE=1 SV=2``; isoforms lack PE and SV."""
    match = _UNIPROT_ID.match(name)
    if match is None:
        return None
    text, keys = _keys(_UNIPROT_KEY, description)
    gene = _text(keys.get("GN", ""))
    agi = _AGI.match(gene or "")
    return Metadata(
        description=_text(text),
        gene=gene,
        symbols=(gene,) if gene else (),
        locus=agi[2].upper() if agi else None,
        organism=_text(keys.get("OS", "")),
        taxid=_taxid(keys.get("OX", "")),
        accession=match[2],
        source="UniProt/Swiss-Prot" if match[1] == "sp" else "UniProt/TrEMBL",
    )


def _ensembl(_: str, description: str) -> Metadata | None:
    """``pep chromosome:TAIR10:3:1:2:-1 gene:… transcript:… gene_symbol:… description:… [Source:…]``."""
    match = _ENSEMBL.match(description)
    if match is None:
        return None
    # The description is last, and may hold anything.
    head, mark, text = description.partition(" description:")
    keys = _keys(_ENSEMBL_KEY, head)[1]
    gene = _text(keys.get("gene_symbol", ""))
    organism, taxid = ARABIDOPSIS if ":TAIR10:" in match[1] else (None, None)
    return Metadata(
        description=_text(text.partition("[Source:")[0]) if mark else None,
        gene=gene,
        symbols=(gene,) if gene else (),
        locus=_text(keys.get("gene", "")),
        transcript=_text(keys.get("transcript", "")),
        organism=organism,
        taxid=taxid,
        source="Ensembl",
        location=match[1],
    )


def _phytozome(_: str, description: str) -> Metadata | None:
    """``pacid=37375748 transcript=ATCG00500.1 locus=ATCG00500 ID=… annot-version=Araport11``."""
    text, keys = _keys(_PHYTOZOME_KEY, description)
    if "pacid" not in keys:
        return None
    organism, taxid = ARABIDOPSIS if keys.get("annot-version") in {"TAIR10", "Araport11"} else (None, None)
    return Metadata(
        description=_text(text),
        locus=_text(keys.get("locus", "")),
        transcript=_text(keys.get("transcript", "")),
        organism=organism,
        taxid=taxid,
        accession=_text(keys["pacid"]),
        source="Phytozome",
    )


def _phytozome_old(name: str, description: str) -> Metadata | None:
    """``Thhalv10000734m|PACid:20179467``: a transcript; its locus is it without ``.1``."""
    match = _PHYTOZOME_OLD.match(name)
    if match is None:
        return None
    transcript = match[1].removesuffix(".p")
    return Metadata(
        description=_text(description),
        locus=_text(re.sub(r"\.[0-9]+$", "", transcript)),
        transcript=_text(transcript),
        accession=match[2],
        source="Phytozome",
    )


def _ncbi(name: str, description: str) -> Metadata | None:
    """``NP_001030923.1 name [organism]``; also ``gi|12962937|ref|NP_056480.1|``, ``plastid_NP_043003.1``."""
    pipes, refseq, genbank = _NCBI_PIPES.match(name), _REFSEQ.search(name), _GENBANK.match(name)
    if pipes:
        accession, source = pipes[2], "RefSeq" if pipes[1] == "ref" else "GenBank"
    elif refseq:
        accession, source = refseq[1], "RefSeq"
    elif genbank:
        accession, source = genbank[0], "GenBank"
    else:
        return None
    # In nr, control A joins the titles of identical proteins; the first one is the id's.
    text, organism = _last_brackets(description.partition("\x01")[0].strip())
    return Metadata(description=_text(text), organism=_text(organism or ""), accession=accession, source=source)


def _scop(name: str, description: str) -> Metadata | None:
    """``d1vkya_/e.53.1.1``, or a domain id before its class, as ASTRAL writes it."""
    match = _SCOP_ID.match(name)
    if match is None or not (match[2] or _SCOP_CLASS.match(description)):
        return None
    taxid = re.search(r"\[TaxId: ([0-9]+)\]", description)
    return Metadata(
        description=_text(description),
        taxid=_taxid(taxid[1]) if taxid else None,
        accession=match[1],
        source="SCOP",
    )


def _cath(name: str, description: str) -> Metadata | None:
    """``cath|current|12asA00/4-330``."""
    match = _CATH_ID.match(name)
    return match and Metadata(description=_text(description), accession=match[1], source="CATH")


_STYLES: tuple[Callable[[str, str], Metadata | None], ...] = (
    _peff,  # before TAIR, whose layout it may wrap
    _tair,
    _uniprot,
    _ensembl,
    _phytozome,
    _phytozome_old,
    _ncbi,
    _scop,
    _cath,
)


def _text(text: str) -> str | None:
    return text.strip() or None


def _first(names: tuple[str, ...]) -> str | None:
    return names[0] if names else None


def _split(names: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in names.split(","))))


def _taxid(text: str) -> int | None:
    """A taxonomy id; nine digits at most, which fit every integer column."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _transcript(name: str) -> str | None:
    return name if "." in name else None


def _keys(pattern: re.Pattern[str], text: str) -> tuple[str, dict[str, str]]:
    """What is before the first key, and the value of each, up to the next one; of two the first counts."""
    parts = pattern.split(text)
    keys: dict[str, str] = {}
    for key, value in zip(parts[1::2], parts[2::2], strict=True):
        keys.setdefault(key, value.strip())
    return parts[0], keys


def _last_brackets(text: str) -> tuple[str, str | None]:
    """Split off the brackets that end a text: ``a [b] [[C] d]`` gives ``a [b]`` and ``[C] d``."""
    if not text.endswith("]"):
        return text, None
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == "]") - (text[at] == "[")
        if depth == 0:
            return text[:at], text[at + 1 : -1]
    return text, None
