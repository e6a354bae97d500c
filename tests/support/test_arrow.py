from __future__ import annotations

import numpy as np
import pyarrow as pa

from clearir.support.arrow import column_to_vectors, vectors_to_column

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
