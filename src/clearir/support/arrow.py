"""Vectors as a column of an Arrow table: per row a list of fixed size, or as many of them as a text has tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
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


def matrices_to_column(matrices: Sequence[NDArray[np.float32]]) -> pa.Array:
    """Matrices of shape (any, dim), at least one, as a column with a row for each."""
    import numpy as np
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, matrices)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), vectors_to_column(np.concatenate(matrices)))


def column_to_matrices(column: pa.Array | pa.ChunkedArray) -> list[NDArray[np.float32]]:
    """The same column as matrices, which cannot be written to."""
    import numpy as np
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    vectors = column_to_vectors(array.flatten())
    ends = np.cumsum([0, *array.value_lengths().to_numpy()])
    return [vectors[start:end] for start, end in pairwise(ends)]
