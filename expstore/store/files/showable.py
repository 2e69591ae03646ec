"""URLs, and texts that contain them, without their secrets.

Guarantees: this is the one place that decides what of a URL may be shown. User information, queries
and fragments never are; nor are a store's passwords, tokens and keys in a text that a library
wrote, whether they came from the URL or from the options, in the usual encodings.
"""

from __future__ import annotations

import base64
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl, quote, unquote

HIDDEN = "***"
# One slash is enough, since Path collapses two into one.
_URL = r"[A-Za-z][A-Za-z0-9+.-]*:/{1,2}"
# Up to the last @ before the path; if what follows the first colon is no port, a password may also
# contain slashes.
_USER = re.compile(rf"({_URL})((?![^/@\s:]*:\d*(?:[/?#\s]|$))[^/@\s:]*:[^\s]*|[^/?#\s]*)@")
_QUERY = re.compile(rf"({_URL}[^\s?#]*[?#])[^\s'\"<>]+")
_SENSITIVE = re.compile(
    "pass|pwd|secret|token|key|auth|cred|cookie|header|sign|sas|account|user|connection_string",
    re.IGNORECASE,
)
_SHORTEST = 3  # characters of a secret that is looked for in other texts
_WHOLE_WORD = 8  # a shorter one counts only as a word, lest it take parts of others


def showable(text: str) -> str:
    """The URL, or the text with URLs, without user information, queries and fragments."""
    return _QUERY.sub(rf"\1{HIDDEN}", _USER.sub(rf"\1{HIDDEN}@", text))


class Secrets:
    """The secrets with which a store is reached.

    Args:
        url: its URL, perhaps with user information.
        options: those of its file system; values count as secret by the names of their keys.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        known: set[str] = set()
        for raw in (*_of_url(url), *_of_options(options or {}, secret=False)):
            plain = unquote(raw)
            encoded = base64.b64encode(plain.encode("utf-8", "surrogateescape")).decode("ascii")
            quoted = {quote(text, safe=safe) for text in (raw, plain) for safe in ("", "/")}
            known |= {raw, plain, *quoted, encoded, repr(plain)[1:-1]}
        words = sorted((w for w in known if len(w) >= _SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_pattern, words))) if words else None

    def mask(self, text: str) -> str:
        """The text without secrets."""
        text = showable(text)
        return self._pattern.sub(HIDDEN, text) if self._pattern else text

    def translate(self, error: Exception, kind: type[Exception], where: str) -> NoReturn:
        """Raise an error of another kind in place of one that a library raised.

        It keeps the library's error as its cause only if no secret is in that one's traceback.
        """
        told = "".join(traceback.format_exception(error))
        clean = self.mask(told) == told
        shown = kind(f"{where}: {self.mask(str(error)) or type(error).__name__}")
        try:
            raise shown from (error if clean else None)
        except kind:
            if not clean:
                shown.__context__ = None  # it is not shown, but goes to other processes
            raise


def public_options(options: Any) -> Any:
    """Options without secrets, and with types in place of objects, in a form that JSON can hold."""
    if isinstance(options, Mapping):
        return {
            str(key): public_options(value)
            for key, value in options.items()
            if not _SENSITIVE.search(str(key))
        }
    if isinstance(options, str):
        return showable(options)
    if isinstance(options, list | tuple):
        return [public_options(value) for value in options]
    plain = options is None or isinstance(options, bool | int | float)
    return options if plain else type(options).__qualname__


def _pattern(word: str) -> str:
    edges = ("", "") if len(word) >= _WHOLE_WORD else (r"(?<!\w)", r"(?!\w)")
    return re.escape(word).join(edges)


def _of_url(url: str) -> Iterator[str]:
    for _, user in _USER.findall(url):
        name, _, password = user.partition(":")
        yield user
        yield password
        if len(name) >= _WHOLE_WORD or not password:  # a token; a short name is in many texts
            yield name
    for query in re.findall(r"[?#]([^\s?#]*)", url):
        yield query
        yield from (value for _, value in parse_qsl(query))
        yield from (part.partition("=")[2] for part in query.split("&"))


def _of_options(value: Any, *, secret: bool) -> Iterator[str]:
    """The texts in options that have, or are in something that has, a sensitive name."""
    if isinstance(value, str | bytes):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if secret:
            yield text
            yield from text.split()  # `Bearer abc`
        else:
            yield from _of_url(text)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            sensitive = isinstance(key, str) and _SENSITIVE.search(key)
            yield from _of_options(item, secret=secret or bool(sensitive))
    elif isinstance(value, Iterable):
        for item in value:
            yield from _of_options(item, secret=secret)
