"""Failures that nobody foresaw, as they may be told."""

import traceback


def fit_to_log(error: BaseException) -> str:
    """The kind of an error and where it was raised; its message may quote what is personal or secret."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
