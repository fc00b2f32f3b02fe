"""What `fastcopyreg.start` calls when an interpreter starts; it is small, since it always does."""

import os
import sys


def start():
    """Call `fastcopyreg.install` if FASTCOPYREG_INSTALL asks for it and is to be listened to."""
    wanted = os.environ.get("FASTCOPYREG_INSTALL", "0") not in ("", "0")
    if wanted and not sys.flags.ignore_environment:
        import fastcopyreg

        fastcopyreg.install()
