"""What schemathesis cannot know of an API: that some values may come only once."""

import itertools
import re

import schemathesis

NUMBERS = itertools.count(1)
KEY = re.compile(r"[ -~]{1,255}")


@schemathesis.hook
def before_call(context, case, kwargs):
    """The same key with another body is refused by contract; each call gets a key of its own, unless what it sends is meant to be none."""
    headers = case.headers or {}
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and KEY.fullmatch(key):
        headers["Idempotency-Key"] = f"{key[:240]}-{next(NUMBERS)}"
    body = case.body
    if case.operation.path == "/chat-message" and isinstance(body, dict):
        name = body.get("message_id")
        if isinstance(name, str) and KEY.fullmatch(name):
            body["message_id"] = f"{name[:240]}-{next(NUMBERS)}"
