"""The files of the page at /docs: Swagger UI, which the server brings itself."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import swagger_ui_bundle  # type: ignore[import-untyped]
from aiohttp import web

from api.call import Call
from api.handlers import documents
from api.routes import Route

_SWAGGER_UI: Final = Path(swagger_ui_bundle.swagger_ui_path)
_FILES: Final = {
    documents.STATIC / "viewer.js": "text/javascript",
    _SWAGGER_UI / "swagger-ui-bundle.js": "text/javascript",
    _SWAGGER_UI / "swagger-ui.css": "text/css",
    _SWAGGER_UI / "favicon-32x32.png": "image/png",
}


def _file(path: Path, media_type: str) -> Callable[[Call], Awaitable[web.FileResponse]]:
    # Asked anew each time, a browser learns by ETag that it has the file, and of a new version at once.
    headers = {"Content-Type": media_type, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}

    async def serve(call: Call) -> web.FileResponse:
        return web.FileResponse(path, headers=headers)

    return serve


ROUTES: Final = tuple(
    Route("GET", f"/docs/{path.name}", _file(path, media_type), "A file of the viewer", {200: media_type})
    for path, media_type in _FILES.items()
)
"""Not in the description: they are the viewer's own."""
