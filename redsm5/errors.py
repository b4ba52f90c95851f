"""The one exception that is shown to a user as a sentence."""


class UserError(Exception):
    """Something the user can put right: bad data, a bad config, a missing file.

    The message is one sentence that says what is wrong, where (file, row, key) and what to do.
    The command line prints it without a traceback and exits with code 2. It never holds post text.
    """
