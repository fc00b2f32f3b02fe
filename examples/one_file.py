"""Swap the modules in one file: the same pickles, and one registry for both."""

import pickle as standard
from typing import Any

from fastcopyreg import copy, copyreg, pickle


class Point:
    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y


def reduce_point(point: Point) -> tuple[Any, ...]:
    return Point, (point.x, point.y)


copyreg.pickle(Point, reduce_point)
points = [Point(n, n * n) for n in range(1000)]

data = pickle.dumps(points)
print("same bytes:", data == standard.dumps(points))
print("read by the standard library:", standard.loads(data)[30].y)
print("copied:", copy.deepcopy(points)[30].y)
