"""Passages and their vectors in LanceDB: writing them, indexing them, asking for the nearest.

An index is two tables. ``passages`` has the columns ``id, title, text, language, vector``, ``title_words`` and
``text_words`` (title and text as `clearir.search.words.folded` spells them), and one for each field;
``manifest`` has one row of JSON and is written last, so an index without it is not finished. The same holds on local
disk and on object storage (``s3://...``).

``vector`` is one vector per passage, or as many as it has tokens (late interaction). A query is of the same kind: shape
(dim,), or (tokens, dim).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clearir.data.passages import Passage, Value
from clearir.models.token_vectors import TokenVectors, similarities
from clearir.search.words import folded
from clearir.support.arrow import column_to_matrices, column_to_vectors, matrices_to_column, vectors_to_column
from clearir.support.errors import InputError, first_line
from clearir.support.extras import require
from clearir.support.progress import task

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from clearir.models.token_vectors import TextVectors

Kind = Literal["text", "integer", "number", "boolean"]
VectorsOf = Callable[[Sequence[Passage]], "TextVectors"]

PASSAGES = "passages"
MANIFEST_TABLE = "manifest"
#: what is searched for words
WORDS = ("title_words", "text_words")
BUILT_IN = ("id", "title", "text", "language", "vector", *WORDS)
#: passages encoded and written at once: one bar for most corpora, and 0.4 GB with 1,024 dimensions
CHUNK = 65_536
#: the same where each token has a vector: 0.5 GB with 512 tokens of 128 dimensions
TOKEN_CHUNK = 2048
#: passages up to which every vector is compared. LanceDB reads 10,000 in about 10 ms.
EXACT_BELOW = 10_000
#: candidates that are ranked again by their full vectors, for each one asked for
REFINE = 4
ROWS_A_PARTITION = 8192
_MOST_REFINED = 200
MIN_RECALL = 0.99
_RECALL_QUERIES = 100


@dataclass(frozen=True)
class Field:
    """A field of the passages.

    Attributes:
        name: as the corpus calls it.
        column: of the table; the name, unless the table has that already or could not have it.
        kind: of its values.
    """

    name: str
    column: str
    kind: Kind


#: what every passage has and can be filtered by
OWN_FIELDS = (Field("id", "id", "text"), Field("title", "title", "text"), Field("language", "language", "text"))


def is_uri(location: str | Path) -> bool:
    """Whether a location is on object storage (``s3://...``), not a path."""
    return "://" in str(location)


def connect(location: str | Path) -> Any:
    """Open the database at a folder or URI; a folder is made when it is first written to.

    Raises:
        MissingExtraError: LanceDB is not installed.
        InputError: the location cannot be opened.
    """
    lancedb = require("lancedb", "search")
    try:
        return lancedb.connect(str(location))
    except (ValueError, RuntimeError, OSError) as error:
        raise InputError(f"{location}: cannot be opened ({first_line(error)}); check the address") from error


def read_manifest(database: Any) -> dict[str, Any] | None:
    """What `write_manifest` wrote, None where nothing is finished."""
    try:
        table = database.open_table(MANIFEST_TABLE)
    except (ValueError, RuntimeError, OSError):  # LanceDB: no such table
        return None
    content: dict[str, Any] = json.loads(table.to_arrow()["json"][0].as_py())
    return content


def write_manifest(database: Any, content: Mapping[str, Any]) -> None:
    """Mark an index as finished."""
    import pyarrow as pa

    text = json.dumps(content, ensure_ascii=False)
    database.create_table(MANIFEST_TABLE, pa.table({"json": [text]}))


def clear(database: Any) -> None:
    """Remove what a stopped run left, or an index that is to be replaced; its manifest first."""
    for name in (MANIFEST_TABLE, PASSAGES):
        database.drop_table(name, ignore_missing=True)


def fields_of(passages: Iterable[Passage]) -> tuple[Field, ...]:
    """The fields that any passage has. One whose values are of several kinds is text."""
    kinds: dict[str, Kind] = {}
    for passage in passages:
        for name, value in passage.fields.items():
            kind, before = _kind(value), kinds.get(name)
            if before is None:
                kinds[name] = kind
            elif kind != before:
                kinds[name] = "number" if {kind, before} == {"integer", "number"} else "text"
    fields: list[Field] = []
    taken = {name.casefold() for name in BUILT_IN}
    for name, kind in kinds.items():
        column = _column(name, taken)
        taken.add(column.casefold())
        fields.append(Field(name, column, kind))
    return tuple(fields)


def write_passages(
    database: Any,
    passages: Sequence[Passage],
    fields: Sequence[Field],
    vectors_of: VectorsOf,
    *,
    chunk: int = CHUNK,
) -> tuple[Any, int | None]:
    """Write all passages with their vectors, in chunks.

    Returns:
        The table, and how many vectors of tokens there are; None where each passage has one vector.
    """
    table, tokens = None, None
    for start in range(0, len(passages), chunk):
        part = passages[start : start + chunk]
        vectors = vectors_of(part)
        if isinstance(vectors, TokenVectors):
            tokens = (tokens or 0) + sum(map(len, vectors.texts))
        batch = _batch(part, fields, vectors)
        if table is None:
            table = database.create_table(PASSAGES, batch)
        else:
            table.add(batch)
    return table, tokens


def index_texts(table: Any) -> None:
    """Full-text index of titles and texts: words as Unicode cuts them, in any script, without stemming."""
    from lancedb.index import FTS

    with task("Indexing words"):
        for column in WORDS:
            table.create_index(column, config=FTS(base_tokenizer="icu", stem=False, remove_stop_words=False))


@dataclass(frozen=True)
class Approximation:
    """An approximate index of vectors.

    Attributes:
        probes: partitions that a search looks into.
        partitions: that there are.
        recall: share of the ten true neighbours that are found so, measured with queries beside passages.
    """

    probes: int
    partitions: int
    recall: float


def index_vectors(table: Any) -> Approximation:
    """Approximate index of the vectors, with as many probes as `MIN_RECALL` takes on these very vectors.

    Vectors are kept as 8-bit integers in partitions (IVF-SQ), and the best are ranked again by the full vectors. On
    vectors without any structure, the worst case, all partitions are probed: still a quarter of the memory traffic.
    """
    from lancedb.index import IvfSq

    with task("Indexing vectors"):
        rows = table.count_rows()
        partitions = max(1, round(rows / ROWS_A_PARTITION))
        table.create_index("vector", config=IvfSq(distance_type="cosine", num_partitions=partitions))
    with task("Measuring recall"):
        queries, truth = _exact_neighbours(table)
        probes = min(8, partitions)
        while True:
            recall = _recall(table, queries, truth, probes)
            if recall >= MIN_RECALL or probes >= partitions:
                return Approximation(probes, partitions, round(recall, 4))
            probes = min(2 * probes, partitions)


def nearest(
    table: Any,
    vector: NDArray[np.float32],
    k: int,
    columns: Sequence[str],
    *,
    probes: int | None = None,
    where: Any = None,
) -> list[dict[str, Any]]:
    """The k rows with the highest cosine or mean MaxSim, as ``_score``, highest first.

    Args:
        table: of passages.
        vector: of unit length; or those of the tokens of a query.
        k: how many.
        columns: of the table to return.
        probes: partitions to look into; None: compare with every vector.
        where: condition on the rows; see `clearir.search.filters`.
    """
    search = _by_vector(table, vector, k, probes, where)
    rows: list[dict[str, Any]] = search.select([*columns, "_distance"]).to_list()
    # Of several vectors LanceDB gives the sum of their distances to the nearest token.
    tokens = len(vector) if vector.ndim == 2 else 1
    for row in rows:
        row["_score"] = 1 - row.pop("_distance") / tokens
    return rows


def nearest_ids(
    table: Any, vector: NDArray[np.float32], k: int, *, probes: int | None = None, where: Any = None
) -> list[int]:
    """Row ids of what `nearest` finds."""
    search = _by_vector(table, vector, k, probes, where)
    return _row_ids(search.with_row_id(True).select(["_distance"]))


def matching_ids(table: Any, query: str, k: int, *, where: Any = None) -> list[int]:
    """Row ids of the k rows whose title and text match the words of ``query`` best (BM25), best first."""
    from lancedb.query import MultiMatchQuery

    words = MultiMatchQuery(folded(query), list(WORDS))  # type: ignore[call-arg]  # pydantic's defaults
    search = table.search(words, query_type="fts").limit(k)
    if where is not None:
        search = search.where(where)
    return _row_ids(search.with_row_id(True).select(["_score"]))


def rows_of(
    table: Any, row_ids: Sequence[int], columns: Sequence[str], vector: NDArray[np.float32]
) -> list[dict[str, Any]]:
    """The rows with these ids, in this order, with their similarity to ``vector`` as ``_score`` (see `nearest`)."""
    if not row_ids:
        return []
    found = table.take_row_ids(list(row_ids)).with_row_id().select([*columns, "vector"]).to_arrow()
    scores = similarities(vector, _vectors_in(found["vector"]))
    found = found.drop_columns("vector").append_column("_score", [scores])
    rows = {row.pop("_rowid"): row for row in found.to_pylist()}
    return [rows[one] for one in row_ids]


def row_by_id(table: Any, identity: str, columns: Sequence[str]) -> dict[str, Any] | None:
    """The row of the passage with this id; None where there is none."""
    from lancedb.expr import col, lit

    rows = table.search().where(col("id") == lit(identity)).select(list(columns)).limit(1).to_list()
    return rows[0] if rows else None


def first_rows(table: Any, number: int, columns: Sequence[str]) -> list[dict[str, Any]]:
    """So many rows of the table, to see what its values look like."""
    found: list[dict[str, Any]] = table.search().select(list(columns)).limit(number).to_list()
    return found


def value_counts(table: Any, column: str, most: int) -> dict[str, int] | None:
    """How many rows have which value, the commonest first; None where there are more than ``most`` values."""
    counts: Counter[str] = Counter()
    for batch in table.search().select([column]).to_batches(65_536):
        for entry in batch[column].value_counts().to_pylist():
            if entry["values"] is not None:
                value = str(entry["values"]).lower() if isinstance(entry["values"], bool) else entry["values"]
                counts[value] += entry["counts"]
        if len(counts) > most:
            return None
    return dict(counts.most_common())


def _by_vector(table: Any, vector: NDArray[np.float32], k: int, probes: int | None, where: Any) -> Any:
    search = table.search(vector, vector_column_name="vector").distance_type("cosine").limit(k)
    refine = max(2, min(REFINE, _MOST_REFINED // k))
    search = search.bypass_vector_index() if probes is None else search.nprobes(probes).refine_factor(refine)
    return search if where is None else search.where(where)


def _row_ids(search: Any) -> list[int]:
    found: list[int] = search.to_arrow()["_rowid"].to_pylist()
    return found


def _kind(value: Value) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "number" if isinstance(value, float) else "text"


def _column(name: str, taken: set[str]) -> str:
    """A column for a field: letters, digits and underscores, and none that is taken."""
    column = re.sub(r"\W", "_", name, flags=re.ASCII) or "field"
    if column[0].isdigit() or column.startswith("_"):
        column = f"field{column}" if column.startswith("_") else f"field_{column}"
    free, number = column, 2
    while free.casefold() in taken:
        free, number = f"{column}_{number}", number + 1
    return free


def _batch(passages: Sequence[Passage], fields: Sequence[Field], vectors: TextVectors) -> pa.Table:
    import pyarrow as pa

    types = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    columns: dict[str, Any] = {
        "id": pa.array([passage.id for passage in passages], pa.string()),
        "title": pa.array([passage.title for passage in passages], pa.string()),
        "text": pa.array([passage.text for passage in passages], pa.string()),
        "language": pa.array([passage.language for passage in passages], pa.string()),
        "title_words": pa.array([folded(passage.title) for passage in passages], pa.string()),
        "text_words": pa.array([folded(passage.text) for passage in passages], pa.string()),
    }
    for one in fields:
        values = [passage.fields.get(one.name) for passage in passages]
        if one.kind == "text":
            values = [None if value is None else str(value) for value in values]
        columns[one.column] = pa.array(values, types[one.kind])
    columns["vector"] = _column_of(vectors)
    return pa.table(columns)


def _column_of(vectors: TextVectors) -> pa.Array:
    if isinstance(vectors, TokenVectors):
        return matrices_to_column(vectors.arrays())
    return vectors_to_column(vectors)


def _vectors_in(column: pa.ChunkedArray) -> TextVectors:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(column.type):
        return column_to_vectors(column)
    return TokenVectors.of(column_to_matrices(column))


def _exact_neighbours(table: Any) -> tuple[NDArray[np.float32], list[set[str]]]:
    """Queries beside some passages, and the ids of their ten nearest; one pass over the vectors, in chunks."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows = table.count_rows()
    picked = np.sort(rng.choice(rows, min(_RECALL_QUERIES, rows), replace=False))
    taken = table.take_offsets(picked.tolist()).select(["vector"]).to_arrow()
    queries = column_to_vectors(taken["vector"])
    # A query is never the passage itself: half as far from it as an unrelated one.
    noise = rng.standard_normal(queries.shape, dtype=np.float32)
    queries = queries + 0.5 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    best: list[list[tuple[float, str]]] = [[] for _ in queries]
    for batch in table.search().select(["id", "vector"]).to_batches(8192):
        scores = queries @ column_to_vectors(batch["vector"]).T
        top = min(10, scores.shape[1])
        for number, order in enumerate(np.argpartition(-scores, top - 1, axis=1)[:, :top]):
            found = [(float(scores[number, i]), batch["id"][int(i)].as_py()) for i in order]
            best[number] = sorted([*best[number], *found], reverse=True)[:10]
    return queries, [{identity for _, identity in found} for found in best]


def _recall(table: Any, queries: NDArray[np.float32], truth: Sequence[set[str]], probes: int) -> float:
    found = [{row["id"] for row in nearest(table, query, 10, ["id"], probes=probes)} for query in queries]
    return sum(len(one & right) for one, right in zip(found, truth, strict=True)) / sum(map(len, truth))
