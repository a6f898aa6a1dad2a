"""What the page at /docs needs: the description, and the files of Swagger UI, which the server brings itself."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
import swagger_ui_bundle  # type: ignore[import-untyped]
from aiohttp import web

from api import answers, openapi, routes
from api.handlers import documents

_SWAGGER_UI: Final = Path(swagger_ui_bundle.swagger_ui_path)
_FILES: Final = {
    documents.STATIC / "viewer.js": "text/javascript",
    _SWAGGER_UI / "swagger-ui-bundle.js": "text/javascript",
    _SWAGGER_UI / "swagger-ui.css": "text/css",
    _SWAGGER_UI / "favicon-32x32.png": "image/png",
}


def add_files(app: web.Application) -> None:
    """Build the description, and serve the viewer's files under /docs/."""
    document = msgspec.json.encode(openapi.build(routes.ROUTES))
    app[documents.DESCRIPTION] = documents.Description(msgspec.Raw(document), answers.etag_of(document))
    for path, media_type in _FILES.items():
        app.router.add_get(f"/docs/{path.name}", _file(path, media_type))


def _file(path: Path, media_type: str) -> Callable[[web.Request], Awaitable[web.FileResponse]]:
    # Asked anew each time, a browser learns by ETag that it has the file, and of a new version at once.
    headers = {"Content-Type": media_type, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}

    async def serve(request: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers=headers)

    return serve
