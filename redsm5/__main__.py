"""``python -m redsm5``: the same as the ``redsm5`` command."""

import sys

from redsm5.cli import main

if __name__ == "__main__":
    sys.exit(main())
