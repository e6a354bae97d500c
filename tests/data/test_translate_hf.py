"""Tiny random models of each family, saved and loaded as real ones are. They babble; the languages must be right."""

from __future__ import annotations

import json

import pytest

from clearir.data.translate import HFTranslator, load_translator, translate_texts
from clearir.data.translate.hf import language_tokens
from clearir.support.errors import InputError

spm = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed (extra 'translate')")

TEXTS = [
    "Where is the library?",
    "How many bridges cross the river near the old town, and which of them is the longest?",
    "red",
    "Who wrote the book?",
    "When does the night train leave?",
]
SPANISH = [
    "¿Dónde está la biblioteca?",
    "¿Cuántos puentes cruzan el río?",
    "rojo",
    "¿Quién lo escribió?",
    "¿Cuándo sale?",
]
SIZES = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}
SIZES |= {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_position_embeddings": 64}


def sentencepiece_model(prefix, **options):
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXTS, *SPANISH] * 5),
        model_prefix=str(prefix),
        vocab_size=60,
        minloglevel=2,
        **options,
    )
    processor = spm.SentencePieceProcessor(model_file=f"{prefix}.model")
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


def save(folder, model, tokenizer):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def marian(folder, codes=(), **languages):
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    torch.manual_seed(0)
    pieces = sentencepiece_model(folder / "source")
    vocabulary = dict.fromkeys(["</s>", "<unk>", *(f">>{code}<<" for code in codes), *pieces, "<pad>"])
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(vocabulary)}))
    tokenizer = MarianTokenizer(
        str(folder / "source.model"), str(folder / "source.model"), str(folder / "vocab.json"), **languages
    )
    pad = len(vocabulary) - 1
    config = MarianConfig(
        vocab_size=len(vocabulary),
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=0,
        **SIZES,
    )
    return save(folder / "model", MarianMTModel(config), tokenizer)


def nllb(folder):
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    torch.manual_seed(0)
    letters = sorted({char for text in TEXTS for char in text if char != " "})
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", *letters])}
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=[])
    return save(
        folder / "model", M2M100ForConditionalGeneration(M2M100Config(vocab_size=len(tokenizer), **SIZES)), tokenizer
    )


def m2m100(folder):
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    torch.manual_seed(0)
    pieces = sentencepiece_model(folder / "source")
    vocabulary = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", *pieces])
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(vocabulary)}))
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "source.model"))
    size = len(vocabulary) + len(tokenizer.lang_code_to_token) + tokenizer.num_madeup_words
    return save(folder / "model", M2M100ForConditionalGeneration(M2M100Config(vocab_size=size, **SIZES)), tokenizer)


def madlad(folder):
    import torch
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    torch.manual_seed(0)
    letters = sorted({char for text in TEXTS for char in text if char != " "})
    pieces = ["<pad>", "</s>", "<unk>", "<2es>", "<2sw>", "<2zh_Latn>", "▁", *letters]
    tokenizer = T5Tokenizer(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0)
    tokenizer.add_tokens(["<2es>", "<2sw>", "<2zh_Latn>"])
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        initializer_factor=30.0,
    )
    return save(folder / "model", T5ForConditionalGeneration(config), tokenizer)


def watch(translator, monkeypatch):
    """What goes into the model and what comes out, as tokens."""
    model, tokenizer = translator._load()
    calls = []
    generate = model.generate

    def watched(**inputs):
        output = generate(**inputs)
        calls.append(
            (tokenizer.convert_ids_to_tokens(inputs["input_ids"][0]), tokenizer.convert_ids_to_tokens(output[0]))
        )
        return output

    monkeypatch.setattr(model, "generate", watched)
    return calls


@pytest.mark.parametrize("family", [marian, nllb, m2m100, madlad])
def test_a_batch_answers_as_each_text_alone(family, tmp_path):
    folder = str(family(tmp_path))
    one_by_one = list(HFTranslator(folder, batch_size=1, beams=1).translate(TEXTS, "en", "es"))
    batched = HFTranslator(folder, batch_size=2, beams=1)
    # Padding must not show. Babble goes on to the limit, and the limit is that of the longest text in the batch.
    for answers in (list(batched.translate(TEXTS, "en", "es")), translate_texts(TEXTS, batched, "en", "es")):
        assert [a[:12] for a in answers] == [a[:12] for a in one_by_one]


def test_a_model_that_has_learnt_five_sentences_translates_them_in_order(tmp_path):
    import torch
    from transformers import MarianMTModel, MarianTokenizer

    folder = str(marian(tmp_path, ["spa"]))
    model, tokenizer = MarianMTModel.from_pretrained(folder), MarianTokenizer.from_pretrained(folder)
    batch = tokenizer([">>spa<< " + t for t in TEXTS], text_target=SPANISH, return_tensors="pt", padding=True)
    batch["labels"][batch["labels"] == tokenizer.pad_token_id] = -100
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    save(folder, model, tokenizer)
    translator = HFTranslator(folder, batch_size=2, beams=2)
    assert list(translator.translate(TEXTS, "en", "es")) == SPANISH
    assert translate_texts([*TEXTS[::-1], ""], translator, "en", "es", cache=tmp_path / "c.sqlite3") == [
        *SPANISH[::-1],
        "",
    ]


def test_nllb_gets_flores_codes(tmp_path, monkeypatch):
    translator = HFTranslator(str(nllb(tmp_path)), beams=2)
    calls = watch(translator, monkeypatch)
    list(translator.translate(["red"], "en", "sw"))
    list(translator.translate(["red"], "fr", "zh"))
    assert [(source[0], output[1]) for source, output in calls] == [("eng_Latn", "swh_Latn"), ("fra_Latn", "zho_Hans")]


def test_m2m100_gets_its_codes(tmp_path, monkeypatch):
    translator = HFTranslator(str(m2m100(tmp_path)), beams=2)
    calls = watch(translator, monkeypatch)
    list(translator.translate(["red"], "en", "sw"))
    list(translator.translate(["red"], "en", "nso"))
    assert [(source[0], output[1]) for source, output in calls] == [("__en__", "__sw__"), ("__en__", "__ns__")]


def test_madlad_gets_a_token_before_the_text(tmp_path, monkeypatch):
    translator = HFTranslator(str(madlad(tmp_path)), beams=1)
    calls = watch(translator, monkeypatch)
    list(translator.translate(["red"], "en", "sw"))
    assert calls[0][0][0] == "<2sw>"
    assert "".join(calls[0][0][1:]) == "▁red</s>"


def test_marian_of_several_languages_gets_a_token_before_the_text(tmp_path, monkeypatch):
    translator = HFTranslator(str(marian(tmp_path, ["spa", "cmn_Hant", "swa"])), beams=1)
    calls = watch(translator, monkeypatch)
    list(translator.translate(["red"], "en", "sw"))
    list(translator.translate(["red"], "en", "zh-Hant"))
    assert [source[0] for source, _ in calls] == [">>swa<<", ">>cmn_Hant<<"]


def test_marian_of_one_pair_gets_the_text_alone(tmp_path, monkeypatch):
    translator = HFTranslator(str(marian(tmp_path, source_lang="en", target_lang="de")), beams=1)
    calls = watch(translator, monkeypatch)
    list(translator.translate(["red"], "en", "de"))
    assert calls[0][0][0].startswith("▁")
    with pytest.raises(InputError, match="translates en into de, not en into es"):
        next(translator.translate(["red"], "en", "es"))


def test_a_language_that_the_model_does_not_know(tmp_path):
    translator = HFTranslator(str(madlad(tmp_path)))
    with pytest.raises(InputError, match=r"does not know German \('de'\); it knows es, sw, zh_Latn"):
        next(translator.translate(["red"], "en", "de"))


def test_mbart_codes_are_read_from_the_vocabulary():
    class Tokenizer:
        def get_vocab(self):
            return {"en_XX": 1, "es_XX": 2, "zh_CN": 3, "▁the": 4}

    assert language_tokens("mbart", Tokenizer()) == {"en": "en_XX", "es": "es_XX", "zh": "zh_CN"}
    assert language_tokens("pegasus", Tokenizer()) == {}


def test_what_cannot_be_loaded_says_what_to_give(tmp_path):
    with pytest.raises(InputError, match="cannot load the translation model"):
        next(HFTranslator(str(tmp_path)).translate(["red"], "en", "de"))


def test_identity_is_the_content_of_a_folder(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    assert HFTranslator(str(first)).identity == HFTranslator(str(second)).identity
    (second / "config.json").write_text("{ }")
    assert HFTranslator(str(first)).identity != HFTranslator(str(second)).identity
    assert HFTranslator(str(first)).identity != HFTranslator(str(first), beams=1).identity


def test_settings_out_of_range():
    with pytest.raises(InputError, match="batch_size is 0"):
        load_translator("hf", model="x", batch_size=0)
