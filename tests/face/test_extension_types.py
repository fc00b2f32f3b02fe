"""An extension type without pickle support is given it, by `register` and by `copyreg.pickle`:
it is pickled, copied, and travels through a pool under every start method.
"""

import multiprocessing
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap

import pytest

from fastcopyreg.install import VARIABLE

METHODS = sorted(multiprocessing.get_all_start_methods())

SOURCE = """
#include <Python.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    double x, y;
} Vector;

static int
vector_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"x", "y", NULL};
    Vector *vector = (Vector *)self;
    return PyArg_ParseTupleAndKeywords(args, kwargs, "dd", names, &vector->x, &vector->y) ? 0 : -1;
}

static PyMemberDef members[] = {
    {"x", T_DOUBLE, offsetof(Vector, x), 0, NULL},
    {"y", T_DOUBLE, offsetof(Vector, y), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject static_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "vectors.Static",
    .tp_basicsize = sizeof(Vector),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = vector_init,
    .tp_members = members,
};

static PyType_Slot slots[] = {
    {Py_tp_init, vector_init},
    {Py_tp_members, members},
    {0, NULL},
};
static PyType_Spec spec = {
    "vectors.Heap", sizeof(Vector), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "vectors", NULL, -1, NULL};

PyMODINIT_FUNC
PyInit_vectors(void)
{
    PyObject *made = PyModule_Create(&module);
    PyObject *heap = made == NULL ? NULL : PyType_FromSpec(&spec);
    if (heap == NULL || PyModule_AddObject(made, "Heap", heap) < 0
        || PyModule_AddType(made, &static_type) < 0) {
        return NULL;
    }
    return made;
}
"""

SETUP = """
from setuptools import Extension, setup
setup(name="vectors", ext_modules=[Extension("vectors", ["vectors.c"])], py_modules=[])
"""


def has_compiler():
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "").split()
    return os.name == "nt" or bool(compiler and shutil.which(compiler[0]))


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_compiler(), reason="needs a C compiler"),
]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder of an extension module with two types, one static and one on the heap."""
    folder = tmp_path_factory.mktemp("vectors")
    (folder / "vectors.c").write_text(SOURCE)
    (folder / "setup.py").write_text(SETUP)
    environment = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "LDFLAGS")}
    command = [sys.executable, "-P", "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


PROGRAM = """
    import copy, multiprocessing, pickle, sys
    import vectors

    kind, how, method = sys.argv[1:]
    Vector = getattr(vectors, kind)

    def reduce_vector(vector):
        return Vector, (vector.x, vector.y)

    def refused(function, *arguments):
        try:
            function(*arguments)
        except TypeError as error:
            return "cannot pickle" in str(error)

    if __name__ == "__main__":
        vector = Vector(1.5, 2.5)
        assert refused(pickle.dumps, vector) and refused(copy.copy, vector)

    # At the top of the module, so that a worker that starts anew registers it too.
    if how == "register":
        import fastcopyreg
        fastcopyreg.register(Vector, fields=("x", "y"))
    else:
        import copyreg
        copyreg.pickle(Vector, reduce_vector)

    def scaled(vector):
        return Vector(vector.x * 2, vector.y * 2)

    def told(vectors):
        return [(type(each).__name__, each.x, each.y) for each in vectors]

    def main():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert told(pickle.loads(pickle.dumps([vector], protocol))) == told([vector])
        for copied in (copy.copy(vector), copy.deepcopy(vector), copy.deepcopy([vector])[0]):
            assert copied is not vector and told([copied]) == told([vector])
        vectors = [Vector(float(i), -float(i)) for i in range(2000)]
        with multiprocessing.get_context(method).Pool(2) as pool:
            back = pool.map(scaled, vectors)
        assert told(back) == told(map(scaled, vectors))
        print("travelled")

    if __name__ == "__main__":
        main()
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["copyreg.pickle", "register"])
@pytest.mark.parametrize("kind", ["Static", "Heap"])
def test_it_travels(built, tmp_path, kind, how, method):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    done = subprocess.run(
        [sys.executable, str(program), kind, how, method],
        env={**os.environ, "PYTHONPATH": str(built), VARIABLE: "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "travelled\n"), done.stderr
