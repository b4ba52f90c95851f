"""The trackers of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from redsm5.run.given import flat
from redsm5.run.lightning_cli import resolved_yaml

if TYPE_CHECKING:
    from redsm5.callbacks.trackers import Trackers
    from redsm5.callbacks.tracking import Tracking
    from redsm5.run.folder import RunFolder
    from redsm5.run.lightning_cli import ReDSM5CLI


def tracking_of(cli: ReDSM5CLI, folder: RunFolder) -> Tracking:
    """The callback that feeds the trackers of a run."""
    option: Trackers = cli.config_init.trackers
    parameters = flat(yaml.safe_load(resolved_yaml(cli))) if option.chosen else {}  # it takes a twentieth of a second
    return option.build(folder.path, folder.metrics, parameters)


def send_backlog(cli: ReDSM5CLI, folder: RunFolder) -> None:
    """Send what trackers have not got of a training that has ended, if they lack anything."""
    if cli.is_global_zero and cli.config_init.trackers.chosen:
        tracking = tracking_of(cli, folder)
        if tracking.is_behind:
            tracking.send(status="success")
