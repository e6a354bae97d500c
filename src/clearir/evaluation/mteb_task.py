"""MTEB's own tasks and evaluator: retrieval, STS, bitext mining, classification and the rest (extra ``mteb``).

```python
run_mteb(model, "XQuADRetrieval")["validation"]["de"]["ndcg_at_10"]
score_mteb(model, load_task("STS22.v2", ["en", "de"]), name="before").save(Path("scores/before.json"))
run_mteb(model, task_of(suite, ["de->en"]))["test"]["de->en"]["ndcg_at_10"]   # the same as our own matrix
```
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Collection
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.data.sources.headers import code_of
from clearir.evaluation.suites import Suite
from clearir.models.load import model_fingerprint
from clearir.models.prompts import Prompts, prompts_of
from clearir.support import languages as codes
from clearir.support.artifacts import atomic_file
from clearir.support.errors import InputError, first_line
from clearir.support.extras import require

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SPLIT = "test"  # of the tasks that are made of suites
FORMAT = "clearir-mteb/1"


@dataclass(frozen=True)
class MtebScores:
    """What one model scores on one task of MTEB.

    Attributes:
        task: its name.
        type: ``Retrieval``, ``STS``, ``BitextMining``, ``Classification`` ...
        main_score: name of the metric that MTEB shows for it, such as ``cosine_spearman``.
        model: as the user named it.
        model_hash: fingerprint of its weights.
        prompts: put before queries (and before all texts where a task has no two sides) and before passages.
        mteb: version of the package.
        scores: split -> subset -> metric -> value; what could not be computed is not there.
    """

    task: str
    type: str
    main_score: str
    model: str
    model_hash: str
    prompts: Prompts
    mteb: str
    scores: dict[str, dict[str, dict[str, float]]]

    @property
    def main_scores(self) -> dict[tuple[str, str], float | None]:
        """Split, subset -> main score; None where it could not be computed."""
        return {
            (split, subset): values.get("main_score")
            for split, subsets in self.scores.items()
            for subset, values in subsets.items()
        }

    @property
    def mean(self) -> float | None:
        """Mean of the main scores, if there are any."""
        known = [value for value in self.main_scores.values() if value is not None]
        return sum(known) / len(known) if known else None

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        with atomic_file(path) as temporary:
            text = json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")


def load_task(name: str, languages: Collection[str] | None = None) -> Any:
    """One of MTEB's tasks, without its data.

    Args:
        name: as MTEB calls it.
        languages: keep the subsets in these languages alone; all by default.

    Raises:
        InputError: no such task, or it has no subset in the languages.
        MissingExtraError: mteb is not installed.
    """
    mteb = require("mteb", "mteb")
    try:
        task = mteb.get_task(name)
    except (KeyError, ValueError) as error:
        raise InputError(f"MTEB has no task {name!r}; see mteb.get_tasks() ({first_line(error)})") from error
    if languages is None:
        return task
    wanted = {codes.normalise(code) for code in languages}
    subsets = {
        subset: {code_of(code) or code for code in found}
        for subset, found in task.metadata.hf_subsets_to_langscripts.items()
    }
    chosen = [subset for subset, found in subsets.items() if found <= wanted]
    if not chosen:
        there = ", ".join(sorted({code for found in subsets.values() for code in found}))
        raise InputError(f"{name} has no subset in {', '.join(sorted(wanted))} alone; its languages are {there}")
    return mteb.get_task(name, hf_subsets=chosen)


def score_mteb(model: SentenceTransformer, task: Any, *, name: str, prompts: Prompts | None = None) -> MtebScores:
    """Run a task as `run_mteb` does, and keep with its results what they are of.

    Args:
        model: what is scored.
        task: a task object; see `load_task`.
        name: of the model.
        prompts: see `run_mteb`.

    Raises:
        InputError: the data of the task cannot be loaded.
        MissingExtraError: mteb is not installed.
    """
    prompts = prompts_of(model) if prompts is None else prompts
    return MtebScores(
        task=task.metadata.name,
        type=task.metadata.type,
        main_score=task.metadata.main_score,
        model=name,
        model_hash=model_fingerprint(model),
        prompts=prompts,
        mteb=version("mteb"),
        scores=run_mteb(model, task, prompts=prompts),
    )


def run_mteb(
    model: SentenceTransformer, task: Any, *, prompts: Prompts | None = None, batch_size: int = 32
) -> dict[str, dict[str, dict[str, float]]]:
    """Run one of MTEB's tasks with MTEB's own code.

    Args:
        model: what is scored.
        task: a name that MTEB knows, or a task object.
        prompts: put before queries and passages; by default those the model was saved with. Where a task has no two
            sides (STS, bitext mining, classification), the query's stands before all texts, as e5 asks for it.
        batch_size: texts a batch.

    Returns:
        split -> subset -> metric (``ndcg_at_10``, ``main_score`` ...) -> value.

    Raises:
        InputError: no such task, or its data cannot be loaded.
        MissingExtraError: mteb is not installed.
    """
    mteb = require("mteb", "mteb")
    wrapper = require("mteb.models", "mteb").SentenceTransformerEncoderWrapper
    if isinstance(task, str):
        task = load_task(task)
    prompts = prompts_of(model) if prompts is None else prompts
    kind, own = task.metadata.type, model.prompts
    by_side = {"query": prompts.query, "document": prompts.passage}
    by_kind = {kind: prompts.query, f"{kind}-document": prompts.passage}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own use of sentence-transformers
            # Without the cache: it knows models by name, and two trained models may share one.
            result = mteb.evaluate(
                wrapper(model, model_prompts=by_side | by_kind),
                task,
                cache=None,
                co2_tracker=False,
                encode_kwargs={"batch_size": batch_size, "show_progress_bar": False},
                show_progress_bar=False,
            )
    except (OSError, ValueError) as error:
        raise InputError(
            f"MTEB could not run {task.metadata.name} ({first_line(error)}); "
            "its data come from the Hub: check the connection"
        ) from error
    finally:
        model.prompts = own  # the wrapper sets its own
    return {
        split: {
            row["hf_subset"]: {
                name: value for name, value in row.items() if isinstance(value, int | float) and math.isfinite(value)
            }
            for row in rows
        }
        for split, rows in result.task_results[0].scores.items()
    }


def task_of(suite: Suite, directions: Collection[str] | None = None) -> Any:
    """A suite as a task of MTEB, a subset a direction: to check our figures with its evaluator.

    Args:
        suite: with plain languages, as MTEB knows them.
        directions: ``de->en`` ...; all by default.

    Raises:
        MissingExtraError: mteb is not installed.
    """
    base = require("mteb.abstasks.retrieval", "mteb").AbsTaskRetrieval
    facts = require("mteb.abstasks.task_metadata", "mteb").TaskMetadata
    relevant = {f"{q}->{p}": (q, p, suite.relevant(q, p)) for q in suite.queries for p in suite.passages}
    chosen = {
        name: parts for name, parts in relevant.items() if parts[2] and (directions is None or name in directions)
    }

    class SuiteTask(base):  # type: ignore[misc,valid-type]  # a class that is only known at run time
        ignore_identical_ids = bool(suite.repeated)
        metadata = facts(
            name=f"{suite.name.title().replace('-', '')}Retrieval",
            description=f"The suite {suite.name}.",
            reference=None,
            dataset={"path": suite.name, "revision": suite.hash},
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=[SPLIT],
            eval_langs={name: ["eng-Latn"] for name in chosen},
            main_score="ndcg_at_10",
        )

        def load_data(self, *args: Any, **options: Any) -> None:
            self.queries = {
                name: {SPLIT: {i: suite.queries[q][i] for i in gold}} for name, (q, _, gold) in chosen.items()
            }
            self.corpus = {name: {SPLIT: dict(suite.passages[p])} for name, (_, p, _) in chosen.items()}
            self.relevant_docs = {name: {SPLIT: gold} for name, (_, _, gold) in chosen.items()}
            self.data_loaded = True

    return SuiteTask()
