"""What stands in the tables on the terminal, and that they fit into 100 columns."""

import io

import pytest
from report_samples import TITLES, small_evaluation
from rich.console import Console

from redsm5.report.tables import comparison_table, evaluation_tables, number, print_evaluation


def shown(*renderables, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    for renderable in renderables:
        console.print(renderable)
    return console.file.getvalue()


def row(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.strip().startswith(start)]
    return line.strip().removeprefix(start).split()


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(0.7324, 3, ".732"), (1.0, 2, "1.00"), (0.0, 2, ".00"), (None, 2, "-"), (0.996, 2, "1.00"), (1.25, 3, "1.250")],
)
def test_number(value, digits, expected):
    assert number(value, digits) == expected


def test_criterion_table_holds_both_thresholds():
    decisions, ranking = (shown(table) for table in evaluation_tables(small_evaluation(), TITLES)[:2])
    # posts, P R F1 at .5, threshold, P R F1 tuned; prevalence, AUPRC, AUROC
    assert row(decisions, "Trouble with sleep") == ["2", "1.00", ".50", ".67", ".40", "1.00", "1.00", "1.00"]
    assert row(ranking, "Trouble with sleep")[:3] == [".67", "1.00", "1.00"]
    text = decisions
    assert row(text, "mean over criteria")[:2] == [".67", "1.00"]
    assert "Appetite or weight" in text


def test_criterion_table_shows_undefined_values_as_a_dash():
    decisions, ranking = (shown(table) for table in evaluation_tables(small_evaluation())[:2])
    assert row(decisions, "APPETITE") == ["0", "-", "-", "-", ".50", "-", "-", "-"]
    assert row(ranking, "APPETITE")[1:3] == ["-", "-"]


def test_tables_show_titles_as_they_are():
    titles = {code: f"a [/b] [red]{code[:4]}" for code in TITLES}
    text = shown(*evaluation_tables(small_evaluation(), titles))
    assert text.count("a [/b] [red]") == 2 * len(titles)


def test_tables_without_tuned_thresholds_or_intervals():
    text = shown(*evaluation_tables(small_evaluation(thresholds=None, bootstrap=0)))
    assert "tuned" not in text
    assert " to " not in text.replace("end to end", "")
    assert row(text, "macro F1 with") == ["NO_SYMPTOMS", ".667"]


def test_summary_and_evidence_rows_carry_intervals():
    evaluation = small_evaluation()
    text = shown(*evaluation_tables(evaluation))
    low, high = (number(v) for v in (evaluation.intervals["f1_micro"].low, evaluation.intervals["f1_micro"].high))
    assert row(text, "micro F1  ")[:4] == [".667", low, "to", high]
    assert row(text, "hit@1")[0] == "1.000"
    assert "95% intervals from 20 resamples of authors" in text


def test_count_table_shows_gold_and_predicted_posts():
    text = shown(evaluation_tables(small_evaluation(thresholds=None))[4])
    assert row(text, "gold") == ["1", "2"]
    assert row(text, "predicted (at .5)") == ["2", "1"]


@pytest.mark.parametrize("thresholds", [None, (0.4, 0.5)])
def test_tables_fit_into_80_columns_uncut(thresholds):
    console = Console(file=io.StringIO(), width=80, color_system=None)
    print_evaluation(console, small_evaluation(thresholds=thresholds), TITLES)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    cut = [line for line in lines if "…" in line]
    assert all("Appetite or weight" in line for line in cut), "only a long title may be cut"


def test_comparison_table_sets_models_beside_each_other():
    tuned, half = small_evaluation(), small_evaluation(thresholds=None, bootstrap=0)
    text = shown(comparison_table({"our model": tuned, "TF-IDF": half}))
    assert row(text, "our model")[:4] == ["1.000", "1.000", "1.000", "1.000"]
    assert row(text, "TF-IDF")[:4] == [".667", ".667", "1.000", ".667"]
    assert "where there are any" in text


def test_comparison_table_marks_the_best_of_each_column():
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard")
    console.print(comparison_table({"a": small_evaluation(), "b": small_evaluation(thresholds=None)}))
    lines = console.file.getvalue().splitlines()
    assert "\x1b[1m1.000" in next(line for line in lines if line.startswith(" a "))
    assert "\x1b[1m.667" not in next(line for line in lines if line.startswith(" b "))
