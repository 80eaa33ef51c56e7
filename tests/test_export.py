"""Export: every format as another program reads it, whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import store_data as data

from protvec import fasta
from protvec.cli.app import run
from protvec.errors import ExchangeError, FilterError, ProteinNotFoundError, QueryError
from protvec.exchange import export, exporting
from protvec.exchange.hdf5 import key_of
from protvec.store import Store, protein_table

ODD = ["sp|P12345|AATM_RABIT", "chr1/12-80", "chr1%2F12-80", ".", "..", "Ünïcødé-蛋白", "it's", "/", "%"]


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path / "db.lancedb", data.space())
    data.write(store, data.numbered(0, 30, header="some header  with  spaces", symbols=["A", "B"], taxid=3702))
    data.write(store, [data.row(id, data.sequence(100 + i)) for i, id in enumerate(ODD)])
    store.add_columns([pa.field("weight", pa.float64()), pa.field("tags", pa.list_(pa.string()))])
    return store


def stored(store):
    return pa.Table.from_batches(store.iter_proteins())


def vectors_of(store):
    table = stored(store)
    return dict(zip(table["id"].to_pylist(), np.array(table["vector"].to_pylist(), np.float32), strict=True))


class TestFormats:
    def test_parquet_has_every_column_and_every_bit(self, store, tmp_path):
        done = export(store, tmp_path / "x.parquet")
        read, ours = pq.read_table(tmp_path / "x.parquet"), stored(store)
        assert done.proteins == read.num_rows == 39
        assert read.column_names == ours.column_names
        assert read.schema.field("vector").type == pa.list_(pa.float32())
        for name in ours.column_names:
            assert read[name].to_pylist() == ours[name].to_pylist(), name
        about = json.loads(read.schema.metadata[b"protvec"])
        assert about["space"] == store.space.to_dict()

    def test_parquet_residues_beside_the_columns(self, store, tmp_path):
        export(store, tmp_path / "x.parquet", level="residue")
        read = pq.read_table(tmp_path / "x.parquet", columns=["id", "residues"])
        ours = store.residues(read["id"].to_pylist())
        for row in read.to_pylist():
            assert np.array_equal(np.array(row["residues"], np.float16), ours[row["id"]].astype(np.float16))

    @pytest.mark.parametrize(
        ("codec", "name", "vectors", "residues"),
        [
            ("int8", "x.parquet", "float32", "float32"),
            ("float16", "x.parquet", "float32", "float16"),
            ("int8", "x.h5", "float32", "float16"),
        ],
    )
    def test_the_types_that_help_and_docs_name(self, tmp_path, codec, name, vectors, residues):
        store = Store.create(tmp_path / "typed", data.space(), codec=codec)
        data.write(store, data.numbered(0, 2))
        done = [export(store, tmp_path / name, level=level, force=True).dtype for level in ("protein", "residue")]
        assert done == [vectors, residues]

    def test_residues_are_written_in_parts_of_bounded_size(self, store, tmp_path, monkeypatch):
        monkeypatch.setattr(exporting, "_RESIDUE_BATCH_BYTES", 20 * data.D * 4)
        done = export(store, tmp_path / "x.parquet", level="residue", dtype="float32")
        file = pq.ParquetFile(tmp_path / "x.parquet")
        assert done.proteins == file.metadata.num_rows == 39
        assert file.num_row_groups > 10
        assert file.read()["id"].to_pylist() == stored(store)["id"].to_pylist()

    def test_chosen_columns(self, store, tmp_path):
        done = export(store, tmp_path / "x.parquet", columns=["taxid", "weight"], where="taxid IS NOT NULL")
        assert done.dtype is None  # there are no vectors in it
        read = pq.read_table(tmp_path / "x.parquet")
        assert read.column_names == ["id", "taxid", "weight"]
        assert read["taxid"].to_pylist() == [3702] * 30

    @pytest.mark.parametrize("name", ["x.fa", "x.fasta.gz"])
    def test_fasta_gives_back_what_was_read(self, store, tmp_path, name):
        where = "id != '/'"
        export(store, tmp_path / name, where=where)
        raw = (tmp_path / name).read_bytes()
        text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
        assert ">P0003 some header  with  spaces\n" in text
        assert ">sp|P12345|AATM_RABIT\n" in text
        read = {r.id: (r.description, r.sequence) for r in fasta.read(tmp_path / name)}
        ours = stored(store).to_pylist()
        assert read == {r["id"]: (r["header"] or "", r["sequence"]) for r in ours if r["id"] != "/"}

    def test_npy_and_its_ids(self, store, tmp_path):
        export(store, tmp_path / "x.npy")
        matrix = np.load(tmp_path / "x.npy")
        ids = (tmp_path / "x.npy.ids.txt").read_text().splitlines()
        assert matrix.dtype == np.float32
        assert matrix.shape == (39, data.D)
        ours = vectors_of(store)
        assert all(np.array_equal(ours[id], vector) for id, vector in zip(ids, matrix, strict=True))

    def test_npz(self, store, tmp_path):
        export(store, tmp_path / "x.npz", dtype="float16")
        with np.load(tmp_path / "x.npz") as file:
            ours = vectors_of(store)
            assert file["vectors"].dtype == np.float16
            assert sorted(file["ids"].tolist()) == sorted(ours)
            for id, vector in zip(file["ids"].tolist(), file["vectors"], strict=True):
                assert np.array_equal(vector, ours[id].astype(np.float16))

    def test_ids_keep_the_order_asked_for(self, store, tmp_path):
        export(store, tmp_path / "x.npz", ids=["P0007", "it's", "P0001", "it's"])
        with np.load(tmp_path / "x.npz") as file:
            assert file["ids"].tolist() == ["P0007", "it's", "P0001"]


class TestHdf5:
    def test_as_uniprot_documents_it(self, store, tmp_path):
        """A plain loop over the items: name and array."""
        export(store, tmp_path / "x.h5", where="id LIKE 'P%'")
        with h5py.File(tmp_path / "x.h5", "r") as file:
            read = {name: np.array(embedding) for name, embedding in file.items()}
        ours = {id: vector for id, vector in vectors_of(store).items() if id.startswith("P")}
        assert read.keys() == ours.keys()
        assert all(np.array_equal(read[id], ours[id]) for id in ours)

    def test_as_eat_stacks_it(self, store, tmp_path):
        export(store, tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5", "r") as file:
            names, arrays = zip(*((name, np.array(array)) for name, array in file.items()), strict=True)
        assert np.vstack(arrays).shape == (39, data.D)
        assert set(names) == set(map(key_of, vectors_of(store)))

    def test_as_bio_embeddings_reads_it(self, store, tmp_path):
        """By the attribute ``original_id``, residues of each."""
        export(store, tmp_path / "x.h5", level="residue")
        with h5py.File(tmp_path / "x.h5", "r") as file:
            read = {file[name].attrs["original_id"]: np.array(array) for name, array in file.items()}
        ours = store.residues(list(vectors_of(store)))
        assert read.keys() == ours.keys()
        for id, array in read.items():
            assert array.dtype == np.float16
            assert np.array_equal(array, ours[id].astype(np.float16))

    def test_as_protspace_takes_it(self, store, tmp_path):
        """No groups, one dimension, and the model's name at the root."""
        export(store, tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5", "r") as file:
            assert str(file.attrs["model_name"]) == "tiny"
            assert all(isinstance(item, h5py.Dataset) and item.ndim == 1 for item in file.values())

    def test_different_ids_never_share_a_name(self):
        assert len(set(map(key_of, ODD))) == len(ODD)
        assert all("/" not in key_of(id) and key_of(id) != "." for id in ODD)
        assert key_of("AT1G01010.1") == "AT1G01010.1"

    def test_without_h5py_it_says_what_to_install(self, store, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "h5py", None)
        with pytest.raises(ExchangeError, match=r"pip install 'protvec\[h5\]'"):
            export(store, tmp_path / "x.h5")
        assert not list(tmp_path.glob("*x.h5*"))

    def test_a_value_beyond_half_precision(self, tmp_path):
        store = Store.create(tmp_path / "big.lancedb", data.space(), codec="none")
        row = data.row("big", "MKVL")
        store.write(protein_table([row], np.full((1, data.D), 1e6, np.float32)), [])
        with pytest.raises(ExchangeError, match="'big' do not fit float16"):
            export(store, tmp_path / "x.h5", dtype="float16")
        export(store, tmp_path / "x.h5")


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "options", "error", "message"),
        [
            ("x.txt", {}, ExchangeError, "does not say which format"),
            ("x.h5.gz", {}, ExchangeError, "does not say which format"),
            ("x.h5", {"format": "hdf"}, ExchangeError, "no format 'hdf'"),
            ("no/x.h5", {}, ExchangeError, "no directory"),
            ("x.npy", {"level": "residue"}, ExchangeError, "no residue arrays: write .parquet or .h5"),
            ("x.h5", {"columns": ["gene"]}, ExchangeError, "columns"),
            ("x.fa", {"dtype": "float16"}, ExchangeError, "float16"),
            ("x.h5", {"level": "atom"}, QueryError, "protein or residue"),
            ("x.h5", {"where": "length < 0"}, QueryError, "no protein passes"),
            ("x.h5", {"where": "lenth < 9"}, FilterError, "no column lenth"),
            ("x.parquet", {"columns": ["lenth"]}, FilterError, "lenth"),
            ("x.h5", {"ids": ["P0001", "P9999"]}, ProteinNotFoundError, "P9999"),
            ("x.fa", {"ids": ["two words"]}, ExchangeError, "FASTA cannot hold the id 'two words'"),
            ("x.npy", {"ids": ["two\nlines"]}, ExchangeError, "cannot hold the id"),
        ],
    )
    def test_says_why_and_leaves_nothing(self, store, tmp_path, name, options, error, message):
        data.write(store, [data.row("two words", "MKV"), data.row("two\nlines", "MKV")])
        before = sorted(tmp_path.iterdir())
        with pytest.raises(error, match=message):
            export(store, tmp_path / name, **options)
        assert sorted(tmp_path.iterdir()) == before

    def test_a_file_that_is_there_stays(self, store, tmp_path):
        (tmp_path / "x.fa").write_text("mine")
        with pytest.raises(ExchangeError, match="--force"):
            export(store, tmp_path / "x.fa")
        assert (tmp_path / "x.fa").read_text() == "mine"
        export(store, tmp_path / "x.fa", force=True, where="id LIKE 'P%'")
        assert (tmp_path / "x.fa").read_text().startswith(">P")

    def test_the_ids_of_npy_are_not_overwritten_either(self, store, tmp_path):
        (tmp_path / "x.npy.ids.txt").write_text("mine")
        with pytest.raises(ExchangeError, match=r"ids\.txt: there is such a file"):
            export(store, tmp_path / "x.npy")
        assert not (tmp_path / "x.npy").exists()

    def test_a_database_without_residues(self, tmp_path):
        store = Store.create(tmp_path / "none.lancedb", data.space(), codec="none")
        data.write(store, data.numbered(0, 2))
        with pytest.raises(QueryError, match="keeps no residue arrays"):
            export(store, tmp_path / "x.h5", level="residue")

    def test_a_directory(self, store, tmp_path):
        with pytest.raises(ExchangeError, match="a directory"):
            export(store, tmp_path, format="fasta")


@pytest.mark.parametrize("name", ["x.parquet", "x.fa", "x.fa.gz", "x.npy", "x.npz", "x.h5"])
def test_a_disk_that_is_full_is_one_line_and_no_file(store, tmp_path, name):
    """A limit on the size of a file stands for it: the write fails half-way, as on a full disk."""
    rows = [data.row(f"Q{i:05d}", data.sequence(i) * 40) for i in range(300)]
    table = protein_table(rows, np.random.default_rng(0).standard_normal((300, data.D)).astype(np.float32))
    big = Store.create(tmp_path / "big.lancedb", data.space(), codec="none")
    big.write(table, [])
    script = (
        "import resource, sys\nfrom protvec.cli.app import run\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "sys.exit(run(['export', '--db', sys.argv[1], '-o', sys.argv[2]]))\n"
    )
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", script, big.path, str(tmp_path / "out" / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "cannot be written: " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_what_other_writers_add_meanwhile_is_left_out(store, tmp_path, monkeypatch):
    """The count and the rows are of one version, though the database grows between the two."""
    other = Store.open(store.path)
    real = Store.count

    def count(self, where=None):
        found = real(self, where)
        data.write(other, data.numbered(200, 210))
        return found

    monkeypatch.setattr(Store, "count", count)
    assert export(store, tmp_path / "x.fa").proteins == 39
    assert export(store, tmp_path / "y.h5").proteins == 49


def test_a_kill_leaves_no_half_file(store, tmp_path):
    """Killed between two parts of many: the name is not there, or holds what it held."""
    script = (
        "import sys, time\n"
        "from protvec.exchange import export, exporting\nfrom protvec.store import Store\n"
        "exporting._BATCH_ROWS = 5\n"
        "def progress(done, total):\n    print(done, flush=True)\n    time.sleep(0.2)\n"
        "export(Store.open(sys.argv[1]), sys.argv[2], force=True, progress=progress)\n"
    )
    target = tmp_path / "x.fa"
    target.write_text("before")
    command = [sys.executable, "-c", script, store.path, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert target.read_text() == "before"
    assert export(store, target, force=True).proteins == 39


def test_a_snapshot_goes_out_as_it_was(store, tmp_path):
    store.snapshot("before")
    store.delete(where="id LIKE 'P%'")
    assert export(Store.open(store.path, at="before"), tmp_path / "before.h5", level="residue").proteins == 39
    assert export(store, tmp_path / "after.h5", level="residue").proteins == 9


class TestCommand:
    def test_says_what_it_wrote(self, store, tmp_path, capfd):
        assert run(["export", "-o", str(tmp_path / "x.h5"), "--db", store.path, "--per", "residue", "--json"]) == 0
        out, err = capfd.readouterr()
        assert json.loads(out) | {"bytes": 0, "seconds": 0} == {
            "path": str(tmp_path / "x.h5"),
            "format": "h5",
            "level": "residue",
            "dtype": "float16",
            "proteins": 39,
            "bytes": 0,
            "seconds": 0,
        }
        assert "39 proteins, residue arrays as float16" in err

    def test_options_reach_it(self, store, tmp_path, capfd):
        arguments = ["--db", store.path, "--columns", "gene, length", "--id", "P0002", "--format", "parquet"]
        assert run(["export", "-o", str(tmp_path / "x.dat"), *arguments]) == 0
        assert pq.read_table(tmp_path / "x.dat").to_pylist()[0].keys() == {"id", "gene", "length"}

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            ([], 2, "output"),
            (["-o", "x.txt"], 1, "does not say which format"),
            (["-o", "x.h5", "--id", "P0001", "--where", "length > 2"], 2, "--id or --where"),
            (["-o", "x.h5", "--format", "hdf"], 2, "hdf"),
            (["-o", "x.h5", "--id", "P000"], 1, "near: P0000"),
        ],
    )
    def test_mistakes(self, store, tmp_path, capfd, monkeypatch, arguments, code, message):
        monkeypatch.chdir(tmp_path)
        assert run(["export", *arguments, "--db", store.path]) == code
        assert message in capfd.readouterr().err
