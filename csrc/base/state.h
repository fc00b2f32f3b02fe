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
    V(find_class, "find_class")                            \
    V(func, "__func__")                                    \
    V(get, "__get__")                                      \
    V(getattr, "getattr")                                  \
    V(getattribute, "__getattribute__")                    \
    V(getinitargs, "__getinitargs__")                      \
    V(getnewargs, "__getnewargs__")                        \
    V(getnewargs_ex, "__getnewargs_ex__")                  \
    V(getstate, "__getstate__")                            \
    V(import, "__import__")                                \
    V(init, "__init__")                                    \
    V(initializing, "_initializing")                       \
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
    V(setattr, "__setattr__")                              \
    V(setstate, "__setstate__")                            \
    V(slotnames, "__slotnames__")                          \
    V(spec, "__spec__")                                    \
    V(unknown, "unknown")                                  \
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

/* Our own types: V(name of the field). */
#define CORE_TYPES(V)    \
    V(pickler_type)      \
    V(pickler_memo_type) \
    V(copyfunction_type) \
    V(read_target_type)  \
    V(key_probe_type)    \
    V(policy_type)       \
    V(unpickler_type)    \
    V(unpickler_memo_type)

struct bound_table;
struct namecache;
struct frozen;
struct constructors;

/* Where a functools.partial has what it binds; all 0 where that is not known. */
struct partial_places {
    Py_ssize_t function;
    Py_ssize_t args;
    Py_ssize_t keywords;
};

/* Types of C that cannot be changed; borrowed from the standard library's own objects, or NULL
   where these are not what they are known as. */
struct value_types {
    PyTypeObject *deque;
    PyTypeObject *defaultdict;
    PyTypeObject *simple_namespace;
    PyCFunction deque_append; /* deque.append; NULL if there is no deque */
};
struct pickler;
struct plan_store;
struct typeinfo_cache;
struct copybuffers;
struct copyroutes;
struct global_cache;
struct rebuild_cache;
struct unpickler;

#define DECLARE_STRING(field, text) PyObject *field;
#define DECLARE_OBJECT(field, module, attribute) PyObject *field;
#define DECLARE_TYPE(field) PyTypeObject *field;

struct core_strings {
    CORE_STRINGS(DECLARE_STRING)
};

struct core_stdlib {
    CORE_STDLIB(DECLARE_OBJECT)
    CORE_OPTIONAL(DECLARE_OBJECT)
};

/* Our modules in Python that the core asks; see helpers.h. */
enum helper { HELPER_COMPILER, HELPER_VALUES, HELPER_COUNT };

enum helper_status { HELPER_UNUSED, HELPER_COMES, HELPER_READY, HELPER_OFF };

struct helper_module {
    enum helper_status status;
    PyObject *module; /* strong if it is ready */
};

struct core_state {
    struct core_strings str;
    struct core_stdlib stdlib;
    CORE_TYPES(DECLARE_TYPE)
    PyObject *empty_tuple;
    PyObject *namedtuple_code;                 /* of __getnewargs__ of all named tuples, or NULL */
    PyObject *pickle_complex_code;             /* of copyreg.pickle_complex() as it was at first */
    PyObject *protocols[HIGHEST_PROTOCOL + 1]; /* the integers, for __reduce_ex__ */
    /* Those that CPython has one object of each. */
    struct load_shape *one_shape; /* of the last pickle of one instance; see load_state.c */
    PyObject *small_integers[256];
    PyObject *ascii_characters[128];
    struct dialect dialect;
    uint64_t epoch;               /* counts the times foreign code was run; see save.h */
    struct typeinfo_cache *plans;     /* what is known of types; see typeinfo.h */
    struct pickler *idle_pickler; /* between calls of dumps; see pickler.c */
    struct plan_store *plan;    /* plans of functions; see plan.h */
    struct bound_table *forms;     /* see bound.h */
    struct namecache *found;          /* how long what was found holds; see namecache.h */
    struct frozen *frozen;        /* what is known of dataclasses; see frozen.h */
    struct constructors *constructors;        /* see construct.h */
    unsigned chain_map_version;   /* of collections.ChainMap as it was at first */
    struct known_metaclass metaclasses[METACLASSES_KNOWN]; /* see metaclass.h */
    uint64_t reduced_by_plan;     /* how many objects were taken apart by a plan */
    uint64_t made_by_plan;        /* and how many made */
    uintptr_t monitoring_version; /* for which `monitored` was found; see plan.c */
    int monitored;
    unsigned plan_threshold; /* how often a function is met before it is read; 0: never */
    struct helper_module helpers[HELPER_COUNT]; /* our Python code; see helpers.h */
    PyObject *lazy_import_type;                 /* types.LazyImportType, or NULL */
    struct partial_places partial_places;
    struct copybuffers *idle_copybuffers; /* between calls of deepcopy; see copymemo.c */
    struct copyroutes *copyroutes;        /* what copy.py does with each type; see copyroute.c */
    uint64_t copy_epoch;    /* ends whenever foreign code may have run; see copier.h */
    int copies_by_sets;     /* copy has _copy_atomic_types, not _copy_dispatch */
    getter own_dict_getter; /* of __dict__ in ordinary classes; see default.c */
    PyObject *copy_helpers; /* a dict of Python functions; see copier_state.c */
    struct load_dialect load_dialect;
    struct unpickler *idle_unpickler;      /* between calls of loads; see unpickler.c */
    ternaryfunc python_call;               /* tp_call of a class with a __call__ in Python */
    struct kept_templates *kept_templates; /* of dicts; see load_template.c */
    struct global_cache *globals;          /* names seen before; see load_names.c */
    struct rebuild_cache *rebuild;         /* what is known of types; see rebuild.c */
    int hash_goes_deep;                    /* of tuples; see load_keys.h */
    size_t hash_frame, equal_frame;        /* bytes for each tuple; 0: see load_equal.h */
    PyObject *datetime_capsule;            /* strong, or NULL; it owns ... */
    void *datetime_api;                    /* the C API of datetime; see value_construct.c */
    struct value_types value_types;        /* see value_construct.h */
    PyObject *safe_policy;                 /* of safe.loads(data); NULL before it is needed */
    PyObject *safe_constructors;           /* a dict that only grows, or NULL */
    Py_ssize_t safe_registered;            /* how many it had when the policy was made */
    PyObject *safe_learner;                /* does the loads while it is there, or NULL */
    PyObject *safe_choose;                 /* a function that gives the policy for arguments */
};

#undef DECLARE_STRING
#undef DECLARE_OBJECT
#undef DECLARE_TYPE

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

/* Adds functions that say, and are pickled as, that they are of the module `owner`, a
   drop-in: whoever reads that may have no core.  0, or -1 with an exception. */
int core_add_functions(PyObject *module, PyMethodDef *functions, const char *owner);

#endif
