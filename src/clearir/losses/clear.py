"""CLEARLoss and CachedCLEARLoss for `SentenceTransformerTrainer`.

```python
from clearir import CLEARLoss

# columns: query, passage, negative_1..n, target_query, target_negative_1..m
trainer = SentenceTransformerTrainer(model=model, train_dataset=dataset, loss=CLEARLoss(model))
```
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.losses.gradcache import CachedLossMixin, has_static_embedding_input
from sentence_transformers.util import (
    all_gather,
    all_gather_with_grad,
    cos_sim,
    get_rank,
    similarity_fct_name,
)
from torch import Tensor, nn

from clearir.losses.cached import cached_backward, embed_chunks
from clearir.losses.columns import Columns, split_columns
from clearir.losses.packing import Features, Plan, plan_batch
from clearir.losses.terms import (
    SimilarityFunction,
    info_nce,
    other_correct_answers,
    paired_kl,
    scaled_scores,
)

CITATION = """
@inproceedings{lee2026clear,
    title = {CLEAR: Cross-Lingual Enhancement in Retrieval via Reverse-training},
    author = {Lee and Kim and Hong and Jang and Oh and Lim},
    booktitle = {Proceedings of the Annual Meeting of the Association for Computational Linguistics},
    year = {2026},
    pages = {347--362},
    eprint = {2604.05821},
    archivePrefix = {arXiv}
}
"""

# Texts a forward pass where nothing else is said: as many as the longest one allows in the memory of this many.
TEXTS_A_CHUNK = 32


class CLEARLoss(nn.Module):
    """CLEAR: forward contrast, reverse training over the bridge, and a KL term that draws the two together.

    With L2-normalised embeddings, scale ``s`` and in-batch plus hard negatives (CLEAR, section 3):

    - forward: InfoNCE from the bridge query ``q_i`` to its passage ``d_i`` among all ``d`` and ``d-``;
    - reverse: InfoNCE from the passage ``d_i`` to its target-language query ``t_i`` among all ``t`` and ``t-``;
    - KL: ``KL(P_reverse_i || P_forward_i)``, column j against column j, gradients through both.

    ``loss = (1 - alpha - beta) * forward + alpha * reverse + beta * KL``, each a mean over the batch.

    False negatives never count: a candidate whose text equals the row's own positive, or that is the positive of
    another row with the same anchor text (several questions that share a passage), has probability 0 for that row,
    in either direction and in the KL. Texts are compared by token ids.

    Args:
        model: the model that is trained.
        alpha: weight of the reverse term (0.4 in the paper).
        beta: weight of the KL term (0.2 in the paper); 0 leaves it out.
        scale: 1 / temperature.
        similarity_fct: similarity of two matrices of embeddings. Scores are always computed in float32.
        num_negatives: hard-negative passages a row; the rest of the columns are hard-negative target queries. None:
            as many of both. Where the numbers differ, the KL term compares the distributions over the in-batch
            columns only, since the others have no partner.
        mask_false_negatives: see above.
        gather_across_devices: negatives from all processes, with gradients.
        packing: embed the distinct texts of all columns together, sorted by length, instead of each column by
            itself. Same loss and gradients, less padding. See `clearir.losses.packing`.

    Requirements:
        1. rows of (query, passage) in the bridge language with the query in the target language;
        2. better with hard negatives on both sides (`clearir mine`).

    Inputs:
        +----------------------------------------------------------------------------------+--------+
        | Columns                                                                          | Labels |
        +==================================================================================+========+
        | (query, passage, negative_1..n, target_query, target_negative_1..m)              | none   |
        +----------------------------------------------------------------------------------+--------+

    Relations:
        - `CachedCLEARLoss` is the same loss at a memory cost that does not grow with the batch.
        - ``MultipleNegativesRankingLoss`` over (query, passage, negatives) is the forward term alone.

    Raises:
        ValueError: alpha and beta leave no weight to the forward term.

    Example:
        ::

            from datasets import Dataset
            from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
            from clearir import CLEARLoss

            model = SentenceTransformer("BAAI/bge-m3")
            train_dataset = Dataset.from_dict({
                "query": ["how do I save a file", "where is the station"],
                "passage": ["Press Ctrl and S to save.", "The station is behind the church."],
                "target_query": ["kuinka tallennan tiedoston", "missä asema on"],
            })
            trainer = SentenceTransformerTrainer(
                model=model, train_dataset=train_dataset, loss=CLEARLoss(model)
            )
            trainer.train()
    """

    def __init__(
        self,
        model: SentenceTransformer,
        alpha: float = 0.4,
        beta: float = 0.2,
        scale: float = 20.0,
        similarity_fct: SimilarityFunction = cos_sim,
        num_negatives: int | None = None,
        mask_false_negatives: bool = True,
        gather_across_devices: bool = False,
        packing: bool = True,
    ) -> None:
        super().__init__()
        if alpha < 0 or beta < 0 or alpha + beta > 1:
            raise ValueError(f"alpha={alpha} and beta={beta} must be at least 0 and at most 1 together")
        self.model = model
        self.alpha = alpha
        self.beta = beta
        self.scale = scale
        self.similarity_fct = similarity_fct
        self.num_negatives = num_negatives
        self.mask_false_negatives = mask_false_negatives
        self.gather_across_devices = gather_across_devices
        self.packing = packing
        #: the last batch's terms, detached and unweighted, for logging
        self.terms: dict[str, Tensor] = {}

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch; ``labels`` are not used."""
        plan = plan_batch(sentence_features, self.packing)
        embeddings = []
        for pack in plan.packs:
            # A batch left in columns goes through the model whole, as the sentence-transformers losses do it.
            ranges = [(0, len(pack))] if pack.lengths is None else pack.ranges(TEXTS_A_CHUNK, None)
            chunks = [self.model(pack.chunk(*one))["sentence_embedding"] for one in ranges]
            embeddings.append(torch.cat(chunks))
        return self._loss(plan.columns(embeddings), plan.text_ids)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None = None) -> Tensor:
        """The loss from embeddings alone. Without texts no false negative can be told, so none is masked.

        Args:
            embeddings: one ``(batch, dim)`` a column.
            labels: not used.

        Returns:
            a scalar.
        """
        return self._loss(embeddings, None)

    def _loss(self, embeddings: list[Tensor], text_ids: Tensor | None) -> Tensor:
        columns, ids, rows = self._prepare(embeddings, text_ids)
        terms = self._terms(columns, ids, rows)
        self.terms = {name: term.detach() for name, term in terms.items()}
        return self._weigh(terms)

    def _prepare(
        self, embeddings: list[Tensor], text_ids: Tensor | None
    ) -> tuple[Columns[Tensor], Columns[Tensor] | None, Tensor]:
        """Columns by name, gathered from all processes if asked, and this process's rows among them."""
        rows = torch.arange(len(embeddings[0]), device=embeddings[0].device)
        ids = None
        if text_ids is not None and self.mask_false_negatives:
            ids = text_ids.to(embeddings[0].device)
        if self.gather_across_devices:
            embeddings = [all_gather_with_grad(column) for column in embeddings]
            rows = rows + get_rank() * len(rows)
            ids = None if ids is None else all_gather(ids.T.contiguous()).T
        columns = split_columns(embeddings, self.num_negatives)
        return columns, None if ids is None else split_columns(list(ids), self.num_negatives), rows

    def _terms(self, columns: Columns[Tensor], ids: Columns[Tensor] | None, rows: Tensor) -> dict[str, Tensor]:
        """The unweighted terms, means over ``rows``."""
        forward = scaled_scores(columns.query[rows], torch.cat(columns.passages), self.similarity_fct, self.scale)
        reverse = scaled_scores(columns.passage[rows], torch.cat(columns.targets), self.similarity_fct, self.scale)
        forward_correct = reverse_correct = None
        if ids is not None:
            forward_correct = other_correct_answers(ids.query, ids.passage, torch.cat(ids.passages), rows)
            reverse_correct = other_correct_answers(ids.passage, ids.target_query, torch.cat(ids.targets), rows)
        terms = {
            "forward": info_nce(forward, rows, forward_correct).mean(),
            "reverse": info_nce(reverse, rows, reverse_correct).mean(),
        }
        if self.beta > 0:
            equal = len(columns.negatives) == len(columns.target_negatives)
            paired = forward.shape[1] if equal else len(columns.query)
            correct = None
            if forward_correct is not None and reverse_correct is not None:
                correct = forward_correct[:, :paired] | reverse_correct[:, :paired]
            terms["kl"] = paired_kl(reverse[:, :paired], forward[:, :paired], correct).mean()
        return terms

    def _weigh(self, terms: dict[str, Tensor]) -> Tensor:
        weights = {"forward": 1 - self.alpha - self.beta, "reverse": self.alpha, "kl": self.beta}
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def get_config_dict(self) -> dict[str, Any]:
        """Settings, for the model card."""
        return {
            "alpha": self.alpha,
            "beta": self.beta,
            "scale": self.scale,
            "similarity_fct": similarity_fct_name(self.similarity_fct),
            "num_negatives": self.num_negatives,
            "mask_false_negatives": self.mask_false_negatives,
            "gather_across_devices": self.gather_across_devices,
            "packing": self.packing,
        }

    @property
    def citation(self) -> str:
        """BibTeX."""
        return CITATION


class CachedCLEARLoss(CachedLossMixin, CLEARLoss):
    """`CLEARLoss` with gradient caching (GradCache, arXiv 2101.06983): large batches in the memory of a small one.

    The batch is embedded in chunks, which keep their graph as long as a memory budget allows; the others are embedded
    without one. The loss over the whole batch gives the gradient of every embedding. The kept graphs are sent
    backward first, which frees them; each other chunk is embedded again, with its dropout replayed, and its gradients
    are sent through the model. Same loss and same gradients as `CLEARLoss`, for any batch, mini-batch and budget; the
    time of one forward pass less where the batch fits in the budget.

    Args:
        mini_batch_size: texts a forward pass at most. With packing: texts of the longest kind; shorter texts go more
            at a time, at the same memory. On a CPU chunks stay below `clearir.losses.packing.TOKENS_A_CPU_CHUNK`.
        mini_batch_num_tokens: tokens a forward pass, instead of ``mini_batch_size``.
        memory_budget: bytes that the kept graphs of one batch may hold together, apart from the model, its gradients
            and the working memory of one chunk, whose own graph has to fit in any case. 0 keeps none. None: half of
            the memory that is free on the model's device when a batch comes (CPU and CUDA; elsewhere none is kept).
        show_progress_bar: a bar over the chunks of each batch.
        model: and all others: see `CLEARLoss`.
        alpha: see `CLEARLoss`.
        beta: see `CLEARLoss`.
        scale: see `CLEARLoss`.
        similarity_fct: see `CLEARLoss`.
        num_negatives: see `CLEARLoss`.
        mask_false_negatives: see `CLEARLoss`.
        gather_across_devices: see `CLEARLoss`.
        packing: see `CLEARLoss`.

    Raises:
        ValueError: the model embeds its input with a StaticEmbedding (its inputs have no batch axis to cut; it needs
            so little memory that `CLEARLoss` does it), a size is below 1 or the budget below 0.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        alpha: float = 0.4,
        beta: float = 0.2,
        scale: float = 20.0,
        similarity_fct: SimilarityFunction = cos_sim,
        num_negatives: int | None = None,
        mask_false_negatives: bool = True,
        gather_across_devices: bool = False,
        packing: bool = True,
        mini_batch_size: int = TEXTS_A_CHUNK,
        mini_batch_num_tokens: int | None = None,
        show_progress_bar: bool = False,
        memory_budget: int | None = None,
    ) -> None:
        if has_static_embedding_input(model):
            raise ValueError(
                "CachedCLEARLoss cannot cut the inputs of a StaticEmbedding model into mini-batches; use CLEARLoss, "
                "whose memory is small for such a model"
            )
        if mini_batch_size < 1 or (mini_batch_num_tokens is not None and mini_batch_num_tokens < 1):
            raise ValueError("mini_batch_size and mini_batch_num_tokens must be at least 1")
        if memory_budget is not None and memory_budget < 0:
            raise ValueError(f"memory_budget={memory_budget} must be a number of bytes, 0 to keep no graph, or None")
        super().__init__(
            model,
            alpha,
            beta,
            scale,
            similarity_fct,
            num_negatives,
            mask_false_negatives,
            gather_across_devices,
            packing,
        )
        self.mini_batch_size = mini_batch_size
        self.mini_batch_num_tokens = mini_batch_num_tokens
        self.show_progress_bar = show_progress_bar
        self.memory_budget = memory_budget

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch; its backward pass is the cached one. ``labels`` are not used."""
        plan = plan_batch(sentence_features, self.packing)
        ranges = [pack.ranges(self.mini_batch_size, self.mini_batch_num_tokens) for pack in plan.packs]
        chunks = embed_chunks(self, plan.packs, ranges, self.memory_budget)
        reps = [[chunk.embeddings for chunk in pack] for pack in chunks]
        if not torch.is_grad_enabled():
            return self.calculate_loss(reps, plan)
        loss = self.calculate_loss(reps, plan, with_backward=True)
        return cached_backward(self, loss, plan.packs, ranges, chunks)

    def calculate_loss(  # type: ignore[override]
        self, reps: list[list[Tensor]], labels: Plan | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """The loss over the whole batch from the embeddings of each pack's chunks.

        Args:
            reps: embeddings of the chunks of each pack of ``labels``; without a plan, of each column.
            labels: how the packs become columns (the place where sentence-transformers hands labels on).
            with_backward: send the gradients to ``reps`` and return the detached loss.
        """
        embeddings = [torch.cat(chunks) for chunks in reps]
        if labels is None:
            loss = self._loss(embeddings, None)
        else:
            loss = self._loss(labels.columns(embeddings), labels.text_ids)
        if with_backward:
            loss.backward()
            loss = loss.detach()
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        """Settings, for the model card."""
        return {
            **super().get_config_dict(),
            "mini_batch_size": self.mini_batch_size,
            "mini_batch_num_tokens": self.mini_batch_num_tokens,
            "memory_budget": self.memory_budget,
        }
