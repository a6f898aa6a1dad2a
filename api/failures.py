"""Failures: what a request is answered with when a part of the deployment, or this code, has failed."""

import logging
import secrets

from aiohttp import web

from api import problems
from api.answer import Answer
from api.call import language_of
from engine.failures import fit_to_log
from engine.ledger.protocol import Unavailable
from engine.live.server import NothingRan, Unknown

logger = logging.getLogger(__name__)


def problem(error: Exception, request: web.BaseRequest) -> Answer:
    """The answer to a request whose handler raised; whoever is asked about an `internal` one finds it by its id."""
    if isinstance(error, NothingRan | Unavailable):
        logger.warning("not ready: %s", error)
        return problems.response("not_ready", language_of(request))
    if isinstance(error, Unknown):
        logger.warning("outcome unknown: %s", error)
        return problems.response("unknown", language_of(request))
    request_id = secrets.token_hex(8)
    logger.error("request %s failed: %s", request_id, fit_to_log(error))
    return problems.response("internal", language_of(request), request_id, request_id=request_id)
