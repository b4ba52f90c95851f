"""The exception that is shown to a user as a sentence, and the kinds that a search tells apart."""


class UserError(Exception):
    """Something the user can put right: bad data, a bad config, a missing file.

    The message is one sentence that says what is wrong, where (file, row, key) and what to do.
    The command line prints it without a traceback and exits with code 2. It never holds post text.
    """


class OutOfMemory(UserError):
    """A training needed more memory than there is."""


class Diverged(UserError):
    """A training whose numbers are no numbers any more."""


class MachineFault(UserError):
    """What is wrong is the machine or the network, such as a full disk: another config would fare no better."""
