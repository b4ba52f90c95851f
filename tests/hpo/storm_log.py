"""Who worked on what, and when, by the clock that all processes of a machine share: no database is asked."""

import os
import time
from collections import defaultdict
from itertools import pairwise


class StormLog:
    """Lines of attempts, appended by the workers."""

    def __init__(self, path):
        self.path = path

    def begins(self, slot, token):
        """An attempt begins to work."""
        self._append("begins", slot, token, time.monotonic())

    def told(self, slot, token, stamp):
        """What it made was accepted.

        The stamp is taken before it is told: a worker that is stopped in between, and woken when another one has its
        slot, says when it began to tell, not when it was heard.
        """
        self._append("told", slot, token, stamp)

    def _append(self, *fields):
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, f"{' '.join(map(str, fields))}\n".encode())  # whole, or not there where it is killed
        os.close(descriptor)

    def faults(self):
        """Slots on which a later attempt had begun when what an earlier one made was accepted; a log of nobody."""
        begun, told = defaultdict(dict), defaultdict(dict)
        for line in self.path.read_text(encoding="utf-8").splitlines():
            kind, slot, token, stamp = line.split()
            seen, which = (begun, min) if kind == "begins" else (told, max)
            slot, token, stamp = int(slot), int(token), float(stamp)
            seen[slot][token] = which(seen[slot].get(token, stamp), stamp)
        found = [] if begun and told else ["nobody has worked"]
        for slot, attempts in begun.items():
            for earlier, later in pairwise(sorted(attempts)):
                if told[slot].get(earlier, 0.0) > attempts[later]:
                    found.append(f"slot {slot} ran twice at once, with the tokens {earlier} and {later}")
        return found
