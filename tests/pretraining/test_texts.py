import json
import sys
import tracemalloc
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_tokenizers import bert_like, deberta_like, roberta_like

from redsm5.datamodules.corpus import Post
from redsm5.errors import UserError
from redsm5.pretraining import texts as text_sources
from redsm5.pretraining.texts import LONGEST_TEXT, Text, TextSource, posts_sha256, texts_of
from redsm5.pretraining.tokens import group_hash, stored_tokens


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_texts_of_a_plain_file_lie_between_blank_lines(tmp_path):
    file = write(tmp_path / "a.txt", "One line\nand another.\n\n\nThe second text.\n")
    texts = list(TextSource(str(file)))
    assert [text.text for text in texts] == ["One line\nand another.\n", "The second text.\n"]
    assert len({text.group for text in texts}) == 2


def test_many_plain_files_are_groups(tmp_path):
    for i in range(10):
        write(tmp_path / f"{i}.txt", "First.\n\nSecond.")
    groups = [text.group for text in TextSource(str(tmp_path))]
    assert len(groups) == 20
    assert len(set(groups)) == 10


def test_text_without_blank_lines_is_cut_at_the_end_of_a_line(tmp_path):
    line = "word " * 20 + "\n"
    file = write(tmp_path / "a.txt", line * (3 * LONGEST_TEXT // len(line)))
    texts = [text.text for text in TextSource(str(file))]
    assert "".join(texts) == file.read_text()
    assert len(texts) > 2
    assert all(text.endswith("\n") and len(text) <= LONGEST_TEXT + len(line) for text in texts)


TABLES = {
    ".csv": lambda path: write(path, "post_id,body\ns_7_1,One.\ns_7_2,Two.\ns_8_1,\n"),
    ".jsonl": lambda path: write(
        path, "\n".join(json.dumps({"post_id": i, "body": t}) for i, t in [("s_7_1", "One."), ("s_7_2", "Two.")])
    ),
    ".parquet": lambda path: pq.write_table(
        pa.table({"post_id": ["s_7_1", "s_7_2", "s_8_1"], "body": ["One.", "Two.", None]}), path
    ),
}


@pytest.mark.parametrize("suffix", TABLES)
def test_tables_give_texts_with_their_authors(suffix, tmp_path):
    path = tmp_path / f"texts{suffix}"
    TABLES[suffix](path)
    assert list(TextSource(str(path), "body")) == [Text("7", "One."), Text("7", "Two.")]


def test_author_column_is_the_group(tmp_path):
    file = write(tmp_path / "a.csv", "author,text\nann,One.\nann,Two.\nbob,Three.\n")
    assert [text.group for text in TextSource(str(file))] == ["ann", "ann", "bob"]


@pytest.mark.parametrize(
    ("made", "source", "sentence"),
    [
        (None, TextSource("nowhere/at/all"), "there is no such folder"),
        ("a.md", TextSource("."), "holds no texts; accepted are .txt, .csv"),
        ("a.txt", TextSource(".", revision="main"), "texts_revision is set"),
        ("a.csv", TextSource(".", "body"), "the column 'body' is missing"),
    ],
)
def test_texts_that_cannot_be_read_are_refused_in_a_sentence(made, source, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if made:
        write(tmp_path / made, "text\nx")
    with pytest.raises(UserError, match=sentence):
        list(source)


def test_hash_follows_content_and_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    file = write(tmp_path / "texts" / "a.txt", "One.")
    source, memo = TextSource(str(tmp_path / "texts")), tmp_path / "memo"
    first = source.sha256(memo)
    monkeypatch.setattr("redsm5.pretraining.texts._sha256", lambda _: pytest.fail("read again"))
    assert source.sha256(memo) == first
    monkeypatch.undo()
    write(file, "Another.")
    assert source.sha256(memo) != first
    write(file, "One.")
    assert TextSource(str(tmp_path / "texts")).sha256(memo) == first
    assert TextSource(str(tmp_path / "texts"), "body").sha256(memo) != first


def test_posts_hash_follows_ids_texts_and_order():
    posts = [Post("a", "x", "1"), Post("b", "y", "2")]
    assert [text.group for text in texts_of(posts)] == ["1", "2"]
    hashes = {posts_sha256(p) for p in (posts, posts[::-1], [Post("a", "z", "1"), posts[1]], posts[:1])}
    assert len(hashes) == 4


TOKENIZERS = {"WordPiece": bert_like, "BPE": roberta_like, "Unigram": deberta_like}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_words_begin_where_the_text_has_them(kind, tmp_path):
    """Of each vocabulary: tokens joined from one beginning to the next are the words of the text."""
    tokenizer = TOKENIZERS[kind]()
    text = "Work was busy but fine and weeksgloomy joyless things happened again today"
    tokens = stored_tokens(tmp_path / "tokens", [Text("a", text)], tokenizer)
    pieces = tokenizer.convert_ids_to_tokens(tokens.ids.tolist())
    words = []
    for piece, begins in zip(pieces, tokens.begins.tolist(), strict=True):
        plain = piece.removeprefix("##").lstrip("Ġ▁").lower()
        words = [*words, plain] if begins else [*words[:-1], words[-1] + plain]
    assert words == text.lower().split()
    assert len(pieces) > len(words), "some word has several tokens"


def test_tokens_are_stored_with_lengths_and_groups(tmp_path):
    tokenizer = bert_like()
    texts = [Text("7", "The bus was late."), Text("8", "Honestly [SEP] fine."), Text("7", "Work.")]
    tokens = stored_tokens(tmp_path / "tokens", texts, tokenizer)
    expected = [tokenizer(t.text, add_special_tokens=False)["input_ids"] for t in (texts[0], texts[2])]
    assert tokens.ids[: tokens.lengths[0]].tolist() == expected[0]
    assert tokens.ids[tokens.lengths[:2].sum() :].tolist() == expected[1]
    assert tokens.groups.tolist() == [group_hash("7"), group_hash("8"), group_hash("7")]
    assert tokenizer.sep_token_id not in tokens.ids.tolist(), "what looks like a special token is text"
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o700
    again = stored_tokens(tmp_path / "tokens", iter(()), tokenizer)
    assert again.ids.tolist() == tokens.ids.tolist()


def test_no_text_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="no text"):
        stored_tokens(tmp_path / "cache" / "tokens", [], bert_like())
    assert list((tmp_path / "cache").iterdir()) == []


def test_memory_does_not_grow_with_the_texts(tmp_path):
    """Ten times the texts, the same peak: nothing but what is at hand is kept."""
    tokenizer, peaks = bert_like(), []
    for count in (1000, 10_000):
        file = tmp_path / f"{count}.txt"
        with file.open("w") as out:
            for i in range(count):
                out.write(f"The bus was late again today {i}. " * 5 + "\n\n")
        tracemalloc.start()
        stored_tokens(tmp_path / f"tokens-{count}", TextSource(str(file)), tokenizer)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_dataset_on_the_hub_is_streamed_at_its_commit(tmp_path, monkeypatch):
    """What the hub answers is played by a stand-in, as in tests/datamodules/test_corpus_hub.py."""
    asked, library = [], ModuleType("datasets")
    records = {"train": [{"body": "One."}, {"body": None}, {"body": "Two."}], "test": [{"body": "Never."}]}

    def load(dataset, *, revision, streaming):
        asked.append((dataset, revision, streaming))
        return {name: iter(rows) for name, rows in records.items()}

    vars(library)["load_dataset"] = load
    monkeypatch.setitem(sys.modules, "datasets", library)
    monkeypatch.setattr(text_sources, "resolve_commit", lambda dataset, revision: f"commit of {revision}")
    monkeypatch.chdir(tmp_path)
    source = TextSource("owner/corpus", "body", "v2")
    assert [text.text for text in source] == ["One.", "Two."]
    assert asked == [("owner/corpus", "commit of v2", True)]
    assert source.sha256(tmp_path) == TextSource("owner/corpus", "body", "v2").sha256(tmp_path)
    assert source.sha256(tmp_path) != TextSource("owner/corpus", "body", "v3").sha256(tmp_path)
    with pytest.raises(UserError, match="the column 'text' is missing"):
        list(TextSource("owner/corpus"))
