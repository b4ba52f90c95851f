"""The commands that are not a Trainer's: one file each, with ``add_arguments`` and ``run``."""
