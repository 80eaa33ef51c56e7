from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protvec.headers import Metadata, parse

ARABIDOPSIS = {"organism": "Arabidopsis thaliana", "taxid": 3702}


def parse_line(line: str) -> Metadata:
    name, _, description = line.removeprefix(">").partition(" ")
    return parse(name, description)


REAL = {
    "tair10": (
        ">AT5G53560.1 | Symbols: ATB5-A, B5 #2, ATCB5-E, CB5-E | cytochrome B5 isoform E"
        " | chr5:21759628-21760353 FORWARD LENGTH=134",
        Metadata(
            description="cytochrome B5 isoform E",
            gene="ATB5-A",
            symbols=("ATB5-A", "B5 #2", "ATCB5-E", "CB5-E"),
            locus="AT5G53560",
            transcript="AT5G53560.1",
            source="TAIR10",
            location="chr5:21759628-21760353 FORWARD",
            **ARABIDOPSIS,
        ),
    ),
    "tair10 without symbols": (
        ">AT1G14910.1 | Symbols:  | ENTH/ANTH/VHS superfamily protein | chr1:5139928-5143571 REVERSE LENGTH=2079",
        Metadata(
            description="ENTH/ANTH/VHS superfamily protein",
            locus="AT1G14910",
            transcript="AT1G14910.1",
            source="TAIR10",
            location="chr1:5139928-5143571 REVERSE",
            **ARABIDOPSIS,
        ),
    ),
    "araport11 of 2016": (
        ">AT1G01010.1 | NAC domain containing protein 1 | Chr1:3760-5630 FORWARD LENGTH=429 | 201606",
        Metadata(
            description="NAC domain containing protein 1",
            locus="AT1G01010",
            transcript="AT1G01010.1",
            source="Araport11",
            location="Chr1:3760-5630 FORWARD",
            **ARABIDOPSIS,
        ),
    ),
    "araport11 of 2022": (
        ">AT1G01010.1 | Symbols:NAC001,NTL10,ANAC001 | NAC domain containing protein 1"
        " |  Chr1:3760-5630 FORWARD LENGTH=429",
        Metadata(
            description="NAC domain containing protein 1",
            gene="NAC001",
            symbols=("NAC001", "NTL10", "ANAC001"),
            locus="AT1G01010",
            transcript="AT1G01010.1",
            source="Araport11",
            location="Chr1:3760-5630 FORWARD",
            **ARABIDOPSIS,
        ),
    ),
    "peff": (
        ">PeptideAtlas_ATCG00130.1 | ATPase%2C F0 complex%2C subunit B/B'%2C bacterial/chloroplast"
        " | ChrC:11529-12798 REVERSE LENGTH=184 | 201606 \\Length=184 \\VariantSimple=(31|L)",
        Metadata(
            description="ATPase, F0 complex, subunit B/B', bacterial/chloroplast",
            locus="ATCG00130",
            transcript="ATCG00130.1",
            source="PeptideAtlas",
            location="ChrC:11529-12798 REVERSE",
            **ARABIDOPSIS,
        ),
    ),
    "swiss-prot": (
        ">sp|P38798|NMD2_YEAST Nonsense-mediated mRNA decay protein 2"
        " OS=Saccharomyces cerevisiae (strain ATCC 204508 / S288c) OX=559292 GN=NMD2 PE=1 SV=2",
        Metadata(
            description="Nonsense-mediated mRNA decay protein 2",
            gene="NMD2",
            symbols=("NMD2",),
            organism="Saccharomyces cerevisiae (strain ATCC 204508 / S288c)",
            taxid=559292,
            accession="P38798",
            source="UniProt/Swiss-Prot",
        ),
    ),
    "trembl": (
        ">tr|A0A385XJN2|A0A385XJN2_ECOLI Uncharacterized protein"
        " OS=Escherichia coli (strain K12) OX=83333 GN=ygiA PE=4 SV=1",
        Metadata(
            description="Uncharacterized protein",
            gene="ygiA",
            symbols=("ygiA",),
            organism="Escherichia coli (strain K12)",
            taxid=83333,
            accession="A0A385XJN2",
            source="UniProt/TrEMBL",
        ),
    ),
    "uniprot isoform": (
        ">sp|P48347-2|14310_ARATH Isoform 2 of 14-3-3-like protein GF14 epsilon"
        " OS=Arabidopsis thaliana OX=3702 GN=GRF10",
        Metadata(
            description="Isoform 2 of 14-3-3-like protein GF14 epsilon",
            gene="GRF10",
            symbols=("GRF10",),
            accession="P48347-2",
            source="UniProt/Swiss-Prot",
            **ARABIDOPSIS,
        ),
    ),
    "ensembl": (
        ">AT3G05780.1 pep chromosome:TAIR10:3:1714941:1719608:-1 gene:AT3G05780 transcript:AT3G05780.1"
        " gene_biotype:protein_coding transcript_biotype:protein_coding gene_symbol:LON3"
        " description:Lon protease homolog 3, mitochondrial [Source:UniProtKB/Swiss-Prot;Acc:Q9M9L8]",
        Metadata(
            description="Lon protease homolog 3, mitochondrial",
            gene="LON3",
            symbols=("LON3",),
            locus="AT3G05780",
            transcript="AT3G05780.1",
            source="Ensembl",
            location="chromosome:TAIR10:3:1714941:1719608:-1",
            **ARABIDOPSIS,
        ),
    ),
    "ensembl, short": (
        ">AT1G24405.1 pep chromosome:TAIR10:1:8654945:8655662:1 gene:AT1G24405",
        Metadata(
            locus="AT1G24405",
            transcript="AT1G24405.1",
            source="Ensembl",
            location="chromosome:TAIR10:1:8654945:8655662:1",
            **ARABIDOPSIS,
        ),
    ),
    "phytozome": (
        ">ATCG00500.1 pacid=37375748 transcript=ATCG00500.1 locus=ATCG00500"
        " ID=ATCG00500.1.Araport11.447 annot-version=Araport11",
        Metadata(
            locus="ATCG00500",
            transcript="ATCG00500.1",
            accession="37375748",
            source="Phytozome",
            **ARABIDOPSIS,
        ),
    ),
    "phytozome, old": (
        ">Thhalv10000734m|PACid:20179467",
        Metadata(
            locus="Thhalv10000734m",
            transcript="Thhalv10000734m",
            accession="20179467",
            source="Phytozome",
        ),
    ),
    "refseq": (
        ">NP_001030923.1 ARV1 family protein [Arabidopsis thaliana]",
        Metadata(
            description="ARV1 family protein",
            organism="Arabidopsis thaliana",
            accession="NP_001030923.1",
            source="RefSeq",
        ),
    ),
    "refseq with gi": (
        ">gi|12962937|ref|NP_056480.1| aladin isoform 1 [Homo sapiens]",
        Metadata(
            description="aladin isoform 1",
            organism="Homo sapiens",
            accession="NP_056480.1",
            source="RefSeq",
        ),
    ),
    "refseq with a prefix": (
        ">plastid_NP_043003.1 ribosomal protein S12 (chloroplast) [Zea mays]",
        Metadata(
            description="ribosomal protein S12 (chloroplast)",
            organism="Zea mays",
            accession="NP_043003.1",
            source="RefSeq",
        ),
    ),
    "scop": (">d1vkya_/e.53.1.1", Metadata(accession="d1vkya_", source="SCOP")),
    "cath": (">cath|current|12asA00/4-330", Metadata(accession="12asA00", source="CATH")),
    "an id alone": (">OL01G00010", Metadata()),
}

FURTHER = {
    "brackets inside a RefSeq name": (
        ">WP_000000001.1 3-oxoacyl-[acyl-carrier-protein] synthase [[Clostridium] symbiosum]",
        Metadata(
            description="3-oxoacyl-[acyl-carrier-protein] synthase",
            organism="[Clostridium] symbiosum",
            accession="WP_000000001.1",
            source="RefSeq",
        ),
    ),
    "brackets that do not close": (
        ">NP_000000001.1 name] of something]",
        Metadata(description="name] of something]", accession="NP_000000001.1", source="RefSeq"),
    ),
    "merged entries of nr": (
        ">XP_000000001.1 one [Homo sapiens]\x01NP_000000002.1 two [Mus musculus]",
        Metadata(description="one", organism="Homo sapiens", accession="XP_000000001.1", source="RefSeq"),
    ),
    "genbank": (
        ">AAA12345.1 kinase [Zea mays]",
        Metadata(description="kinase", organism="Zea mays", accession="AAA12345.1", source="GenBank"),
    ),
    "genbank with pipes": (
        ">gb|AAA12345.1| kinase",
        Metadata(description="kinase", accession="AAA12345.1", source="GenBank"),
    ),
    "uniprot with a locus for a gene": (
        ">tr|A0A000|A0A000_ARATH F-box protein OS=Arabidopsis thaliana OX=3702 GN=At1g01010 PE=4 SV=1",
        Metadata(
            description="F-box protein",
            gene="At1g01010",
            symbols=("At1g01010",),
            locus="AT1G01010",
            accession="A0A000",
            source="UniProt/TrEMBL",
            **ARABIDOPSIS,
        ),
    ),
    "ensembl of another plant": (
        ">Os01t0100100-01 pep chromosome:IRGSP-1.0:1:2983:10815:1 gene:Os01g0100100 gene_symbol:B5 #2"
        " description:says gene:X of Y",
        Metadata(
            description="says gene:X of Y",
            gene="B5 #2",
            symbols=("B5 #2",),
            locus="Os01g0100100",
            source="Ensembl",
            location="chromosome:IRGSP-1.0:1:2983:10815:1",
        ),
    ),
    "phytozome, old, with suffixes": (
        ">Glyma.01G000100.1.p|PACid:30544134",
        Metadata(
            locus="Glyma.01G000100",
            transcript="Glyma.01G000100.1",
            accession="30544134",
            source="Phytozome",
        ),
    ),
    "peff of neXtProt": (
        ">nxp:NX_P38398-1 \\PName=Breast cancer type 1%2C isoform \\GName=BRCA1 \\NcbiTaxId=9606"
        " \\TaxName=Homo Sapiens \\Length=1863",
        Metadata(
            description="Breast cancer type 1, isoform",
            gene="BRCA1",
            symbols=("BRCA1",),
            organism="Homo Sapiens",
            taxid=9606,
        ),
    ),
    "a pipe in the text of TAIR": (
        ">ATMG00010.1 | Symbols: ORF153A | one | two | chrM:273-734 REVERSE LENGTH=153",
        Metadata(
            description="one | two",
            gene="ORF153A",
            symbols=("ORF153A",),
            locus="ATMG00010",
            transcript="ATMG00010.1",
            source="TAIR10",
            location="chrM:273-734 REVERSE",
            **ARABIDOPSIS,
        ),
    ),
    "scop with its class in the description": (
        ">d1dlwa_ a.1.1.1",
        Metadata(description="a.1.1.1", accession="d1dlwa_", source="SCOP"),
    ),
    "astral": (
        ">d1dlwa_ a.1.1.1 (A:) hemoglobin {Ciliate (Paramecium caudatum) [TaxId: 5885]}",
        Metadata(
            description="a.1.1.1 (A:) hemoglobin {Ciliate (Paramecium caudatum) [TaxId: 5885]}",
            taxid=5885,
            accession="d1dlwa_",
            source="SCOP",
        ),
    ),
    "a locus says nothing of the organism": (
        ">AT1G01010.1 my favourite [Arabidopsis]",
        Metadata(description="my favourite [Arabidopsis]", locus="AT1G01010", transcript="AT1G01010.1"),
    ),
    "a locus without a transcript": (">At1g01010", Metadata(locus="AT1G01010")),
    "a layout of TAIR without a locus of TAIR": (
        ">mine | kinase | chr1:1-2 FORWARD",
        Metadata(description="| kinase | chr1:1-2 FORWARD"),
    ),
    "looks like SCOP, but has no class": (
        ">d1dlwa_ something",
        Metadata(description="something"),
    ),
    "a taxonomy id that is no number": (
        ">sp|P1|X_Y name OS=Some thing OX=99999999999999 PE=1",
        Metadata(
            description="name",
            organism="Some thing",
            accession="P1",
            source="UniProt/Swiss-Prot",
        ),
    ),
}


@pytest.mark.parametrize(("line", "expected"), REAL.values(), ids=REAL)
def test_every_real_header(line: str, expected: Metadata):
    assert parse_line(line) == expected


@pytest.mark.parametrize(("line", "expected"), FURTHER.values(), ids=FURTHER)
def test_hard_headers(line: str, expected: Metadata):
    assert parse_line(line) == expected


# Pieces of real lines, in any order, find more than plain text does.
PIECES = st.sampled_from([
    "AT1G01010.1", "sp|P1|", "|", "[", "]", "[[a]", "b]", "\\A=", "\\GName=,", "%2C", "%ff", "OS=", "OX=",
    "OX=1", "GN=", "pep", "a:b", "gene:", "gene_symbol:", " description:", "Symbols:", ", ,", "chr1:1-2",
    "pacid=", "locus=", ".p", ".1", "|PACid:1", "NP_000001.1", "d1dlwa_", "a.1.1.1", "cath|x|12asA00/",
    "\x01", "[TaxId: ٣", "\ud800",
])  # fmt: skip
WORDS = st.one_of(st.text(), st.lists(PIECES).map("".join)).map(lambda text: "".join(text.split()))
LINES = st.one_of(st.text(), st.lists(PIECES).map(" ".join), st.lists(PIECES).map("".join))


@given(WORDS, LINES)
def test_parse_never_raises_and_never_gives_empty_text(name: str, description: str):
    metadata = parse(name, description)
    for field in Metadata.__dataclass_fields__:
        value = getattr(metadata, field)
        assert value is None or value == () or value
        if isinstance(value, str):
            assert value == value.strip()
    assert metadata.gene is None or metadata.gene in metadata.symbols


@given(st.text(alphabet=st.characters(exclude_characters="|\\=[]:", exclude_categories=["Cs"])))
def test_unknown_styles_keep_the_description(description: str):
    assert parse("my_protein", description) == Metadata(description=description.strip() or None)
