"""Which cases are quick, and run with all tests, and which run with `-m faults` alone."""

import pytest

slow = pytest.mark.faults


def quick(cases, *names):
    """Cases of a test, where all but the named ones are slow."""
    return [pytest.param(case, marks=[] if case in names else slow) for case in cases]
