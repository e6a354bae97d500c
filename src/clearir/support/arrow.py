"""Vectors as a column of an Arrow table, a list of fixed size per row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def vectors_to_column(vectors: NDArray[np.float32]) -> pa.Array:
    """Vectors of shape (n, dim) as a column of n rows."""
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), vectors.shape[1])


def column_to_vectors(column: pa.Array | pa.ChunkedArray) -> NDArray[np.float32]:
    """The same column as vectors of shape (n, dim), which cannot be written to."""
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    vectors: NDArray[np.float32] = array.flatten().to_numpy().reshape(len(array), array.type.list_size)
    return vectors
