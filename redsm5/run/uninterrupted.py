"""For the server that fits are forked from, before ``redsm5.run.warm``: Ctrl-C reaches it too, amid seconds of imports.

It would print a traceback. Who started it is interrupted as well, and ends it.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
