"""Make open text files picklable: a file travels as its name, its content and its position."""

import io
import os
import tempfile
from typing import Any, TextIO

from fastcopyreg import copyreg, pickle


def restore_file(name: str, content: str, position: int) -> TextIO:
    """Return a file in memory with what the original held, at the same place."""
    file = io.StringIO(content)
    setattr(file, "name", name)  # noqa: B010
    file.seek(position)
    return file


def reduce_file(file: TextIO) -> tuple[Any, ...]:
    position = file.tell()
    file.seek(0)
    try:
        return restore_file, (file.name, file.read(), position)
    finally:
        file.seek(position)


copyreg.pickle(io.TextIOWrapper, reduce_file, restore_file)

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "poem.txt")
    with open(path, "w", encoding="ascii") as file:
        file.write("one\ntwo\nthree\n")
    with open(path, encoding="ascii") as file:
        file.readline()
        data = pickle.dumps(file)
        print("the original goes on with", file.readline().strip())

print("the copy goes on with", pickle.loads(data).readline().strip())
