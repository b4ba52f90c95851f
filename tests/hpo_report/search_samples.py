"""A search that never ran: reports of trials with known values."""

from datetime import UTC, datetime

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution
from trial_reports import report

from redsm5.hpo.records import Records
from redsm5.hpo_report.gather import rows, side_by_side
from redsm5.hpo_report.importance import comparable, group_importances, importances
from redsm5.hpo_report.models import SearchReport
from redsm5.hpo_report.requirements import requirements
from redsm5.hpo_report.summary import summary
from redsm5.report.study_models import BestTrial, Counts, FrontTrial, ObjectiveInfo, Shares, StudyReport

SPACE = {
    "lr": FloatDistribution(1e-5, 1e-2, log=True),
    "noise": FloatDistribution(0.0, 1.0),
    "peft": CategoricalDistribution(["NoPEFT", "LoRA"]),
    "rank": CategoricalDistribution([4, 8]),
}
GROUPS = {"lr": "training", "noise": "regularisation", "peft": "peft", "rank": "peft"}


def trials(number=60, seed=0):
    """Good ones have a large learning rate; rank is there with LoRA only; noise says nothing."""
    draw = np.random.default_rng(seed)
    made = []
    for n in range(number):
        lr, noise = float(10 ** draw.uniform(-5, -2)), float(draw.uniform())
        params = {"lr": lr, "noise": noise, "peft": ["NoPEFT", "LoRA"][n % 2]}
        params |= {"rank": [4, 8][n // 2 % 2]} if n % 2 else {}
        state = "FAIL" if n == 7 else "PRUNED" if n % 3 == 0 else "COMPLETE"
        value = None if state == "FAIL" else round((np.log10(lr) + 5) / 4 + 0.001 * draw.uniform(), 6)
        made.append(report(n, value, state, params=params, settings={"model.peft": params["peft"], "x.lr": lr, "y": 1},
                           stopped_early=state == "COMPLETE"))  # fmt: skip
    return made


def distributions(reports):
    return {one.trial: {name: SPACE[name] for name in one.params} for one in reports}


def study_report(reports, **changes):
    complete = [one for one in reports if one.state == "COMPLETE"]
    best = sorted(complete, key=lambda one: -one.value)[:1]
    counts = {state: sum(one.state == state for one in reports) for state in ("COMPLETE", "PRUNED", "FAIL")}
    facts = {
        "created": datetime(2026, 1, 1, tzinfo=UTC), "redsm5": "0.1.0", "study": "made <up>",
        "storage": "sqlite:///s.db", "objective": "val_f1_macro", "direction": "maximize", "seed": 0,
        "sampler": "TPESampler", "pruner": "MedianPruner",
        "objectives": [ObjectiveInfo(name="val_f1_macro", direction="maximize")],
        "dimensions": 4, "budget": 100,
        "counts": Counts(complete=counts["COMPLETE"], pruned=counts["PRUNED"], failed=counts["FAIL"], running=0,
                         lost_attempts=0),
        "reasons": {"diverged": 1}, "front": [],
        "shares": Shares(pruned=0.3, pruned_by_epoch_5=0.25, stopped_early=0.3, stopped_early_of_complete=0.4),
        "best": [BestTrial(trial=one.trial, value=one.value, val_loss=1.0, params=one.params, config={}, run=one.run,
                           checkpoint=None) for one in best],
        "first_within_one_percent": best[0].trial if best else None, "test": None, "test_evaluations": 0,
        "seconds": {"sampling": 6.0, "pretraining": 1.0, "start": 30.0, "fits": 600.0, "storage": 6.0, "wall": 400.0},
        "peak_disk_bytes": 5_000_000,
    }  # fmt: skip
    return StudyReport(**{**facts, **changes})


def search(number=60, **changes):
    """The whole report."""
    made = trials(number)
    whole = study_report(made, **changes)
    ranked = sorted((one for one in made if one.state == "COMPLETE"), key=lambda one: -one.value)
    best = ranked[0].params if ranked else {}
    found = importances(comparable(made, distributions(made), whole.direction), GROUPS, best)
    groups, required = group_importances(found), requirements(whole)
    candidates, same = side_by_side(ranked[:3])
    curves = {one.trial: {epoch: (one.value or 0.0) * (epoch + 1) / 3 for epoch in range(3)} for one in made}
    return SearchReport(
        created=datetime(2026, 1, 2, tzinfo=UTC), study=whole, pruned_by="val_auprc_macro",
        summary=summary(whole, found, groups, required), requirements=required, importances=found, groups=groups,
        candidates=candidates, same=same, trials=rows(Records(tuple(made), (), 0), curves, whole.direction),
    )  # fmt: skip


def two_objectives(number=60):
    """The same with a second objective, and a front of two trials."""
    names = [("val_f1_macro", "maximize"), ("val_loss", "minimize")]
    found = search(
        number,
        objectives=[ObjectiveInfo(name=name, direction=direction) for name, direction in names],
        front=[FrontTrial(trial=n, objectives={"val_f1_macro": 0.5, "val_loss": 1.0}, params={}) for n in (1, 4)],
    )
    rows = [
        row.model_copy(update={"objectives": {"val_f1_macro": row.value, "val_loss": 1.0 + row.trial}})
        if row.state == "COMPLETE"
        else row
        for row in found.trials
    ]
    return found.model_copy(update={"trials": rows})
