"""`python -m grokkit` is the command `grokkit`."""

import sys

from grokkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
