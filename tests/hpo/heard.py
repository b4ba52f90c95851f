"""What a worker hears of the process of a trial."""

from redsm5.hpo.trial_process import TrialProcess


class Heard:
    """What a fit said."""

    def __init__(self, prune_after=99):
        self.started, self.epochs, self.prune_after = [], [], prune_after

    def process(self, stuck_seconds=120.0):
        return TrialProcess(self.started.append, self._epoch, stuck_seconds=stuck_seconds)

    def _epoch(self, epoch):
        self.epochs.append(epoch)
        return epoch.number >= self.prune_after
