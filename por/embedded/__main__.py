"""`python -m por.embedded`: run the product until it is stopped."""

import signal
import sys

from .processes import Stopped, Trouble, end_with_parent, stop_on_signals
from .up import up


def main() -> int:
    stop_on_signals()
    if "--with-parent" in sys.argv:
        end_with_parent(signal.SIGTERM)
    try:
        up()
    except Stopped:
        return 0
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or 'The system'}: {error.strerror}: put that right, then start again.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
