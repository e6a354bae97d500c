"""How many tokens of a text a model can read, asked before the work: too long a text would end it in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearir.support.errors import InputError

if TYPE_CHECKING:
    from sentence_transformers.base import BaseModel

#: names of a length that queries or passages have of their own, in a transformer of sentence-transformers
_SIDES = ("query_length", "document_length")


def limit_length(model: BaseModel, name: str, wanted: int | None) -> None:
    """Let ``model`` read ``wanted`` tokens of a text, or as many as it says itself and has positions for.

    Args:
        model: its prompts are those that it will be used with.
        name: of the model, for messages.
        wanted: the maximal length, the model's own special tokens and the prompt included; None: the model's own.

    Raises:
        InputError: the model has fewer positions, or no token of a text is left beside its own and the prompt's.
    """
    most = positions(model)
    if wanted is None:
        own = model.max_seq_length
        if most is not None and (own is None or own > most):
            model.max_seq_length = most
        return
    if most is not None and wanted > most:
        raise InputError(f"max_seq_length {wanted}: {name} has {most} positions; give at most {most}")
    prompt, taken = _longest_prompt(model)
    if wanted <= taken:
        beside = f" and the prompt {prompt!r}" if prompt else ""
        raise InputError(
            f"max_seq_length {wanted}: nothing of a text is left beside the {taken} tokens that {name} adds{beside}; "
            f"give at least {taken + 1}"
            if taken
            else f"max_seq_length {wanted}: no text at all would be read; give at least 1"
        )
    model.max_seq_length = wanted


def cut_sides(model: BaseModel, wanted: int) -> None:
    """Let queries and passages have at most ``wanted`` tokens, where a model has a length of its own for either."""
    for module in model.modules():
        for side in _SIDES:
            if (own := getattr(module, side, None)) is not None:
                setattr(module, side, min(own, wanted))


def forget_equal_sides(model: BaseModel) -> None:
    """Leave queries and passages to the model's length, where the lengths that they have of their own say the same.

    PyLate's layout has to say one for each. If they were kept, a further training could not read more of a text.
    """
    for module in model.modules():
        own = {getattr(module, side, None) for side in _SIDES} - {None}
        if own == {model.max_seq_length}:
            for side in _SIDES:
                setattr(module, side, None)


def positions(model: BaseModel) -> int | None:
    """Rows of the model's table of positions that a text can use; None where positions are relative or rotary."""
    from torch.nn import Embedding

    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, Embedding):
            # RoBERTa and its kin begin to count behind the padding's row
            return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    return None


def _longest_prompt(model: BaseModel) -> tuple[str, int]:
    """The prompt with most tokens, and how many these are with those that the tokenizer adds to every text."""
    from sentence_transformers import CrossEncoder
    from transformers import PreTrainedTokenizerBase

    from clearir.models.prompts import prompts_of

    tokenizer = getattr(model, "tokenizer", None)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        return "", 0
    prompts = prompts_of(model)
    tokens = {prompt: len(tokenizer(prompt)["input_ids"]) for prompt in ("", prompts.query, prompts.passage)}
    longest = max(tokens, key=lambda prompt: tokens[prompt])
    if not isinstance(model, CrossEncoder):
        return longest, tokens[longest]
    between = tokenizer.num_special_tokens_to_add(pair=True) - tokenizer.num_special_tokens_to_add(pair=False)
    return longest, tokens[longest] + between
