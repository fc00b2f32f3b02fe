/* The state of one import of the core, and the ways to it.

   Nothing is static: every object lives in a struct core_state, of which each
   interpreter has its own.  Strings and the standard library's own objects are listed
   once, in tables, and taken in loops.  Objects of our types keep a pointer to the
   state; the module outlives them, because their types hold it. */
#ifndef FASTCOPYREG_BASE_STATE_H
#define FASTCOPYREG_BASE_STATE_H

#include "base/compat.h"
#include "base/dialect.h"
#include "base/load_dialect.h"
#include "base/metaclass.h"
#include "base/opcodes.h"
#include "base/outcome.h"

/* Interned strings: V(name of the field, text). */
#define CORE_STRINGS(V)                                    \
    V(add, "add")                                          \
    V(append, "append")                                    \
    V(atomic_types, "_atomic_types")                       \
    V(basicnew, "__basicnew__")                            \
    V(bin, "bin")                                          \
    V(builtins, "__builtins__")                            \
    V(builtins_module, "builtins")                         \
    V(call, "__call__")                                    \
    V(class_, "__class__")                                 \
    V(complex, "complex")                                  \
    V(copy, "__copy__")                                    \
    V(copy_atomic_types, "_copy_atomic_types")             \
    V(copy_builtin_containers, "_copy_builtin_containers") \
    V(copy_dispatch, "_copy_dispatch")                     \
    V(copy_method, "copy")                                 \
    V(copyreg, "copyreg")                                  \
    V(dataclass_fields, "__dataclass_fields__")            \
    V(datetime_capsule, "datetime_CAPI")                   \
    V(datetime_module, "_datetime")                        \
    V(deepcopy, "__deepcopy__")                            \
    V(deepcopy_dispatch, "_deepcopy_dispatch")             \
    V(dict, "__dict__")                                    \
    V(dispatch_table, "dispatch_table")                    \
    V(dot, ".")                                            \
    V(extend, "extend")                                    \
    V(fget, "fget")                                        \
    V(field_global, "_FIELD")                              \
    V(field_kind, "_field_type")                           \
    V(field_name, "name")                                  \
    V(fields, "fields")                                    \
    V(fields_global, "_FIELDS")                            \
    V(fileno, "fileno")                                    \
    V(find_class, "find_class")                            \
    V(func, "__func__")                                    \
    V(get, "__get__")                                      \
    V(getattr, "getattr")                                  \
    V(getitem, "__getitem__")                              \
    V(getattribute, "__getattribute__")                    \
    V(getinitargs, "__getinitargs__")                      \
    V(getnewargs, "__getnewargs__")                        \
    V(getnewargs_ex, "__getnewargs_ex__")                  \
    V(getstate, "__getstate__")                            \
    V(import, "__import__")                                \
    V(init, "__init__")                                    \
    V(initializing, "_initializing")                       \
    V(instancecheck, "__instancecheck__")                  \
    V(int_, "int")                                         \
    V(ip, "_ip")                                           \
    V(is_safe, "is_safe")                                  \
    V(items, "items")                                      \
    V(latin1, "latin1")                                    \
    V(lazy_import_type, "LazyImportType")                  \
    V(locals, "<locals>")                                  \
    V(main, "__main__")                                    \
    V(maps, "maps")                                        \
    V(member_map, "_member_map_")                          \
    V(missing, "__missing__")                              \
    V(module, "__module__")                                \
    V(maxlen, "maxlen")                                    \
    V(modules, "modules")                                  \
    V(mro, "mro")                                          \
    V(monitoring, "monitoring")                            \
    V(mp_main, "__mp_main__")                              \
    V(name, "__name__")                                    \
    V(new, "__new__")                                      \
    V(newobj, "__newobj__")                                \
    V(newobj_ex, "__newobj_ex__")                          \
    V(peek, "peek")                                        \
    V(pop, "pop")                                          \
    V(persistent_id, "persistent_id")                      \
    V(persistent_load, "persistent_load")                  \
    V(qualname, "__qualname__")                            \
    V(raw, "raw")                                          \
    V(raw_paths, "_raw_paths")                             \
    V(read, "read")                                        \
    V(readinto, "readinto")                                \
    V(readline, "readline")                                \
    V(reduce, "__reduce__")                                \
    V(reduce_ex, "__reduce_ex__")                          \
    V(reducer_override, "reducer_override")                \
    V(reducer_override_types, "reducer_override_types")    \
    V(replace, "__replace__")                              \
    V(safe_uuid, "SafeUUID")                               \
    V(scope_id, "_scope_id")                               \
    V(seek, "seek")                                        \
    V(self, "__self__")                                    \
    V(setattr, "__setattr__")                              \
    V(setstate, "__setstate__")                            \
    V(slotnames, "__slotnames__")                          \
    V(spec, "__spec__")                                    \
    V(subclasscheck, "__subclasscheck__")                  \
    V(super, "super")                                      \
    V(tell, "tell")                                        \
    V(unknown, "unknown")                                  \
    V(value2member_map, "_value2member_map_")              \
    V(update, "update")                                    \
    V(write, "write")

/* The standard library's own objects: V(name of the field, module, attribute). */
#define CORE_STDLIB(V)                                                    \
    V(pickle_error, "pickle", "PickleError")                              \
    V(pickling_error, "pickle", "PicklingError")                          \
    V(unpickling_error, "pickle", "UnpicklingError")                      \
    V(copyreg_newobj, "copyreg", "__newobj__")                            \
    V(copyreg_newobj_ex, "copyreg", "__newobj_ex__")                      \
    V(dispatch_table, "copyreg", "dispatch_table")                        \
    V(pickle_complex, "copyreg", "pickle_complex")                        \
    V(extension_registry, "copyreg", "_extension_registry")               \
    V(inverted_registry, "copyreg", "_inverted_registry")                 \
    V(extension_cache, "copyreg", "_extension_cache")                     \
    V(name_mapping, "_compat_pickle", "NAME_MAPPING")                     \
    V(import_mapping, "_compat_pickle", "IMPORT_MAPPING")                 \
    V(reverse_name_mapping, "_compat_pickle", "REVERSE_NAME_MAPPING")     \
    V(reverse_import_mapping, "_compat_pickle", "REVERSE_IMPORT_MAPPING") \
    V(codecs_encode, "codecs", "encode")                                  \
    V(getattr, "builtins", "getattr")                                     \
    V(chain_map, "collections", "ChainMap")                               \
    V(bytes_io, "_io", "BytesIO")                                         \
    V(partial, "functools", "partial")                                    \
    V(deque, "_collections", "deque")                                     \
    V(defaultdict, "_collections", "defaultdict")                         \
    V(simple_namespace, "types", "SimpleNamespace")                       \
    V(copy_copy, "copy", "copy")                                          \
    V(copy_deepcopy, "copy", "deepcopy")                                  \
    V(copy_error, "copy", "Error")                                        \
    V(copy_globals, "copy", "__dict__")                                   \
    V(copy_reconstruct, "copy", "_reconstruct")                           \
    V(deepcopy_list, "copy", "_deepcopy_list")                            \
    V(deepcopy_tuple, "copy", "_deepcopy_tuple")                          \
    V(deepcopy_dict, "copy", "_deepcopy_dict")                            \
    V(deepcopy_method, "copy", "_deepcopy_method")                        \
    V(sys_modules, "sys", "modules")                                      \
    V(builtins_import, "builtins", "__import__")                          \
    V(builtins_dict, "builtins", "__dict__")                              \
    V(module_spec, "_frozen_importlib", "ModuleSpec")                     \
    V(plain_class, "pickle", "_Pickler")                                  \
    V(namedtuple_class, "functools", "_CacheInfo")                        \
    V(sys_dict, "sys", "__dict__")                                        \
    V(get_switch_interval, "sys", "getswitchinterval")                    \
    V(get_signal, "_signal", "getsignal")                                 \
    V(default_handler, "_signal", "default_int_handler")

/* The same, of versions that have them; NULL on the others. */
#define CORE_OPTIONAL(V)                                   \
    V(copy_immutable, "copy", "_copy_immutable")           \
    V(deepcopy_atomic, "copy", "_deepcopy_atomic")         \
    V(deepcopy_frozendict, "copy", "_deepcopy_frozendict") \
    V(copy_replace, "copy", "replace")                     \
    V(placeholder, "functools", "Placeholder")

struct namecache;
struct plans_room;
struct values_room;
struct types_room;
struct dump_room;
struct load_room;
struct copy_room;

#define DECLARE_STRING(field, text) PyObject *field;
#define DECLARE_OBJECT(field, module, attribute) PyObject *field;

struct core_strings {
    CORE_STRINGS(DECLARE_STRING)
};

struct core_stdlib {
    CORE_STDLIB(DECLARE_OBJECT)
    CORE_OPTIONAL(DECLARE_OBJECT)
};

/* Our modules in Python that the core asks; see helpers.h. */
enum helper { HELPER_COMPILER, HELPER_VALUES, HELPER_TABLES, HELPER_COUNT };

enum helper_status { HELPER_UNUSED, HELPER_COMES, HELPER_READY, HELPER_OFF };

struct helper_module {
    enum helper_status status;
    PyObject *module; /* strong if it is ready */
};

struct core_state {
    struct core_strings str;
    struct core_stdlib stdlib;
    /* Objects of which CPython has one each. */
    PyObject *empty_tuple;
    PyObject *protocols[HIGHEST_PROTOCOL + 1]; /* the integers, for __reduce_ex__ */
    PyObject *small_integers[256];
    PyObject *ascii_characters[128];
    struct dialect dialect;
    struct load_dialect load_dialect;
    uint64_t epoch;              /* counts the times foreign code was run; see save.h */
    struct namecache *namecache; /* how long what was found holds; see namecache.h */
    unsigned chain_map_version;  /* of collections.ChainMap while it looks up as at first */
    PyObject *chain_look_up[2];  /* its __getitem__ and __missing__ at first; strong, or NULL */
    struct known_metaclass metaclasses[METACLASSES_KNOWN]; /* see metaclass.h */
    getattrofunc getattr_hook;    /* tp_getattro of a class with a __getattr__; see lookup.h */
    uintptr_t monitoring_version; /* for which `monitored` was found; see observed.c */
    int monitored;
    struct helper_module helpers[HELPER_COUNT]; /* our Python code; see helpers.h */
    /* The state of each room; NULL before its setup and after its teardown. */
    struct plans_room *plans;
    struct values_room *values;
    struct types_room *types;
    struct dump_room *dump;
    struct load_room *load;
    struct copy_room *copy;
};

/* A room, as core.c sees it.  The functions for objects are called with a state in which the
   room may be NULL. */
struct core_room {
    int (*setup)(PyObject *module); /* 0, or -1 with an exception */
    int (*traverse)(struct core_state *state, visitproc visit, void *arg);
    void (*release)(struct core_state *state);  /* lets go of the objects that traverse visits */
    void (*teardown)(struct core_state *state); /* frees everything */
    /* How many calls are counted as under way, for which the room keeps what is in use; with
       `forget` none from then on.  NULL: none ever. */
    int (*under_way)(struct core_state *state, int forget);
};

/* How many calls of those this thread is in the middle of, of all interpreters together.  After a
   fork the child has no other thread, and what is counted beside these never ends. */
extern THREAD_LOCAL int thread_calls;

#undef DECLARE_STRING
#undef DECLARE_OBJECT

extern struct PyModuleDef core_module;

/* The state of a module object, of an exact class of ours, or of a subclass of one. */
static inline struct core_state *
core_state_of_module(PyObject *module)
{
    return (struct core_state *)PyModule_GetState(module);
}

/* NULL with an exception if the type is not one of ours or derived from one. */
static inline struct core_state *
core_state_of_type(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &core_module);
    return module == NULL ? NULL : core_state_of_module(module);
}

/* Makes a heap type of ours, adds it to the module under the last part of its name, and
   keeps a strong reference to it in *type.  0, or -1 with an exception. */
int core_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type);

/* Adds functions that say, and are pickled as, that they are of the module `owner`, a drop-in: the
   reader of such a pickle may have no core.  0, or -1 with an exception. */
int core_add_functions(PyObject *module, PyMethodDef *functions, const char *owner);

#endif
