"""The settings of each stage: validated, frozen, unknown names refused. A recipe is made of these.

They live apart from the stages so that a recipe can be read without importing torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from clearir.support.languages import normalise


class Settings(BaseModel):
    """Base of all settings. A section or a list with nothing in it (``merge:``) is as good as one left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_empty(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {name: value for name, value in values.items() if value is not None or not _is_filled(cls, name)}


def wrong_in(error: Mapping[str, Any]) -> str:
    """What one of pydantic's errors says of a setting, in words."""
    return str(error["msg"]).removeprefix("Value error, ")


def _is_filled(kind: type[BaseModel], name: Any) -> bool:
    """Whether a key holds a section, list or mapping for which null has no meaning of its own."""
    field = kind.model_fields.get(name)
    if field is None or NoneType in get_args(field.annotation):
        return False
    return isinstance(field.get_default(call_default_factory=True), BaseModel | tuple | list | dict)


#: the objectives that take ``alpha`` and ``beta``
CLEAR, CLEAR_NO_KL = "clear", "clear-no-kl"
#: what a sum of weights may be off by
ROUNDING = 1e-9
#: `clearir.models.trim`: the share of the words of held-out texts that may be lost
MAX_LOST: Final = 0.01
#: `clearir.models.reranker`: passages of a query that are put in order
TOP: Final = 50
#: what a training makes: a model with a vector for each text, or for each token, or with a weight for each word of the
#: vocabulary, or with a score for each pair of query and passage (`clearir.models.kind`)
DENSE: Final = "dense"
LATE_INTERACTION: Final = "late-interaction"
SPARSE: Final = "sparse"
RERANKER: Final = "reranker"
Kind = Literal["dense", "late-interaction", "sparse", "reranker"]
#: the objective where none is named; its weights stand in `clearir.losses.objectives`. What late interaction begins
#: with is a projection at random, to which `retain` would hold it, and a reranker has no vectors to retain.
DEFAULT_OBJECTIVE: Final[Mapping[Kind, str]] = {
    DENSE: "hybrid-plus",
    LATE_INTERACTION: "hybrid",
    SPARSE: "hybrid-sparse",
    RERANKER: "hybrid",
}
#: the scale that is found before training
AUTO: Final = "auto"

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
#: a language's code; YAML makes a false of an unquoted no, which is Norwegian
Code = Annotated[str, BeforeValidator(lambda value: "no" if value is False else value)]


def _size(value: Any) -> int | float:
    if isinstance(value, float) and 0 <= value < 1:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("write a share below 1 such as 0.1, or a number of rows such as 500")


def _sizes(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return _size(value)
    sizes: dict[str, int | float] = {}
    for code, size in value.items():
        language = normalise("no" if code is False else code)
        if language in sizes:
            raise ValueError(f"{code!r} stands twice, under another code of {language!r}; give each language once")
        sizes[language] = _size(size)
    return sizes


#: rows held out: a share of each language's (below 1), a number of rows of each language, or either by language
HeldOut = Annotated[int | float | dict[str, int | float], BeforeValidator(_sizes)]


class DataSettings(Settings):
    """Where the rows come from and which of them are held out.

    Attributes:
        source: kind of source (`clearir.data.sources`): table, hub, squad, afriqa, help-html, mallard, debian-help,
            debian or beir.
        path: file, folder, list of files, or Hub name. debian and debian-help: by default it is fetched into a folder
            of the output.
        columns: our name of a column -> the table's; of target queries that have a column for each language, the list
            of these.
        languages: target languages to keep; None keeps all.
        language: of the target queries, where the table has no such column.
        bridge: language of queries and passages, likewise.
        max_negatives: keep so many negatives a row.
        on_bad: "skip" counts and leaves out rows that cannot be used.
        config: configuration of a Hub data set.
        split: split of a Hub data set.
        revision: revision of a Hub data set.
        test: rows held out for evaluation: a share of each language's (``0.1``), a number of rows of each language
            (``500``), or either by language (``{de: 800, fi: 0.1}``).
        dev: rows held out to watch training with; likewise.
    """

    source: str = "table"
    path: str | list[str] | None = None
    columns: dict[str, str | list[str]] = Field(default_factory=dict)
    languages: list[Code] | None = None
    language: Code | None = None
    bridge: Code = "en"
    max_negatives: Count | None = None
    on_bad: Literal["error", "skip"] = "error"
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    test: HeldOut = 0.1
    dev: HeldOut = 0.0


class TranslateSettings(Settings):
    """Who translates queries into what; keys beside these are the backend's own (command, model, base_url ...).

    Attributes:
        backend: command, hf or openai.
        languages: that rows without a target query are translated into.
    """

    model_config = ConfigDict(extra="allow")

    backend: Literal["command", "hf", "openai"]
    languages: tuple[Code, ...] = ()


class MineSettings(Settings):
    """Hard negatives; see `clearir.training.mine.mine`. The paper draws 5 and 5 from ranks 50 to 100.

    With 0 and 0, the default, nothing is mined, and rows keep the negatives that they came with: on multilingual bases
    hard negatives cost much time and gain little (docs/results-parts.md). A reranker needs some.

    Attributes:
        negatives: passages per row; 0 leaves this side out.
        target_negatives: target queries per row; 0 leaves this side out.
        window: first and last rank, counted from 1 among the candidates, from which negatives are drawn at random.
            The very first ranks are skipped because unlabelled right answers gather there.
        margin: drop candidates that score above ``positive - margin * |positive|`` (0.05 in NV-Retriever, 2407.15831),
            inside the window and outside. Where too few texts score below, those with the lowest scores are taken.
        max_score: drop candidates that score above this cosine, likewise.
        mine_target: "bridge" ranks the bridge queries against the passage and takes their translations, so a model
            that cannot read the target language finds hard negatives in it; "target" ranks the target queries.
    """

    negatives: Count = 0
    target_negatives: Count = 0
    window: tuple[Positive, Positive] = (10, 100)
    margin: Annotated[float, Field(ge=0)] | None = None
    max_score: Annotated[float, Field(ge=-1, le=1)] | None = None
    mine_target: Literal["bridge", "target"] = "bridge"

    @property
    def mines(self) -> bool:
        """Whether any negatives are asked for."""
        return self.negatives > 0 or self.target_negatives > 0

    @model_validator(mode="after")
    def _has_room(self) -> MineSettings:
        low, high = self.window
        if high - low + 1 < max(self.negatives, self.target_negatives, 1):
            raise ValueError(f"the window, ranks {low} to {high}, holds fewer ranks than negatives are to be drawn")
        return self


class LossSettings(Settings):
    """The loss; see `clearir.losses`.

    Attributes:
        objective: a name in `clearir.losses.objectives.OBJECTIVES`: hybrid-plus, clear (the paper's), clear-no-kl,
            clear-plus, infonce, infonce-bridge, hybrid, symmetric and those of other papers. Where neither this nor
            ``weights`` is given, it is `DEFAULT_OBJECTIVE`; None beside ``weights``.
        weights: in place of a named objective, the weight of each term of `clearir.losses.objectives.TERMS`.
        alpha: of clear and clear-no-kl.
        beta: of clear.
        teacher: a model whose vectors `retain` and `distil` compare with, in place of the untrained model's; see
            `clearir.training.teacher`.
        scale: 1 / temperature of the similarities; auto: the one that fits the untrained model on the rows (see
            `clearir.models.temperature`). The paper trains with 20.
        gather_across_devices: where several processes train, each row's negatives are those of all of them.
        cached: gradient caching: any batch size in the memory of ``mini_batch_size`` texts.
        memory_budget: bytes that the cached loss may keep graphs in; None: half of what is free. Two runs are equal to
            the last bit only if they keep the same graphs, so give a number where that matters.
    """

    objective: str | None = None
    weights: dict[str, float] | None = None
    alpha: Share = 0.4
    beta: Share = 0.2
    teacher: str | None = None
    scale: float | Literal["auto"] = AUTO
    mask_false_negatives: bool = True
    gather_across_devices: bool = True
    cached: bool = True
    mini_batch_size: Positive = 32
    mini_batch_num_tokens: Positive | None = None
    memory_budget: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_objective(cls, values: Any) -> Any:
        return with_objective(values, DENSE)

    @field_validator("scale", mode="before")
    @classmethod
    def _is_scale(cls, value: Any) -> Any:
        try:
            usable = value == AUTO or 0 < float(value) < math.inf
        except (TypeError, ValueError):
            usable = False
        if not usable:
            raise ValueError("give a number above 0, or auto")
        return value

    @model_validator(mode="after")
    def _leaves_weight(self) -> LossSettings:
        if self.alpha + self.beta > 1 + ROUNDING:
            raise ValueError("alpha + beta is over 1; the forward term gets what is left (0.4 and 0.2 in the paper)")
        return self

    @model_validator(mode="after")
    def _is_known(self) -> LossSettings:
        if self.weights is not None and self.objective is not None:
            raise ValueError("objective and weights are two ways to say the same; leave one of them out")
        own_weights = self.weights is not None or self.objective not in (CLEAR, CLEAR_NO_KL)
        if own_weights and (self.alpha, self.beta) != (0.4, 0.2):
            raise ValueError(
                "alpha and beta are weights of the objective clear; leave them out, or add objective: clear"
            )
        if self.objective not in (CLEAR, *DEFAULT_OBJECTIVE.values()):
            self.term_weights()  # needs torch, which a recipe of the others can be read without
        if self.teacher is not None:
            from clearir.losses.objectives import untrained_sides

            if not untrained_sides(self.term_weights()):
                raise ValueError("the teacher is for the terms retain and distil; leave it out, or use one of them")
        return self

    def deciding(self) -> dict[str, Any]:
        """Those that decide which model comes out, up to rounding, as JSON values."""
        idle = set() if self.cached else {"mini_batch_size", "mini_batch_num_tokens"}
        idle |= set() if self.teacher else {"teacher"}  # so that runs of before there were teachers are still finished
        return self.model_dump(mode="json", exclude={"memory_budget", *idle})

    @property
    def is_clear(self) -> bool:
        """Whether this is the paper's objective."""
        return self.objective == CLEAR

    def term_weights(self) -> dict[str, float]:
        """Weight of each term.

        Raises:
            ValueError: an unknown objective or term, or weights that are none.
        """
        from clearir.losses.clear import clear_weights
        from clearir.losses.objectives import weights_of

        if self.objective is None:
            return weights_of(self.weights or {})
        if self.objective in (CLEAR, CLEAR_NO_KL):
            return clear_weights(self.alpha, self.beta if self.objective == CLEAR else 0.0)
        return weights_of(self.objective)


def with_objective(loss: Any, kind: Kind) -> Any:
    """Settings of a loss as they were written, with the objective of a kind of model where they name none."""
    if not isinstance(loss, Mapping) or loss.get("objective") is not None or loss.get("weights") is not None:
        return loss
    return {**loss, "objective": DEFAULT_OBJECTIVE[kind]}


class LoraSettings(Settings):
    """Adapters (LoRA), without dropout, that are trained in place of the weights; see `clearir.models.lora`.

    Attributes:
        r: rank: an adapter beside a layer of n inputs and m outputs has r x (n + m) weights.
        alpha: what an adapter adds to its layer is multiplied by alpha / r.
        targets: linear layers that get an adapter, by the ends of their names (``[query, value]``); None: all of the
            transformer's.
        merge: add the adapters to the weights when training is done, for a model as any other; false: save the
            adapters alone, which need the package peft and the base model wherever they are used.
    """

    r: Positive = 16
    alpha: Positive = 32
    targets: tuple[str, ...] | None = None
    merge: bool = True

    @model_validator(mode="before")
    @classmethod
    def _are_settings(cls, values: Any) -> Any:
        if not isinstance(values, Mapping | LoraSettings):
            raise ValueError("give settings such as {r: 8}, or {} for the usual ones")
        return values

    @field_validator("targets", mode="before")
    @classmethod
    def _are_names(cls, value: Any) -> Any:
        if value is not None and not (isinstance(value, list | tuple) and value):
            raise ValueError("write a list of names such as [query, value], or leave it out for all linear layers")
        return value


class TrainSettings(Settings):
    """How long, how fast, on what.

    Attributes:
        max_steps: steps of the optimiser; None: as many as ``epochs`` need.
        epochs: times that the rows are seen, where ``max_steps`` is None.
        batch_size: rows a step and process.
        accumulate: batches whose gradients are added up before a step.
        learning_rate: at its highest, after the warm-up.
        schedule: of the learning rate after the warm-up, as transformers names it; those that need no more settings.
        warmup_ratio: share of the steps that the learning rate rises over.
        weight_decay: of AdamW.
        max_grad_norm: gradients are clipped to this norm.
        max_seq_length: tokens of a text that are read, in training and evaluation; None: the model's own.
        one_language_a_batch: all rows of a batch have target queries in one language, so that a wrong answer is never
            told by its language. Default: the languages are mixed.
        language_temperature: rows of a language with n rows are drawn with weight n^(1/T), so that a small language
            is not drowned: 1 keeps the proportions, large values give all languages the same number.
        precision: auto is bf16 (or fp16) where the accelerator has it, else float32.
        save_steps: steps between checkpoints.
        retention: score the dev rows at every checkpoint, and keep the one that finds most across languages among
            those that keep this share of the base model's bridge -> bridge score (0.995). None: keep the last step.
        log_steps: steps between entries of the training log.
        report_to: trackers of transformers ("tensorboard", "trackio", "wandb", "none"); see docs/report.md.
        push_to_hub: ``USER/NAME`` on the Hub, where the model goes with its card when the run is done; a new repository
            is private. None: nothing leaves this machine.
        gradient_checkpointing: less memory, more time.
        attention: implementation that transformers is told to use; None: its own choice, nearly always sdpa.
        dropout: share that every dropout layer drops, that of attention included; None: the model's own. 0 is faster,
            most of all on a CPU, where the fused attention kernel drops nothing.
        lora: train adapters in place of the weights; None: all weights. It wants a higher ``learning_rate``.
    """

    max_steps: Positive | None = None
    epochs: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Positive = 64
    accumulate: Positive = 1
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    schedule: Literal[
        "cosine",
        "linear",
        "constant",
        "constant_with_warmup",
        "polynomial",
        "inverse_sqrt",
        "cosine_with_restarts",
    ] = "cosine"
    warmup_ratio: Share = 0.05
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_seq_length: Positive | None = None
    language_temperature: Annotated[float, Field(ge=1)] = 2.0
    one_language_a_batch: bool = False
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    save_steps: Positive = 50
    retention: Annotated[float, Field(gt=0)] | None = None
    log_steps: Positive = 5
    report_to: tuple[str, ...] = ("none",)
    push_to_hub: Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")] | None = None
    gradient_checkpointing: bool = False
    attention: str | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    lora: LoraSettings | None = None

    def deciding(self) -> dict[str, Any]:
        """Those that decide which model comes out, up to rounding, as JSON values."""
        idle = {"log_steps", "report_to", "push_to_hub", "gradient_checkpointing"}
        idle |= set() if self.retention else {"save_steps"}  # a checkpoint that nobody judges changes nothing
        idle |= {"epochs"} if self.max_steps else set()
        # So that runs of before there were these settings are still finished.
        idle |= {name for name in ("lora", "one_language_a_batch") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=idle)


class MergeSettings(Settings):
    """Mix the trained weights with those of the base model; see `clearir.evaluation.merge_weight`.

    Attributes:
        weight: of the trained model. None: the one of `clearir.evaluation.merge_weight.WEIGHTS` that finds most across
            languages in the dev rows and keeps the bridge language.
        retention: share of the base model's bridge -> bridge score that has to be left, where a weight is chosen.
    """

    weight: Share | None = None
    retention: Annotated[float, Field(gt=0)] = 0.995


class RerankSettings(Settings):
    """What a reranker puts in order (``kind: reranker``).

    Attributes:
        first: the model that finds passages, and hard negatives to train with: a dense one. None: the recipe's model.
        top: passages of each query that are put in order; those behind them stay where the first model has them.
        first_weight: what the first model's score counts beside the reranker's; see
            `clearir.models.reranker.Reranking`.
    """

    first: str | None = None
    top: Positive = TOP
    first_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class PromptSettings(Settings):
    """What stands before every text ("query: ", "passage: "); None: what the model itself says."""

    query: str | None = None
    passage: str | None = None


class EvaluateSettings(Settings):
    """What is scored when training is done.

    Attributes:
        pools: also score corpora of several languages together: "pair" (bridge and target), "all".
    """

    pools: tuple[Literal["pair", "all"], ...] = ()


class StudySettings(Settings):
    """What `clearir study` compares.

    Attributes:
        objectives: names, or sums of terms such as ``0.3*forward+0.3*direct``; ``clear@20`` is `clear` at a scale of
            its own, ``clear+merge`` its model mixed with the base, ``clear+shift`` and ``base+shift`` models that shift
            passages by language (docs/study.md). The first is what the others are compared with.
        seeds: runs of each objective. Each seed has its own split, its own draw of rows and its own negatives, the
            same for all objectives.
        also: suites of another domain, to see what is forgotten: a table, a folder, a suite's name, or
            ``NAME:FOLDER`` for a suite's local copy.
    """

    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = ("clear", "hybrid-plus", "clear-plus", "infonce")
    seeds: Positive = 3
    also: tuple[str, ...] = ()


class SearchExample(Settings):
    """A query that the end of a run answers with the base and with the tuned model.

    Attributes:
        language: of the query.
        query: its text.
        meaning: the query in the bridge language, to show beside it.
        right: the passage that answers it, to mark where it is found.
    """

    language: Code
    query: str
    meaning: str | None = None
    right: str | None = None
