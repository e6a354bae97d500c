"""A corpus in Parquet -> its vectors in Parquet, shard by shard, here or on the workers of a Ray cluster.

```
<out>/part-00000.parquet    id, key (of text, prompt, maximal length and route), vector (float32)
<out>/manifest.json
```

```python
encode_corpus("passages/", "BAAI/bge-m3", Path("vectors"), engine="ray")
ready = ReadyVectors.open(Path("vectors"))
encode(model, texts, ready=ready)      # computes only what is not there
```

A shard is written whole or not at all, and one that is there is not computed again, whichever engine made it. Workers
share the file system: they read the corpus and write their shards themselves.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clearir.data.sources import files
from clearir.data.sources.checks import BadRowError
from clearir.support.arrow import vectors_to_column
from clearir.support.artifacts import (
    MANIFEST,
    atomic_file,
    fingerprint,
    is_due,
    path_fingerprint,
    read_json,
    replace_folder,
    write_manifest,
)
from clearir.support.errors import InputError
from clearir.support.extras import require
from clearir.support.locks import alone
from clearir.support.progress import task

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from clearir.data.passages import Passage
    from clearir.models.load import Loading

Engine = Literal["local", "ray"]
#: of a corpus in one shard: what is lost when a worker is killed, and 80 MB of vectors with 1,024 dimensions
SHARD_ROWS = 20_000


@dataclass(frozen=True)
class Shard:
    """Rows of a file that are encoded together.

    Attributes:
        number: among all shards of the corpus.
        file: Parquet.
        first: row of the file.
        rows: how many.
        of_several: whether the corpus has other files.
    """

    number: int
    file: str
    first: int
    rows: int
    of_several: bool = False

    @property
    def name(self) -> str:
        """Of the file with its vectors."""
        return f"part-{self.number:05}.parquet"


@dataclass(frozen=True)
class Job:
    """What a worker has to know.

    Attributes:
        model: as `clearir.models.load.load_model` takes it.
        folder: for the vectors.
        prompt: put before every passage.
        loading: how the model is loaded.
        columns: our name of a column (``text, title, id, language``) -> the table's.
    """

    model: str
    folder: str
    prompt: str
    loading: Loading
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Encoded:
    """What `encode_corpus` did.

    Attributes:
        folder: of the vectors.
        passages: with a vector.
        shards: all of them.
        computed: shards that were not there before.
    """

    folder: Path
    passages: int
    shards: int
    computed: int


def encode_corpus(
    corpus: str | Path,
    model: str,
    out: Path,
    *,
    engine: Engine = "local",
    workers: int | None = None,
    columns: Mapping[str, str] | None = None,
    loading: Loading | None = None,
    overwrite: bool = False,
) -> Encoded:
    """Encode the passages of a corpus that need not fit into memory.

    Args:
        corpus: a Parquet file, or a folder of them; columns as in `clearir.data.passages.read_corpus`.
        model: as `clearir.models.load.load_model` takes it.
        out: folder of the vectors; it appears when all are there.
        engine: "local" encodes in this process; "ray" on a Ray cluster, or on this machine where there is none.
        workers: of Ray; by default one a GPU, or else one a processor.
        columns: our name of a column (``text, title, id, language``) -> the table's.
        loading: prompt, length and so on, where they are not the model's own.
        overwrite: replace the vectors of something else.

    Raises:
        InputError: the corpus is not Parquet, cannot be read or has no texts, ``columns`` names none of ours, or
            ``out`` holds something else.
        MissingExtraError: Ray is not installed.
    """
    from clearir.data.passages import RecordReader
    from clearir.models.load import Loading, model_fingerprint
    from clearir.models.prompts import prompts_of

    columns = {} if columns is None else columns
    RecordReader(None, columns)  # what is no name of a column is said before a model is loaded
    if engine == "ray":
        require("ray", "ray")  # before a model is loaded for nothing
    loading = loading or Loading()
    shards = list(shards_of(corpus, SHARD_ROWS))
    network = loading.load(model)
    prompt = prompts_of(network).passage
    settings = {
        "stage": "encode",
        "corpus": path_fingerprint(Path(corpus)),
        "columns": dict(columns),
        "model_hash": model_fingerprint(network),
        "prompt": prompt,
        "max_seq_length": network.max_seq_length,
        "shard_rows": SHARD_ROWS,
    }
    with alone(out):
        if not is_due(out, settings, overwrite=overwrite):
            return Encoded(out, read_json(out / MANIFEST)["result"]["passages"], len(shards), 0)
        work = out.parent / f".{out.name}.shards" / fingerprint(settings)
        work.mkdir(parents=True, exist_ok=True)
        job = Job(
            model=str(Path(model).resolve()) if Path(model).is_dir() else model,
            folder=str(work.resolve()),
            prompt=prompt,
            loading=loading,
            columns=dict(columns),
        )
        computed = _write_missing(job, network, shards, engine, workers)
        passages = sum(files.parquet_length(work / shard.name) for shard in shards)
        if passages == 0:
            shutil.rmtree(work.parent)
            raise InputError(
                f"{corpus}: no passages; check that this is the right file and that its texts are not empty"
            )
        write_manifest(work, settings, {"passages": passages, "shards": len(shards)})
        replace_folder(out, work)
        shutil.rmtree(work.parent)
        return Encoded(out, passages, len(shards), computed)


def _write_missing(
    job: Job, network: SentenceTransformer, shards: Sequence[Shard], engine: Engine, workers: int | None
) -> int:
    """Compute the shards that are not there yet, and return how many those are."""
    missing = [shard for shard in shards if not (Path(job.folder) / shard.name).exists()]
    written = _with_ray(job, missing, workers) if engine == "ray" else map(Worker(job, network).write, missing)
    with task("Encoding rows", sum(shard.rows for shard in shards)) as advance:
        advance(sum(shard.rows for shard in shards) - sum(shard.rows for shard in missing))
        for rows in written:
            advance(rows)
    return len(missing)


def shards_of(corpus: str | Path, rows: int) -> Iterator[Shard]:
    """Cut a corpus into shards of at most ``rows`` rows of one file.

    Raises:
        InputError: no Parquet.
    """
    number = 0
    several = len(found := files.find(corpus)) > 1
    for file in found:
        if file.suffix.lower() != ".parquet":
            raise InputError(
                f"{file}: only Parquet can be read in parts; convert it with: python -c "
                f"\"import pandas; pandas.read_json('{file.name}', lines=True).to_parquet('passages.parquet')\""
            )
        total = files.parquet_length(file)
        for first in range(0, total, rows):
            yield Shard(number, str(file.resolve()), first, min(rows, total - first), several)
            number += 1


class Worker:
    """Encodes shards, one after the other.

    Args:
        job: what and how.
        network: the model of the job, where it is loaded already.
    """

    def __init__(self, job: Job, network: SentenceTransformer | None = None) -> None:
        self.job = job
        self.network = network or job.loading.load(job.model)

    def write(self, shard: Shard) -> int:
        """Write the vectors of a shard, and return its rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from clearir.models.encode import encode_by_language
        from clearir.models.one_way import routes_of
        from clearir.models.vector_cache import vector_key

        passages = list(_passages(shard, self.job.columns))
        texts = [one.content for one in passages]
        routes = routes_of(self.network, [one.language for one in passages])
        prompt, limit = self.job.prompt, self.network.max_seq_length
        vectors = encode_by_language(self.network, texts, routes, prompt=prompt, description=f"Encoding {shard.name}")
        keys = [vector_key(text, prompt, limit, route) for text, route in zip(texts, routes, strict=True)]
        table = pa.table(
            {
                "id": pa.array([one.id for one in passages], pa.string()),
                "key": pa.array(keys, pa.binary(16)),
                "vector": vectors_to_column(vectors),
            }
        )
        with atomic_file(Path(self.job.folder) / shard.name) as temporary:
            pq.write_table(table, temporary)
        return shard.rows


class _RayWorker(Worker):
    """The same as an actor of Ray Data, which hands it batches of one shard."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        columns = [column.tolist() for column in batch.values()]
        shards = [Shard(**dict(zip(batch, row, strict=True))) for row in zip(*columns, strict=True)]
        return {"rows": [self.write(shard) for shard in shards]}


def _with_ray(job: Job, shards: Sequence[Shard], workers: int | None) -> Iterator[int]:
    """Shards go to a pool of actors. One that dies is started anew by Ray, and its shard is computed again."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    if not shards:
        return
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False) if "RAY_ADDRESS" not in os.environ else ray.init()
    DataContext.get_current().enable_progress_bars = False
    there = ray.cluster_resources()  # type: ignore[no-untyped-call, unused-ignore]
    gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 0))
    if not gpus and not cpus:
        raise InputError("--engine ray: the cluster has neither GPUs nor CPUs; start its workers (ray start)")
    size = min(workers or gpus or cpus, len(shards))
    done = ray.data.from_items([asdict(shard) for shard in shards], override_num_blocks=len(shards)).map_batches(
        _RayWorker,
        fn_constructor_args=(job,),
        batch_size=1,
        compute=ActorPoolStrategy(size=size),
        num_gpus=1 if gpus else 0,
    )
    for row in done.iter_rows():
        yield int(row["rows"])


def _passages(shard: Shard, columns: Mapping[str, str]) -> Iterator[Passage]:
    """The passages of a shard; rows without a text are left out."""
    from clearir.data.passages import RecordReader

    file = Path(shard.file)
    make = RecordReader(None, columns)
    located = files.parquet_rows(file, make.header(file), shard.first, shard.rows)
    for number, (place, record) in enumerate(located, start=shard.first + 1):
        assert not isinstance(record, BadRowError)  # Parquet has none
        passage = make(place, record, f"{file.name}:{number}" if shard.of_several else str(number))
        if passage is not None:
            yield passage
