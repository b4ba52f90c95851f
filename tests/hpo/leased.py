"""A study whose workers are elsewhere, and whose time passes when a test says so."""

from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from studies import new_study

from redsm5.hpo.attempts import SLOT, is_lost
from redsm5.hpo.leases import AlreadyDone, Leases
from redsm5.hpo.owner import Owner
from redsm5.hpo.storage import open_storage

LEASE = 60.0


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Study:
    """A study in a file, and workers that are elsewhere: they can tell from beats only who is alive."""

    def __init__(self, folder):
        url, self.id = new_study(folder)
        self.storage = open_storage(url)
        self.clock = Clock()
        self.drawn = []

    def worker(self, *, elsewhere=True, owner=None):
        owner = owner or (Owner("h", "boot", "ns", 7, "1") if elsewhere else None)
        return Leases(self.storage, self.id, owner=owner, clock=self.clock)

    def draw(self, slot):
        self.drawn.append(slot)
        x = 10.0 * len(self.drawn) + slot
        return create_trial(state=TrialState.RUNNING, params={"x": x}, distributions={"x": FloatDistribution(0, 1000)})

    def trials(self, *states):
        return [t for t in self.storage.get_all_trials(self.id) if not states or t.state in states]

    def results(self):
        """Slot -> values of what counts."""
        found = {}
        for trial in self.trials():
            if trial.state.is_finished() and not is_lost(trial):
                found.setdefault(trial.system_attrs[SLOT], []).append(trial.value)
        return found

    def pass_time(self, leases, seconds, step=LEASE / 6):
        """Let a worker observe for so long."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            leases.observe()
            self.clock.now = min(end, self.clock.now + step)
        leases.observe()


def finish_all(study, leases, budget):
    while (claim := leases.claim(budget)) is not None:
        try:
            leases.finish(leases.attempt(claim, study.draw), TrialState.COMPLETE, float(claim.slot))
        except AlreadyDone:
            continue
