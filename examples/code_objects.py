"""Make code objects picklable, which the standard library refuses, with a reducer of six lines."""

import marshal
import types
from typing import Any

from fastcopyreg import copyreg, pickle


def load_code(data: bytes) -> types.CodeType:
    code: types.CodeType = marshal.loads(data)
    return code


def reduce_code(code: types.CodeType) -> tuple[Any, ...]:
    return load_code, (marshal.dumps(code),)


copyreg.pickle(types.CodeType, reduce_code, load_code)

code = compile("answer = 6 * 7", "<example>", "exec")
space: dict[str, Any] = {}
exec(pickle.loads(pickle.dumps(code)), space)
print("the answer is", space["answer"])
