"""The description of the api, and the page that shows it."""

from pathlib import Path
from string import Template
from typing import Final

from api import answers
from api.answer import Answer
from api.call import Call
from engine.domain.faults import Language

STATIC: Final = Path(__file__).parents[1] / "static" / "docs"

# The viewer brings scripts and styles of its own; whatever a description might hold, nothing else is run or asked.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
}
_WORDS: Final[dict[Language, dict[str, str]]] = {
    "zh": {
        "lang": "zh-CN",
        "title": "seatrush 接口说明",
        "without_script": '浏览本页需要启用 JavaScript；说明文档见 <a href="openapi.json">openapi.json</a>。',
    },
    "en": {
        "lang": "en",
        "title": "seatrush API",
        "without_script": 'This page needs JavaScript; the description is in <a href="openapi.json">openapi.json</a>.',
    },
}
_TEMPLATE: Final = Template((STATIC / "index.html").read_text(encoding="utf-8"))
_PAGES: Final = {language: _TEMPLATE.substitute(words).encode() for language, words in _WORDS.items()}


async def openapi_json(call: Call) -> Answer:
    """GET /openapi.json."""
    description = call.api.description
    return answers.cached(call, description.body, description.etag)


async def viewer(call: Call) -> Answer:
    """GET /docs."""
    headers = _PAGE_HEADERS | {"Content-Language": _WORDS[call.language]["lang"]}
    return Answer(200, _PAGES[call.language], headers, "text/html; charset=utf-8")
