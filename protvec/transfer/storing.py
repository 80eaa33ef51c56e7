"""Transferred labels in the database: in columns of their own, with where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protvec.errors import QueryError

if TYPE_CHECKING:
    import pyarrow as pa

    from protvec.store import Store
    from protvec.transfer.predictions import Prediction, Predictions
    from protvec.transfer.run import Options


@dataclass(frozen=True)
class Place:
    """The columns of one transfer: lists, with one element a label.

    Attributes:
        name: The column of labels; the others are ``NAME_ri``, ``NAME_from`` and ``NAME_evalue``.
    """

    name: str

    @property
    def sources(self) -> dict[str, str]:
        """The columns, and what of a prediction each holds."""
        about = {"ri": "ri", "from": "target", "evalue": "evalue"}
        return {self.name: "label"} | {f"{self.name}_{end}": what for end, what in about.items()}

    @property
    def empty(self) -> str:
        """The condition that a protein has nothing there."""
        return f"coalesce(array_length({self.name}), 0) = 0"

    def schema(self) -> pa.Schema:
        """The columns with their types."""
        import pyarrow as pa

        kinds = {"label": pa.string(), "target": pa.string()}
        return pa.schema([(name, pa.list_(kinds.get(what, pa.float64()))) for name, what in self.sources.items()])

    def check(self, store: Store) -> bool:
        """Whether an earlier transfer made the columns.

        Raises:
            QueryError: One was made by another than a transfer, or cannot be called so.
        """
        there = store.user_columns
        for field in self.schema():
            store.check_column_name(field.name)
            if (field.name in there) != (self.name in there) or there.get(field.name, field.type) != field.type:
                taken = field.name if field.name in there else self.name
                raise QueryError(
                    f"there is a column {taken} that no transfer made, and it is not overwritten: "
                    "--into NAME takes other columns"
                )
        return self.name in there


def store_predictions(store: Store, found: Predictions, options: Options, place: Place, *, replace: bool) -> None:
    """Write the labels in one commit, and a line of the log.

    Args:
        store: The database.
        found: The labels.
        options: What was asked for.
        place: Where they go.
        replace: Take away what an earlier transfer said of proteins that now get no label.
    """
    import pyarrow as pa

    told: dict[str, list[Prediction]] = {}
    for row in found:
        told.setdefault(row.query, []).append(row)
    ids = [*told, *(found.abstained if replace else ())]
    schema = place.schema()
    columns = {"id": pa.array(ids, pa.string())}
    for name, what in place.sources.items():
        cells = [[getattr(row, what) for row in told[id]] if id in told else None for id in ids]
        columns[name] = pa.array(cells, schema.field(name).type)
    store.set_columns(schema, [], lambda _: pa.table(columns))
    found.columns = tuple(place.sources)
    store.ledger.record(
        "transfer",
        counts={"queries": found.queries, "labels": len(found), "abstained": len(found.abstained)},
        options={
            "column": options.column,
            "into": place.name,
            "k": options.k,
            "min_ri": options.min_ri,
            "evalue": options.evalue,
            "ontology": options.ontology.name if options.ontology else None,
        },
    )
