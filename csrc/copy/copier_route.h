/* The route by which an object goes. */
#ifndef FASTCOPYREG_COPY_COPIER_ROUTE_H
#define FASTCOPYREG_COPY_COPIER_ROUTE_H

#include "copy/copier.h"

/* The route of a type that was not found in this epoch yet; NULL without an exception if the
   tables are to be asked by the standard library, as often as it does, as classes of its metaclass
   have a hash of their own. */
struct copyroute *copier_find_new_route(struct copier *copier, PyObject *object);

ALWAYS_INLINE struct copyroute *
copier_route_of(struct copier *copier, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    struct copyroutes *routes = copier->state->copy->routes;
    struct copyroute *route = copier->last_route;
    if (unlikely(route == NULL || copyroute_type(route) != type)) {
        route = copyroute_known(routes, type);
    }
    if (route == NULL
        || (route->epoch != copier->epoch && !copyroute_confirm(routes, route, copier->epoch))) {
        route = copier_find_new_route(copier, object);
    }
    copier->last_route = route;
    return route;
}

/* Asks a visible memo and the tables for an owned object: 1 and its copy, strong; 0 and the route
   by which it is to be copied; or -1.  May run Python code. */
int copier_find_visible(struct copier *copier, PyObject *object, struct copyroute **route,
                        PyObject **copy);

#endif
