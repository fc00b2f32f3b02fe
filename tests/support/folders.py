"""Where the tests are, and what is beside them in a checkout or an sdist."""

from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
