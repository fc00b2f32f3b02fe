"""Every operation on every workload, the standard library and fastcopyreg side by side.

These are for looking at one path by itself (pytest-benchmark's statistics, `--benchmark-compare`);
ratios are taken by `race.py`. Where an operation is the standard library's own, also on the Python
backend, there is one side.
"""

import pytest

import operations
from workloads import WORKLOADS


def cases():
    for name, operation in operations.OPERATION.items():
        sides = (operations.STDLIB, operations.OURS)[: 1 + operation.is_ours]
        for workload in WORKLOADS:
            if name in workload.operations:
                for side, function in zip(sides, operation.functions(workload), strict=False):
                    yield pytest.param(
                        workload, operation, function, id=f"{name}-{workload.name}-{side}"
                    )


@pytest.mark.parametrize(("workload", "operation", "function"), list(cases()))
def bench_operation(benchmark, workload, operation, function, scale):
    benchmark.group = f"{operation.name} {workload.name}"
    if workload.fresh and not operation.takes_pickle:
        benchmark.pedantic(
            function, setup=lambda: ((workload.build(scale),), {}), rounds=20, iterations=1
        )
    else:
        benchmark(function, operation.argument(workload, scale))
