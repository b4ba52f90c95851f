from types import SimpleNamespace

import pytest
from optuna.study import StudyDirection
from trial_reports import report

from redsm5.hpo import board
from redsm5.hpo.board import Board
from redsm5.hpo.records import Records, best_first, first_within
from redsm5.hpo.status import lines, span, summary, trial_line, trials_per_second


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (720, "12 min"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h")],
)
def test_span_is_in_words(seconds, words):
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("made", "best", "line"),
    [
        (
            report(3, 0.71234),
            report(3, 0.71234),
            "trial 3: COMPLETE, val_f1_macro 0.7123, the best so far; 3 epochs, 9 s; some/encoder, LoRA",
        ),
        (
            report(4, 0.25, "PRUNED", epochs=1, attempts=2),
            report(3),
            "trial 4: PRUNED, val_f1_macro 0.2500; 1 epoch, 9 s, attempt 2; some/encoder, LoRA",
        ),
        (
            report(5, None, "FAIL", epochs=0, params={"lr": 1.0}),
            None,
            "trial 5: FAIL: diverged, no epoch; 0 epochs, 9 s",
        ),
    ],
)
def test_trial_line_says_how_it_ended(made, best, line):
    assert trial_line(made, best) == line


def test_summary_counts_every_state_and_estimates_what_is_left():
    ended = (report(0, 0.5), report(1, 0.75), report(2, 0.1, "PRUNED"), report(3, None, "FAIL"))
    text = summary(Records(ended, (4,), 2, (4,)), 10, "maximize", 2_000_000, between=1)
    # Ten seconds a trial, two at a time: twelve trials a minute, six left.
    assert text == (
        "4 of 10 trials ended (2 complete, 1 pruned, 1 failed, 1 begun); best 0.7500 (trial 1); "
        "12 trials a minute, 30 s left; 2 MB on disk"
    )
    assert summary(Records((), (), 0), 10, "maximize", 0).startswith("0 of 10 trials ended")


@pytest.mark.parametrize(
    ("running", "at_work", "between", "says"),
    [
        ((), (), 0, "6 trials a minute, 80 s left"),  # nobody works: as if one did
        ((), (), 1, "6 trials a minute, 80 s left"),
        ((2,), (2,), 0, "6 trials a minute, 80 s left"),
        ((2,), (2,), 1, "12 trials a minute, 40 s left"),
        ((2, 3, 4), (2, 3, 4), 1, "24 trials a minute, 20 s left"),  # four machines, a worker on each
        ((2, 3, 4), (3,), 0, "6 trials a minute, 80 s left"),  # two wait to be taken up again
    ],
)
def test_rate_is_that_of_the_workers_of_all_machines(running, at_work, between, says):
    records = Records((report(0), report(1)), running, 0, at_work)
    assert f"; {says}; " in summary(records, 10, "maximize", 0, between=between)


@pytest.mark.parametrize(("works", "rate"), [(True, "18"), (False, "12")])
def test_board_counts_its_own_worker_between_two_trials(works, rate, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(board, "EVERY", -1.0)
    settings = SimpleNamespace(n_trials=10, workers=1)
    plan = SimpleNamespace(direction=StudyDirection.MAXIMIZE)
    study = SimpleNamespace(plan=plan, settings=settings, folder=tmp_path, budget=lambda: 10)
    shown = Board(study, Records((), (), 0), works=works)
    shown.update(Records((report(0), report(1)), (2, 3), 0, (2, 3)))
    assert f"; {rate} trials a minute, " in capsys.readouterr().out


def test_rate_needs_two_trials():
    assert trials_per_second([report(0)], 1) is None
    assert trials_per_second([report(0), report(1)], 1) == pytest.approx(0.1)


def test_best_comes_first_and_equal_ones_by_loss_then_number():
    ended = [
        report(0, 0.5, metrics={"val_loss": 2.0}),
        report(1, 0.5, metrics={"val_loss": 1.0}),
        report(2, 0.5, metrics={"val_loss": 1.0}),
        report(3, 0.75),
        report(4, 0.9, "PRUNED"),
        report(5, None, "FAIL"),
    ]
    assert [r.trial for r in best_first(ended, "maximize")] == [3, 1, 2, 0]
    assert [r.trial for r in best_first(ended, "minimize")] == [1, 2, 0, 3]


def test_first_within_a_share_of_the_best():
    ended = [report(0, 0.5), report(1, 0.79), report(2, 0.793), report(3, 0.8), report(4, 0.799)]
    assert first_within(ended, "maximize") == 2
    assert first_within(ended, "maximize", share=0.02) == 1
    assert first_within([report(0, None, "FAIL")], "maximize") is None


def test_status_names_reasons_and_the_best_trials():
    ended = tuple(report(n, n / 10) for n in range(7))
    shown = lines(Records(ended, (), 0), 7, "maximize", 0, {"diverged": 2})
    assert shown[1] == "  failed: 2 x diverged"
    assert [line.split(":")[0] for line in shown[2:7]] == [f"trial {n}" for n in (6, 5, 4, 3, 2)]
    assert shown[7].startswith("the last one ended ")
