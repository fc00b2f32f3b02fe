"""Options of the pytest-benchmark suites.

python -m pytest benchmarks                          everything, grouped by workload
python -m pytest benchmarks -k one-registered
python -m pytest benchmarks --benchmark-disable --scale 0.01     each once, on small inputs
"""

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--scale",
        type=float,
        default=1.0,
        help="size of the inputs, as a fraction of the full one",
    )


@pytest.fixture(scope="session")
def scale(request):
    return request.config.getoption("--scale")
