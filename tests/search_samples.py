"""A search that never ran: reports of trials with known values."""

from datetime import UTC, datetime

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution
from trial_reports import report

from redsm5.hpo.records import Records
from redsm5.hpo_report.axes import domain_of
from redsm5.hpo_report.gather import rows, side_by_side
from redsm5.hpo_report.importance import comparable, group_importances, importances
from redsm5.hpo_report.models import Importance, SearchReport, Storage, TrialRow
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
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def trials(number=60, seed=0):
    """Good ones have a large learning rate and LoRA; rank is there with LoRA only; noise says nothing."""
    draw = np.random.default_rng(seed)
    made = []
    for n in range(number):
        lr, noise = float(10 ** draw.uniform(-5, -2)), float(draw.uniform())
        params = {"lr": lr, "noise": noise, "peft": ["NoPEFT", "LoRA"][n % 2]}
        params |= {"rank": [4, 8][n // 2 % 2]} if n % 2 else {}
        state = "FAIL" if n == 7 else "PRUNED" if n % 3 == 0 else "COMPLETE"
        value = None if state == "FAIL" else round((np.log10(lr) + 5) / 6 + 0.4 * (n % 2) + 0.001 * draw.uniform(), 6)
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
        "reasons": {"diverged": counts["FAIL"]} if counts["FAIL"] else {}, "front": [],
        "shares": Shares(pruned=0.3, pruned_by_epoch_5=0.25, stopped_early=0.3, stopped_early_of_complete=0.4),
        "best": [BestTrial(trial=one.trial, value=one.value, val_loss=1.0, params=one.params, config={}, run=one.run,
                           checkpoint=None) for one in best],
        "first_within_one_percent": best[0].trial if best else None, "test": None, "test_evaluations": 0,
        "tested": [],
        "seconds": {"sampling": 6.0, "pretraining": 1.0, "start": 30.0, "fits": 600.0, "storage": 6.0, "wall": 400.0},
        "peak_disk_bytes": 5_000_000,
    }  # fmt: skip
    return StudyReport(**{**facts, **changes})


def search(number=60, confirmed=None, combined=None, **changes):
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
        created=NOW, study=whole, pruned_by="val_auprc_macro",
        summary=summary(whole, found, groups, required, confirmed, combined), requirements=required,
        importances=found, groups=groups,
        domains={name: domain_of(one) for name, one in SPACE.items()}, candidates=candidates, same=same,
        confirmed=confirmed, combined=combined,
        storage=Storage(peak=5_000_000, now=4_000, kinds={"weights": 3_000, "rest": 1_000}),
        trials=rows(Records(tuple(made), (), 0), curves, whole.direction),
    )  # fmt: skip


def several_objectives(names=(("val_f1_macro", "maximize"), ("val_loss", "minimize")), number=60):
    """The same with more objectives, and a front of two trials: the second objective is 1 + trial, the third 2 + it."""
    values = {name: place for place, (name, _) in enumerate(names)}
    found = search(
        number,
        objectives=[ObjectiveInfo(name=name, direction=direction) for name, direction in names],
        front=[FrontTrial(trial=n, objectives={name: n + place for name, place in values.items()}, params={})
               for n in (1, 4)],
    )  # fmt: skip
    given = {
        row.trial: {
            "val_f1_macro": row.value,
            **{name: float(row.trial + place) for name, place in values.items() if place},
        }
        for row in found.trials
    }
    rows = [
        row.model_copy(update={"objectives": given[row.trial] if row.state == "COMPLETE" else {}})
        for row in found.trials
    ]
    candidates = [one.model_copy(update={"objectives": given[one.trial]}) for one in found.candidates]
    return found.model_copy(update={"trials": rows, "candidates": candidates})


def of_rows(*rows, leading=(), domains=None, direction="maximize", objective="val_f1_macro"):
    """A report of these trials, whose parameters have the importances that are given."""
    facts = search(0).model_dump() | {
        "trials": [
            TrialRow(
                **{
                    "trial": n,
                    "state": "COMPLETE",
                    "reason": "",
                    "value": None,
                    "best": None,
                    "objectives": {},
                    "epochs": 3,
                    "stopped_early": False,
                    "curve": [],
                    "ended": NOW,
                    "seconds": 1.0,
                    "memory_gb": None,
                    "params": {},
                    **row,
                }
            )
            for n, row in enumerate(rows)
        ],
        "importances": [
            Importance(name=name, group="g", importance=0.9 / len(leading), floor=0.01, active=1.0, best=None)
            for name in leading
        ],
        "domains": domains or {},
    }
    facts["study"] |= {"direction": direction, "objective": objective}
    return SearchReport.model_validate(facts)
