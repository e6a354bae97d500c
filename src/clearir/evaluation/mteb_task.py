"""MTEB's own tasks and evaluator, for figures that stand beside its leaderboard (extra ``mteb``).

```python
run_mteb(model, "XQuADRetrieval")["validation"]["de"]["ndcg_at_10"]
run_mteb(model, task_of(suite, ["de->en"]))["test"]["de->en"]["ndcg_at_10"]   # the same as our own matrix
```
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from clearir.evaluation.suites import Suite
from clearir.models.prompts import Prompts, prompts_of
from clearir.support.errors import InputError, first_line
from clearir.support.extras import require

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SPLIT = "test"  # of the tasks that are made of suites


def run_mteb(
    model: SentenceTransformer, task: Any, *, prompts: Prompts | None = None, batch_size: int = 32
) -> dict[str, dict[str, dict[str, float]]]:
    """Run one of MTEB's tasks with MTEB's own code.

    Args:
        model: what is scored.
        task: a name that MTEB knows, or a task object.
        prompts: put before queries and passages; by default those the model was saved with.
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
        try:
            task = mteb.get_task(task)
        except (KeyError, ValueError) as error:
            raise InputError(f"MTEB has no task {task!r}; see mteb.get_tasks() ({first_line(error)})") from error
    prompts = prompts_of(model) if prompts is None else prompts
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own use of sentence-transformers
            # Without the cache: it knows models by name, and two trained models may share one.
            result = mteb.evaluate(
                wrapper(model, model_prompts={"query": prompts.query, "document": prompts.passage}),
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
    return {
        split: {
            row["hf_subset"]: {name: value for name, value in row.items() if isinstance(value, int | float)}
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
