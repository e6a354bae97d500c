from __future__ import annotations

import numpy as np
import pyarrow as pa

from clearir.support.arrow import column_to_matrices, column_to_vectors, matrices_to_column, vectors_to_column

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_vectors_come_back_as_they_were() -> None:
    column = vectors_to_column(VECTORS)
    assert column.type == pa.list_(pa.float32(), 3)
    assert column_to_vectors(column).dtype == np.float32
    np.testing.assert_array_equal(column_to_vectors(column), VECTORS)
    np.testing.assert_array_equal(column_to_vectors(column.slice(1, 2)), VECTORS[1:3])


def test_a_column_may_be_in_pieces_or_have_no_rows() -> None:
    column = vectors_to_column(VECTORS)
    pieces = pa.chunked_array([column.slice(0, 1), column.slice(1, 3)])
    np.testing.assert_array_equal(column_to_vectors(pieces), VECTORS)
    assert column_to_vectors(pa.chunked_array([], column.type)).shape == (0, 3)


def test_matrices_come_back_as_they_were() -> None:
    matrices = [VECTORS[:1], VECTORS[:0], VECTORS[1:]]
    column = matrices_to_column(matrices)
    assert column.type == pa.list_(pa.list_(pa.float32(), 3))
    pieces = pa.chunked_array([column.slice(0, 1), column.slice(1)])
    for one in (column, pieces):
        for found, matrix in zip(column_to_matrices(one), matrices, strict=True):
            np.testing.assert_array_equal(found, matrix)
    [last] = column_to_matrices(column.slice(2))
    np.testing.assert_array_equal(last, VECTORS[1:])
    assert column_to_matrices(column.slice(3)) == []
