"""`python -m ogpu` is the command `ogpu`."""

import sys

from ogpu.cli import main

if __name__ == "__main__":
    sys.exit(main())
