"""Make code objects picklable, which the standard library refuses, with a reducer of six lines."""

import marshal
import types

from fastcopyreg import copyreg, pickle


def load_code(data):
    return marshal.loads(data)


def reduce_code(code):
    return load_code, (marshal.dumps(code),)


copyreg.pickle(types.CodeType, reduce_code, load_code)

code = compile("answer = 6 * 7", "<example>", "exec")
space = {}
exec(pickle.loads(pickle.dumps(code)), space)
print("the answer is", space["answer"])
