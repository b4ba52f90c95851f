import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from redsm5.datamodules.audit import CorpusAudit
from redsm5.datamodules.audit_table import print_audit
from redsm5.datamodules.reading import check_corpus

HEAD = "post_id,sentence_id,sentence_text,DSM5_symptom,status\n"
TEXTS = {
    "s_1_1": "Velvet mornings are hard. I cannot sleep at night. Nothing is fun.",
    "s_1_2": "I am “empty” inside. Zebra weather today.",
    "s_2_1": "All quiet here.",
}


@pytest.fixture
def audit(tmp_path: Path) -> CorpusAudit:
    (tmp_path / "posts.csv").write_text(
        "post_id,text\n" + "".join(f"{key},{text}\n" for key, text in TEXTS.items()) + "e,\n", encoding="utf-8-sig"
    )
    (tmp_path / "annotations.csv").write_text(
        HEAD
        + "s_1_1,s_1_1_1,I cannot sleep at night.,SLEEP_ISSUES,1\n"
        + "s_1_1,s_1_1_2,Nothing is fun.,ANHEDONIA,1\n"
        + "s_1_1,s_1_1_2,Nothing is fun.,ANHEDONIA,0\n"
        + 's_1_2,s_1_2_0,"I am ""empty"" inside.",DEPRESSED_MOOD,1\n'
        + "s_1_2,s_1_2_9,Wholly unlike any of it,SLEEP_ISSUES,1\n"
        + "s_1_1,s_1_1_1,I can not sleep at night,FATIGUE,0\n"
        + "s_1_1,s_1_1_1,I cannot sleep at night.,SLEEP_ISSUES,1\n"
        + "s_1_1,s_1_1_0,x,SPECIAL_CASE,1\n",
        encoding="utf-8",
    )
    return check_corpus(path=str(tmp_path))


def test_audit_counts_everything_once(audit):
    assert (audit.post_rows, audit.posts, audit.authors, audit.posts_without_criteria) == (4, 3, 2, 1)
    assert (audit.annotation_rows, audit.annotations, audit.duplicate_annotations) == (8, 5, 1)
    assert (audit.special_case_rows, len(audit.conflicts), audit.empty_posts) == (1, 1, ("e",))
    # Every row is somewhere.
    assert audit.annotation_rows == 5 + 1 + 1 + 1
    labels = {label.code: label for label in audit.labels}
    counts = ("positive_rows", "positive_posts", "hard_negative_rows", "hard_negative_posts")
    assert [getattr(labels["SLEEP_ISSUES"], name) for name in counts] == [2, 2, 0, 0]
    assert [getattr(labels["FATIGUE"], name) for name in counts] == [0, 0, 1, 1]
    assert len(labels) == 9


def test_audit_reports_files_with_their_encodings(audit):
    assert [(Path(file.name).name, file.format, file.encoding, file.rows) for file in audit.files] == [
        ("posts.csv", "csv", "utf-8-sig", 4),
        ("annotations.csv", "csv", "utf-8", 8),
    ]


def test_audit_reports_alignment_by_kind_and_names_what_failed(audit):
    alignment = audit.alignment
    assert alignment.counts == {"exact": 2, "normalised": 1, "fuzzy": 1, "failed": 1}
    assert alignment.evidence == {"exact": 2, "normalised": 1, "fuzzy": 0, "failed": 1}
    assert alignment.hard_negatives == {"exact": 0, "normalised": 0, "fuzzy": 1, "failed": 0}
    (failed,) = alignment.failed
    assert (failed.post_id, failed.sentence_id, failed.criterion, failed.status) == (
        "s_1_2",
        "s_1_2_9",
        "SLEEP_ISSUES",
        1,
    )
    # "i can not sleep at night" against "i cannot sleep at night." : 23 common of 24 + 24 characters.
    assert alignment.score_quantiles is not None
    assert alignment.score_quantiles["1.0"] == pytest.approx(100 * 46 / 48, abs=0.06)
    assert alignment.score_quantiles["0.0"] == failed.score
    assert alignment.score_quantiles["0.5"] == pytest.approx((failed.score + 100 * 46 / 48) / 2, abs=0.1)


def test_audit_warns_of_what_a_fit_does_without(audit):
    text = "\n".join(audit.warnings)
    assert "1 of 4 evidence sentences (25.0%)" in text
    assert "1 posts have no text" in text
    assert "1 sentences were found only nearly" in text
    assert "no post has evidence of APPETITE_CHANGE, PSYCHOMOTOR, FATIGUE" in text
    assert audit.refusals == ()


def test_audit_survives_json_and_holds_no_post_text(audit):
    content = audit.model_dump_json()
    assert CorpusAudit.model_validate_json(content) == audit
    output = io.StringIO()
    print_audit(Console(file=output, width=200), audit)
    for word in ("Velvet", "sleep at", "empty”", "Zebra", "unlike", "fun"):
        assert word not in content
        assert word not in output.getvalue()


def test_print_audit_shows_the_same_figures(audit):
    output = io.StringIO()
    print_audit(Console(file=output, width=200), audit)
    shown = output.getvalue()
    rows = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]]
        for line in shown.splitlines()
        if line.startswith("│")
    }
    assert rows["SLEEP_ISSUES"] == ["2", "2", "0", "0"]
    assert rows["failed"] == ["1", "0", "1 (20.0%)"]
    assert rows["special cases left out"] == ["1"]
    assert "s_1_1 ANHEDONIA s_1_1_2: positive" in shown
    assert all(warning in shown for warning in audit.warnings)
    assert json.loads(audit.model_dump_json())["sha256"] in shown
