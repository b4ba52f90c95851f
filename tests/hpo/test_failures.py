import pytest
from trial_reports import report

from redsm5.errors import UserError
from redsm5.hpo.failures import refuse_failing
from redsm5.hpo.records import Records


def records(*states):
    ended = [report(n, None if state == "FAIL" else 0.5, state) for n, state in enumerate(states)]
    return Records(tuple(ended), (), 0)


@pytest.mark.parametrize(
    ("before", "states", "refused"),
    [
        (0, ["FAIL"] * 9, False),  # too few to say
        (0, ["FAIL"] * 2 + ["COMPLETE"] * 8, False),
        (0, ["FAIL"] * 3 + ["COMPLETE"] * 7, True),
        (10, ["FAIL"] * 10 + ["COMPLETE"] * 10, False),  # their cause was mended, and the command started again
        (10, ["COMPLETE"] * 10 + ["FAIL"] * 3 + ["PRUNED"] * 7, True),
    ],
)
def test_failing_trials_stop_a_search(tmp_path, before, states, refused):
    if not refused:
        refuse_failing(records(*states), records(*states[:before]), 0.2, tmp_path)
        return
    with pytest.raises(UserError, match=r"3 of 10 trials have failed, more than hpo.max_failed \(0.2\) allows: 3 x "):
        refuse_failing(records(*states), records(*states[:before]), 0.2, tmp_path)
