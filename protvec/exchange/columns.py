"""Columns of Arrow tables: vectors and residue arrays as NumPy has them, others in the types of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def vectors_of(column: pa.ChunkedArray) -> list[NDArray[np.float32] | None]:
    """Any list of numbers as arrays; None where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks()
    lengths = pc.list_value_length(array).to_pylist()
    flat = array.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
    ends = np.cumsum([length or 0 for length in lengths])
    return [
        None if length is None else flat[end - length : end] for length, end in zip(lengths, ends.tolist(), strict=True)
    ]


def matrices_of(column: pa.ChunkedArray, dimension: int | None) -> list[NDArray[np.float32] | None]:
    """Lists of lists of numbers as (L, D) arrays; None where they are not of that shape."""
    import pyarrow as pa
    import pyarrow.compute as pc

    matrices: list[NDArray[np.float32] | None] = []
    for scalar in column:
        rows = scalar.values
        widths = [] if rows is None else pc.unique(pc.list_value_length(rows)).to_pylist()
        if len(widths) != 1 or widths[0] != (dimension or widths[0]) or not widths[0]:
            matrices.append(None)
        else:
            numbers = rows.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
            matrices.append(numbers.reshape(len(rows), -1))
    return matrices


def holds_numbers(kind: pa.DataType, depth: int) -> bool:
    """Whether a type is of lists, so deep, of numbers."""
    import pyarrow as pa

    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    for _ in range(depth):
        if not any(is_one(kind) for is_one in lists):
            return False
        kind = kind.value_type
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def plain(field: pa.Field) -> pa.Field:
    """A column as a database keeps it: what pandas and polars call large, categorical or a view is plain text there."""
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.field(field.name, pa.string() if pa.types.is_large_string(kind) else _plain_type(kind))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """A type that Lance has in place of one that it has not: maps become lists of ``key`` and ``value``."""
    import pyarrow as pa

    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_map(kind):
        pair = [pa.field("key", _plain_type(kind.key_type)), pa.field("value", _plain_type(kind.item_type))]
        return pa.list_(pa.struct(pair))
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(_plain_type(part.type)) for part in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain_type(kind.value_type)))
    return kind
