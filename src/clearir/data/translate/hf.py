"""Translation by a seq2seq model of transformers: OPUS-MT (Marian), NLLB-200, M2M-100, mBART-50, MADLAD-400."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clearir.data.translate.base import flatten
from clearir.support.artifacts import path_fingerprint
from clearir.support.errors import InputError, first_line
from clearir.support.extras import require
from clearir.support.languages import match, name

logger = logging.getLogger(__name__)

# How each family writes a language in its vocabulary, by the model type of its config.
_FAMILIES = {
    "marian": (r">>(\w+)<<",),
    "m2m_100": (r"([a-z]{3}_[A-Z][a-z]{3})", r"__(\w+)__"),  # NLLB-200, M2M-100
    "mbart": (r"([a-z]{2})_[A-Z]{2}",),
    "t5": (r"<2(\w+)>",),  # MADLAD-400
}
# Codes that are no language codes elsewhere.
_ODD = {"ns": "nso"}
_WINDOW = 16  # batches that are sorted by length together when somebody else has not sorted them


@dataclass(frozen=True)
class HFTranslator:
    """A translation model of transformers, by Hub name or folder.

    ``HFTranslator("Helsinki-NLP/opus-mt-en-de")``, ``HFTranslator("facebook/nllb-200-distilled-600M")``. Language codes
    are turned into the family's own (``sw`` is ``swh_Latn`` for NLLB, ``__sw__`` for M2M-100, ``<2sw>`` for MADLAD,
    ``>>swa<<`` for a Marian model of several target languages). On a GPU it runs in bfloat16 where that exists.

    Attributes:
        model: Hub name or local folder.
        batch_size: texts a forward pass; similar lengths go together.
        beams: width of the beam search; 1 is greedy and fastest.
        device: "cpu", "cuda", "cuda:1"; None takes the GPU if there is one.
    """

    model: str
    batch_size: int = 32
    beams: int = 4
    device: str | None = None
    _loaded: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for setting in ("batch_size", "beams"):
            if getattr(self, setting) < 1:
                raise InputError(f"{setting} is {getattr(self, setting)}; it must be at least 1")

    @property
    def identity(self) -> str:
        """Model (of a folder its content), beams and number format."""
        if "identity" not in self._loaded:
            folder = Path(self.model)
            name = path_fingerprint(folder) if folder.is_dir() else self.model
            self._loaded["identity"] = f"hf {name} beams={self.beams} {str(self._where()[1]).removeprefix('torch.')}"
        return str(self._loaded["identity"])

    def translate(self, texts: Sequence[str], source: str, target: str) -> Iterator[str]:
        """Translate ``texts``; a text longer than the model reads is cut, with a warning.

        Raises:
            InputError: the model cannot be loaded or does not know a language.
            MissingExtraError: its tokenizer needs a package that is not installed.
        """
        prefix, forced = self._route(source, target)
        for start in range(0, len(texts), window := _WINDOW * self.batch_size):
            lines = [prefix + flatten(text) for text in texts[start : start + window]]
            order = sorted(range(len(lines)), key=lambda i: -len(lines[i]))  # stable: equal lengths keep their order
            answers = [""] * len(lines)
            for first in range(0, len(order), self.batch_size):
                places = order[first : first + self.batch_size]
                for place, answer in zip(places, self._batch([lines[i] for i in places], forced), strict=True):
                    answers[place] = answer
            yield from answers

    def _where(self) -> tuple[str, Any]:
        import torch

        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        if not device.startswith("cuda"):
            return device, torch.float32
        return device, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

    def _load(self) -> tuple[Any, Any]:
        if "model" not in self._loaded:
            from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

            require("sentencepiece", "translate")
            device, dtype = self._where()
            try:
                config = AutoConfig.from_pretrained(self.model)
                self._loaded["tokenizer"] = AutoTokenizer.from_pretrained(self.model)
                model = AutoModelForSeq2SeqLM.from_pretrained(self.model, config=config, dtype=dtype)
            except (OSError, ValueError, KeyError) as error:
                raise InputError(
                    f"cannot load the translation model {self.model!r} ({first_line(error)}); give a Hub name such as"
                    " Helsinki-NLP/opus-mt-en-de, or a folder with config.json, weights and tokenizer"
                ) from error
            self._loaded["model"] = model.to(device).eval()
        return self._loaded["model"], self._loaded["tokenizer"]

    def _route(self, source: str, target: str) -> tuple[str, int | None]:
        """What to put before a text, and the token that the answer has to begin with."""
        model, tokenizer = self._load()
        tokens = language_tokens(model.config.model_type, tokenizer)
        if not tokens:
            _check_pair(self.model, tokenizer, source, target)
            return "", None
        target_token = _token(self.model, tokens, target)
        if model.config.model_type in ("marian", "t5"):
            return target_token + " ", None
        source_token = _token(self.model, tokens, source)
        codes = getattr(tokenizer, "lang_code_to_token", {})  # M2M-100 wants the code, the others the token
        tokenizer.src_lang = next((code for code, token in codes.items() if token == source_token), source_token)
        return "", int(tokenizer.convert_tokens_to_ids(target_token))

    def _batch(self, lines: list[str], forced: int | None) -> list[str]:
        import torch

        model, tokenizer = self._load()
        longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None) or 512)
        inputs = tokenizer(lines, return_tensors="pt", padding=True, truncation=True, max_length=longest)
        inputs.pop("token_type_ids", None)
        length = inputs["input_ids"].shape[1]
        if length == longest:
            logger.warning("a text of %d or more tokens was cut for translation", longest)
        # A translation is seldom over twice as long; what is, has fallen into a loop.
        options = {} if forced is None else {"forced_bos_token_id": forced}
        with torch.inference_mode():
            output = model.generate(
                **inputs.to(model.device),
                **options,
                num_beams=self.beams,
                max_length=None,
                max_new_tokens=min(longest - 1, 2 * length + 16),
                do_sample=False,
            )
        if forced is not None:  # a language token is not always marked as special
            output = output.masked_fill(output == forced, tokenizer.pad_token_id)
        return [str(text) for text in tokenizer.batch_decode(output, skip_special_tokens=True)]


def language_tokens(model_type: str, tokenizer: Any) -> dict[str, str]:
    """Of a model of several languages, its own codes and their tokens; empty for a model of one language pair."""
    vocabulary = {*tokenizer.get_vocab(), *getattr(tokenizer, "lang_code_to_token", {}).values()}
    for pattern in _FAMILIES.get(model_type, ()):
        found = (re.fullmatch(pattern, token) for token in sorted(vocabulary))
        tokens = {hit[1]: hit[0] for hit in found if hit is not None}
        if tokens:
            return tokens
    return {}


def _token(model: str, tokens: dict[str, str], language: str) -> str:
    spellings = {_ODD.get(code, code): token for code, token in tokens.items()}
    code = match(language, spellings)
    if code is None:
        shown = ", ".join(list(tokens)[:20]) + (", ..." if len(tokens) > 20 else "")
        raise InputError(f"{model} does not know {name(language)} ({language!r}); it knows {shown}; use another model")
    return spellings[code]


def _check_pair(model: str, tokenizer: Any, source: str, target: str) -> None:
    """Refuse a model of one language pair, where it says so, for another."""
    for what, wanted in (("source_lang", source), ("target_lang", target)):
        own = getattr(tokenizer, what, None)
        if isinstance(own, str) and re.fullmatch(r"[a-z]{2,3}", own) and own != "mul" and match(wanted, [own]) is None:
            raise InputError(
                f"{model} translates {tokenizer.source_lang} into {tokenizer.target_lang}, not {source} into {target};"
                " use another model"
            )
