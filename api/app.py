"""The aiohttp application, made from the route list."""

from typing import Final

from aiohttp import web

from api import call, docs_viewer, language, problems, routes
from api.call import Api
from api.endpoint import endpoint

_ANY: Final = "/{path:.*}"


def make_app(api: Api) -> web.Application:
    """Every route, and problems for all other addresses and methods."""
    app = web.Application()
    for route in routes.ROUTES:
        if route.method == "GET":
            app.router.add_get(route.path, endpoint(route, api), allow_head=True)
        else:
            app.router.add_route(route.method, route.path, endpoint(route, api))
    docs_viewer.add_files(app)
    app.router.add_route("*", _ANY, _no_route)
    return app


async def _no_route(request: web.Request) -> web.Response:
    """404, or 405 with Allow where the address has other methods."""
    chosen = language.choose(call.header(request, "Accept-Language"))
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource.canonical == "/{path}":
            continue
        _, methods = await resource.resolve(request)
        allowed |= methods
    if not allowed:
        return problems.response("not_found", chosen)
    return problems.response("method_not_allowed", chosen, headers={"Allow": ", ".join(sorted(allowed))})
