from __future__ import annotations

import gzip
import io
import string
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protvec.errors import FastaError, InputError
from protvec.fasta import CHANGES, FIXES, Record, Rejected, clean, looks_like_nucleotides, read

DOCS = (Path(__file__).parent.parent / "docs" / "input.md").read_text(encoding="utf-8")
PROTEIN = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV"
DNA = "ATGGCTAAGTCTGGTTTACCTGATACCGAATGCGGTATTCACGTTAACGCCTGA"


def read_text(text: str | bytes, **options) -> list[Record | Rejected]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(read(io.BytesIO(data), name="x.fa", **options))


def records(text: str | bytes, **options) -> list[Record]:
    found = read_text(text, **options)
    assert all(isinstance(record, Record) for record in found), found
    return found


def fault(text: str | bytes, **options) -> str:
    with pytest.raises(FastaError) as caught:
        read_text(text, **options)
    assert caught.value.file == "x.fa"
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is read -------------------------------------------------------------------------------


def test_a_record_has_all_its_parts(tmp_path: Path):
    path = tmp_path / "two.fa"
    path.write_text(">a first  one \nMK\nTA\n>b\nMKV")
    assert list(read(path)) == [
        Record("a", "first  one", "MKTA", str(path), 1),
        Record("b", "", "MKV", str(path), 4),
    ]
    assert list(read(str(path), name="<stdin>"))[1] == Record("b", "", "MKV", "<stdin>", 4)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
@pytest.mark.parametrize("last", ["", "end"], ids=["no final newline", "final newline"])
def test_line_ends(end: str, last: str):
    text = end.join([">a x", "MKTA", "", ">b y", "MK", "V"]) + (end if last else "")
    assert records(text) == [Record("a", "x", "MKTA", "x.fa", 1), Record("b", "y", "MKV", "x.fa", 4)]


def test_blank_lines_comments_and_byte_order_marks_are_passed_over_and_counted():
    text = "\ufeff\n; a comment\n# PEFF 1.0\n>a\n\n;no\nMK\n  \nTA\n\n\ufeff>b\nMKV\n"
    assert records(text) == [Record("a", "", "MKTA", "x.fa", 4), Record("b", "", "MKV", "x.fa", 11)]


@pytest.mark.parametrize(
    ("header", "name", "description"),
    [
        (">id\tdescription", "id", "description"),
        (">id \t two  words\t", "id", "two  words"),
        ("> id description", "id", "description"),
        (">sp|P1/2.3_x|\\é→ ünïcode", "sp|P1/2.3_x|\\é→", "ünïcode"),
        (">a\u00a0b\u00a0 c", "a\u00a0b\u00a0", "c"),
        (">a\u2028b c\u2028d\x85e", "a\u2028b", "c\u2028d\x85e"),
        (">a one\x01b two", "a", "one\x01b two"),
        (">>a >b", ">a", ">b"),
    ],
)
def test_the_id_is_the_first_word_byte_for_byte(header: str, name: str, description: str):
    assert records(f"{header}\nMKV\n") == [Record(name, description, "MKV", "x.fa", 1)]


@pytest.mark.parametrize("members", [1, 3], ids=["one member", "concatenated members"])
def test_gzip_is_told_by_its_content(tmp_path: Path, members: int):
    text = b"".join(b">p%d\nMKV\n" % n for n in range(9))
    path = tmp_path / "called.txt"
    size = len(text) // members
    path.write_bytes(b"".join(gzip.compress(text[n * size : (n + 1) * size]) for n in range(members)))
    assert [record.id for record in read(path)] == [f"p{n}" for n in range(9)]


class Drip(io.RawIOBase):
    """A pipe that gives one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        buffer[:1] = byte = self.data.read(1)
        return len(byte)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_file_object_may_be_a_slow_pipe_and_is_left_open(pack):
    stream = Drip(pack(b">a\r\nMK\r\nV\r\n>b\r\nMKT\r\n"))
    assert [record.sequence for record in read(stream)] == ["MKV", "MKT"]
    assert not stream.closed


def test_a_text_stream_is_a_mistake_of_the_caller():
    with pytest.raises(TypeError, match="binary mode"):
        read(io.StringIO(">a\nMKV\n"))


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    path = tmp_path / "long.fa.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        for n in range(5000):
            file.write(f">p{n}\n{PROTEIN * 20}\n")
    count = sum(1 for _ in zip(read(path), range(10), strict=False))  # imports Biopython
    tracemalloc.start()
    count = sum(1 for _ in read(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 5000
    assert peak < 3_000_000 < 5000 * 20 * len(PROTEIN)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]), min_size=1, max_size=12)
WRITTEN = st.tuples(
    WORDS.filter(lambda word: "\ufeff" not in word),
    st.lists(WORDS, max_size=3).map(" ".join),
    st.text(string.ascii_uppercase, min_size=1, max_size=90),
)


@given(
    st.lists(WRITTEN, min_size=1, max_size=8),
    st.integers(1, 100),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.booleans(),
)
def test_what_is_written_is_read_back_in_order(written, width: int, end: str, zipped: bool, final: bool):
    lines = []
    for name, description, sequence in written:
        lines.append(f">{name} {description}".rstrip(" "))
        lines += [sequence[at : at + width] for at in range(0, len(sequence), width)]
    data = (end.join(lines) + (end if final else "")).encode()
    found = records(gzip.compress(data) if zipped else data, nucleotides_ok=True)
    assert [(r.id, r.description, r.sequence) for r in found] == written
    assert [lines[r.line - 1].split(" ")[0] for r in found] == [f">{name}" for name, _, _ in written]


@given(st.binary(max_size=200))
def test_any_bytes_give_one_answer_a_header_or_a_fasta_error(data: bytes):
    try:
        found = read_text(b">a\nMKV\n>b" + data)
    except FastaError:
        return  # any other exception fails
    lines = (b">b" + data).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert len(found) == 1 + sum(line.removeprefix("\ufeff").startswith(">") for line in lines)


# --- cleaning -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "fix", "cleaned", "changes"),
    [
        ("MKV", (), "MKV", ()),
        ("mkv", (), "MKV", ("lower case",)),
        ("MK V\t\nA", (), "MKVA", ("white space",)),
        ("MKV*", (), "MKV", ("trailing stop",)),
        ("MKV**", (), "MKV", ("trailing stop",)),
        ("MUZOBJX", (), "MUZOBJX", ("non-standard residues",)),
        ("MXV", (), "MXV", ()),
        ("mu kv*", (), "MUKV", ("white space", "lower case", "trailing stop", "non-standard residues")),
        ("MK*V*", ("stops",), "MKXV", ("trailing stop", "fixed stops")),
        ("*MKV", ("stops",), "XMKV", ("fixed stops",)),
        ("-M.K-V-", ("gaps",), "MKV", ("fixed gaps",)),
        ("MKV*--", ("gaps",), "MKV", ("trailing stop", "fixed gaps")),
        ("1 MKV 4", ("digits",), "MKV", ("white space", "fixed digits")),
        ("MK?é~V", ("symbols",), "MKXXXV", ("fixed symbols",)),
        ("m1*-é.V", FIXES, "MXXV", ("lower case", *(f"fixed {name}" for name in FIXES))),
        ("MKV", FIXES, "MKV", ()),
    ],
)
def test_clean(given_: str, fix, cleaned: str, changes):
    assert clean(given_, fix=fix) == (cleaned, changes)
    assert clean(given_, fix=frozenset(fix)) == (cleaned, changes)


@pytest.mark.parametrize(
    ("given_", "fix", "reason"),
    [
        ("", (), "no residues"),
        (" \n", (), "no residues"),
        ("**", (), "no residues, only '*'"),
        ("--", ("gaps",), "no residues"),
        ("MK*V", (), "'*' inside the sequence at position 3"),
        ("MK *V", (), "'*' inside the sequence at position 3"),
        ("MK*V", ("gaps", "digits", "symbols"), "'*' inside the sequence at position 3"),
        ("M-K", ("stops", "digits", "symbols"), "'-' inside the sequence at position 2"),
        ("MK.", ("stops", "digits", "symbols"), "'.' inside the sequence at position 3"),
        ("7MK", ("stops", "gaps", "symbols"), "'7' inside the sequence at position 1"),
        ("M-K?", ("stops", "gaps", "digits"), "'?' inside the sequence at position 4"),
        ("MK\u0131V", (), "'\u0131' inside the sequence at position 3"),
        ("MK\x01", (), r"'\x01' inside the sequence at position 3"),
        ("MK٣", ("digits",), "'٣' inside the sequence at position 3"),
        (
            "MK>b",
            FIXES,
            "'>' inside the sequence at position 3: a header starts its line (files joined without a line end?)",
        ),
    ],
)
def test_clean_refuses(given_: str, fix, reason: str):
    with pytest.raises(InputError) as caught:
        clean(given_, fix=fix)
    assert str(caught.value) == reason


@pytest.mark.parametrize("fix", ["stop", ["stops", "stop"]])
def test_an_unknown_repair_is_refused_at_once(fix):
    message = "unknown repair 'stop': there are stops, gaps, digits, symbols"
    with pytest.raises(InputError, match=message):
        clean("MKV", fix=fix)
    with pytest.raises(InputError, match=message):
        read("nowhere.fa", fix=fix)


@given(st.text(alphabet=st.sampled_from("MKVxuzb *-.7?é\n"), max_size=30))
def test_cleaning_settles(sequence: str):
    try:
        cleaned, changes = clean(sequence, fix=FIXES)
    except InputError:
        assert not set(sequence) - set(" \n*-.7")
        return
    assert set(cleaned) <= set(string.ascii_uppercase)
    assert set(changes) <= set(CHANGES)
    assert list(changes) == sorted(changes, key=CHANGES.index)
    again, rest = clean(cleaned)
    assert (again, set(rest)) == (cleaned, set(changes) & {"non-standard residues"})
    if not set(changes) - {"non-standard residues"}:
        assert cleaned == sequence


# --- records that cannot be used ----------------------------------------------------------------


def test_one_rejection_does_not_cost_its_neighbours():
    found = read_text(">a\nMKV\n>b\nM*V\n>\nMKV\n>c x\n>d\n*\n\n>e\nMKT\n")
    assert [type(item) for item in found] == [Record, Rejected, Rejected, Rejected, Rejected, Record]
    assert [str(item) for item in found[1:-1]] == [
        "x.fa:3: b: '*' inside the sequence at position 2",
        "x.fa:5: a header without an id",
        "x.fa:7: c: no residues",
        "x.fa:8: d: no residues, only '*'",
    ]
    assert [item.line for item in found] == [1, 3, 5, 7, 8, 11]


def test_a_header_of_white_space_has_no_id():
    assert read_text("> \t \nMKV\n") == [Rejected("", "x.fa", 1, "a header without an id")]


def test_only_rejected_records_are_no_fault_of_the_file():
    assert read_text(">") == [Rejected("", "x.fa", 1, "a header without an id")]


def test_fixes_reach_the_records():
    assert records(">a\nM*K-V\n", fix=["stops", "gaps"]) == [
        Record("a", "", "MXKV", "x.fa", 1, ("fixed stops", "fixed gaps"))
    ]


def test_joined_files_are_seen_whatever_is_fixed():
    (found,) = read_text(">a\nMKV>b\nMKT\n", fix=FIXES)
    assert isinstance(found, Rejected)
    assert "files joined without a line end?" in found.reason


@pytest.mark.parametrize("line", ["MKV ", " MKV", "M KV", "MKV\t", "M\tKV", "MKV\u00a0"])
def test_white_space_that_the_parser_takes_out_is_still_reported(line: str):
    found = records(f">a\nMKT\n>b\n{line}\n>c\nMKA\n")
    assert [record.changes for record in found] == [(), ("white space",), ()]
    assert found[1].sequence == "MKV"


# --- files that cannot be used ------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(FastaError) as caught:
        list(read(tmp_path / "no.fa"))
    assert str(caught.value) == f"{tmp_path / 'no.fa'}: no such file"


def test_a_directory(tmp_path: Path):
    with pytest.raises(FastaError, match="the name of a file is empty"):
        list(read(""))
    with pytest.raises(FastaError, match=f"^{tmp_path}: this is a directory: name the FASTA files in it$"):
        list(read(tmp_path))


def test_a_path_that_cannot_be_opened(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FastaError, match=r"file/x: cannot be opened: not a directory$"):
        list(read(tmp_path / "file" / "x"))
    with pytest.raises(FastaError, match="cannot be opened: embedded null"):
        list(read("a\0b"))


def test_a_stream_that_fails():
    class Broken(Drip):
        def readinto(self, buffer) -> int:
            raise OSError(5, "Input/output error")

    with pytest.raises(FastaError, match=r"^x\.fa: cannot be read: input/output error$"):
        list(read(Broken(b""), name="x.fa"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.fa: the file is empty"),
        (gzip.compress(b"", mtime=0), "x.fa: the file is empty"),
        (b"\n;x\n# y\n", "x.fa: no record: only blank lines and comments"),
        (
            b"\nMKVLAAGIVGLPNVGKSTLFNALTKAGALAANYPFATIEPN\n>a\nMKV\n",
            "x.fa:2: text before the first header: 'MKVLAAGIVGLPNVGKSTLFNALTKAGALAANYPFATIE…';"
            " a record starts with a line '>id description'",
        ),
        (
            b"<html>\n",
            "x.fa:1: text before the first header: '<html>'; a record starts with a line '>id description'",
        ),
        (b">a\nMKV\n>b\rM\0V\n", "x.fa:4: binary data: byte 0x00 in the line"),
        (b">a\r\nMKV\r\n>b\r\nM\x7fV\r\n", "x.fa:4: binary data: byte 0x7f in the line"),
        (b">a" + b"\nMKV" * 4000 + b"\n\0", "x.fa:4002: binary data: byte 0x00 in the line"),
        (b">a\nMKV\n>\xff\xe9t\nMKV\n", "x.fa:3: not UTF-8 text: byte 0xff in the line; convert it first"),
        (">a\nMKV".encode("utf-16"), "x.fa: binary data: UTF-16 text: convert it to UTF-8 first"),
        (">a\nMKV".encode("utf-16-le"), "x.fa: binary data: UTF-16 text: convert it to UTF-8 first"),
        (">a\nMKV".encode("utf-16-be"), "x.fa: binary data: UTF-16 text: convert it to UTF-8 first"),
        (b"PK\x03\x04\x14", "x.fa: binary data: a zip archive: unpack it first"),
        (b"BZh91AY&SY", "x.fa: binary data: bzip2 data: decompress it first (only gzip is read as it is)"),
        (b"\xfd7zXZ\0", "x.fa: binary data: xz data: decompress it first (only gzip is read as it is)"),
        (
            b"\x28\xb5\x2f\xfd",
            "x.fa: binary data: zstd data: decompress it first (only gzip is read as it is)",
        ),
        (b"%PDF-1.7", "x.fa: binary data: a PDF document, not a FASTA file"),
        (b"\x89HDF\r\n\x1a\n", "x.fa: binary data: an HDF5 file, not a FASTA file"),
        (
            gzip.compress(gzip.compress(b">a\nMKV\n", mtime=0), mtime=0),
            "x.fa: binary data: gzip data inside gzip data: decompress it once first",
        ),
    ],
)
def test_faults_of_files(data: bytes, message: str):
    assert fault(data) == message


GZIPPED = gzip.compress("".join(f">p{n}\n{PROTEIN[n:]}\n" for n in range(60)).encode())


@pytest.mark.parametrize(
    "data",
    [
        GZIPPED[:-30],
        GZIPPED[:-4],
        GZIPPED[:5],
        GZIPPED[:40] + b"\xff\xff\xff\xff" + GZIPPED[44:],
        GZIPPED[:-8] + b"\0\0\0\0" + GZIPPED[-4:],
        GZIPPED + b"garbage",
    ],
    ids=["cut", "cut in the trailer", "cut in the header", "damaged", "wrong checksum", "garbage after it"],
)
def test_damaged_gzip(data: bytes):
    message = fault(data)
    assert message.startswith("x.fa: truncated or corrupt gzip data (")
    assert message.endswith("): get the file again")


# --- nucleotides --------------------------------------------------------------------------------

NUCLEOTIDES = (
    "x.fa: these are nucleotides, not proteins: translate them first, for example with EMBOSS transeq;"
    " if they are proteins after all, ingest takes them with --allow-nucleotides (in Python nucleotides_ok=True)"
)


@pytest.mark.parametrize(
    "sequence",
    [
        DNA,
        DNA.lower(),
        DNA.replace("T", "U"),
        DNA + "N" * 200,
        "N" * 300_000 + DNA * 5000,
        DNA[:30] + "-" * 9 + DNA[30:],
    ],
    ids=["dna", "lower case", "rna", "with N", "a chromosome with N first", "aligned"],
)
def test_nucleotides_are_refused_before_a_record_comes_out(sequence: str):
    assert fault(f">a\n{sequence}\n") == NUCLEOTIDES
    assert len(read_text(f">a\n{sequence}\n", nucleotides_ok=True)) == 1


def test_nucleotides_are_seen_in_many_short_records_too():
    assert fault("".join(f">p{n}\n{DNA[n : n + 20]}\n" for n in range(10))) == NUCLEOTIDES


@pytest.mark.parametrize(
    "sequences",
    [
        ["GATTACA"],
        ["ACGT", "TAG", "CAT", "GAC"],
        ["GAGAGS" * 40 + "AG" * 300],
        ["AATAATAAT" * 20, "GGAGG" * 40],
        ["CCACCCCCATGC" * 2],
        ["N" * 400],
        [PROTEIN, DNA],
        ["MTGCA" + "NGT" * 40],
    ],
    ids=["peptide", "peptides", "silk", "antifreeze", "short", "asparagine", "mostly protein", "no cysteine"],
)
def test_proteins_that_look_a_little_like_nucleotides_are_read(sequences: list[str]):
    text = "".join(f">p{n}\n{sequence}\n" for n, sequence in enumerate(sequences))
    assert [record.sequence for record in records(text)] == sequences


def test_letter_counts_alone_decide():
    assert looks_like_nucleotides(Counter(DNA))
    assert looks_like_nucleotides({"a": 20, "C": 20, "g": 20, "U": 20, "-": 500, "é": 500})
    assert not looks_like_nucleotides(Counter(PROTEIN))
    assert not looks_like_nucleotides({})


# --- the manual, and what importing costs -------------------------------------------------------


@pytest.mark.parametrize("name", [*FIXES, *CHANGES])
def test_the_manual_names_every_repair_and_change(name: str):
    assert f"`{name}`" in DOCS


@pytest.mark.parametrize(
    "message",
    [
        "a header without an id",
        "no residues",
        "no residues, only '*'",
        "'*' inside the sequence at position 37",
        "a header starts its line (files joined without a line end?)",
        "no such file",
        "this is a directory: name the FASTA files in it",
        "the file is empty",
        "no record: only blank lines and comments",
        "a record starts with a line '>id description'",
        "binary data: byte 0x00 in the line",
        "binary data: UTF-16 text: convert it to UTF-8 first",
        "not UTF-8 text: byte 0xe9 in the line; convert it first",
        "truncated or corrupt gzip data (",
        NUCLEOTIDES.removeprefix("x.fa: "),
    ],
)
def test_the_manual_has_every_message(message: str):
    assert message in DOCS


def test_importing_does_not_load_biopython():
    import subprocess

    code = "import sys, protvec.fasta, protvec.headers; print(sorted({'Bio', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
