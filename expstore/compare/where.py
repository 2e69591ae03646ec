"""The language in which experiments are selected: its syntax.

    lr < 0.01 and val/loss:min < 0.3 and (job ~ 'resnet*' or tag == baseline) and created > 30d

An expression is made of comparisons, `and`, `or`, `not` and parentheses. `not` binds the tightest,
then `and`. A comparison is a name, an operator (`==`, `!=`, `<`, `<=`, `>`, `>=`, `~`, `!~`, `in`,
`not in`) and a value, or for `in` and `not in` a list of values in parentheses.

A name is a bare word, or any text in backticks (a backtick in it is doubled); `naming` says what it
means. A value is a bare word, or any text in quotes (such a quote in it is doubled); `conditions`
says how values are compared. `and`, `or`, `not` and `in` are not bare words, in either case.

Guarantees: `parse` gives the same expression for `str(expression)`. A text that is no expression
is a `WhereError`, which says at which column what was expected.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Literal

from expstore.compare.expression import Comparison, Expression, Junction, Name, Not, Value
from expstore.errors import WhereError
from expstore.extras import require

_WORD = r"[^\s()'\"`,<>=!~&|]"
_END = f"(?!{_WORD})"
_GRAMMAR = rf"""
?any: all (_OR all)*
?all: one (_AND one)*
?one: _NOT one -> negation
    | _OPEN any _CLOSE -> group
    | name OPERATOR value -> comparison
    | name NOT_IN _OPEN value (_COMMA value)* _COMMA? _CLOSE -> choice
    | name IN _OPEN value (_COMMA value)* _COMMA? _CLOSE -> choice
name: WORD | BACKTICKED
value: WORD | QUOTED
OPERATOR: "==" | "!=" | "<=" | ">=" | "<" | ">" | "!~" | "~" | "="
_OPEN: "("
_CLOSE: ")"
_COMMA: ","
_OR.3: /or{_END}/i
_AND.3: /and{_END}/i
NOT_IN.4: /not\s+in{_END}/i
_NOT.3: /not{_END}/i
IN.3: /in{_END}/i
BACKTICKED.2: /(?:(?:param|metric|field)\.)?`(?:[^`]|``)+`(?::(?:last|min|max){_END})?/
QUOTED: /'(?:[^']|'')*'|"(?:[^"]|"")*"/
WORD: /{_WORD}+/
%ignore /\s+/
"""
_BACKTICKED = re.compile(r"(?:(\w+)\.)?`(.*)`(?::(\w+))?", re.DOTALL)
_DEEPEST = 50  # levels of parentheses and `not`
_LONGEST = 100_000  # characters
_EXPECTED = {
    "WORD": "a word",
    "QUOTED": "text in quotes",
    "BACKTICKED": "a name in backticks",
    "OPERATOR": "an operator (== != < <= > >= ~ !~ in)",
    "_OPEN": "`(`",
    "_CLOSE": "`)`",
    "_COMMA": "a comma",
    "_AND": "`and`",
    "_OR": "`or`",
    "_NOT": "`not`",
    "$END": "the end",
}
_INSTEAD = {
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    "'": "this quote is not closed",
    '"': "this quote is not closed",
    "`": "this backtick is not closed",
}


def parse(text: str) -> Expression:
    """The expression that a text is.

    Raises:
        WhereError: it is none.
        MissingExtraError: the extra `where` is not installed.
    """
    lark = require("lark", "where")
    if len(text) > _LONGEST:
        raise WhereError(f"longer than {_LONGEST:,} characters", text, _LONGEST + 1)
    if not text.strip():
        raise WhereError("expected a comparison, such as lr < 0.01, not nothing", text, 1)
    try:
        tree = _parser().parse(text)
    except lark.exceptions.UnexpectedCharacters as error:
        problem = _INSTEAD.get(error.char, "is not expected here")
        wrong = WhereError(f"{error.char}: {problem}", text, error.pos_in_stream + 1)
    except lark.exceptions.UnexpectedToken as error:
        wrong = _unexpected(error, text)
    else:
        return _built(tree, text, 0)
    raise wrong  # here, without the parser's error as its context, which does not pickle


@cache
def _parser() -> Any:
    lark = require("lark", "where")
    # The basic lexer reserves the keywords everywhere, so that `lr < and x == 3` is an error.
    return lark.Lark(_GRAMMAR, parser="lalr", lexer="basic", start="any")


def _unexpected(error: Any, text: str) -> WhereError:
    """The error for a token that cannot be where it is, or for a text that ends too soon."""
    accepted, token = error.accepts or {"_AND", "_OR", "$END"}, error.token
    ended = token.type == "$END"
    column = len(text.rstrip()) + 1 if ended else token.start_pos + 1
    if "QUOTED" in accepted:
        expected = "a value: a word, a number, or text in quotes"
        if token.type == "BACKTICKED":
            expected += " (backticks are for names)"
    elif "BACKTICKED" in accepted:
        expected = "a name, `not` or `(`"
        if token.type == "QUOTED":
            expected += " (a name with odd characters is in backticks)"
    elif "OPERATOR" in accepted:
        expected = _EXPECTED["OPERATOR"]
    else:
        known = [shown for kind, shown in _EXPECTED.items() if kind in accepted]
        expected = ", ".join(known[:-1]) + " or " * (len(known) > 1) + "".join(known[-1:])
        if token.type == "OPERATOR":
            expected += " (a range is two comparisons: lr > 0.001 and lr < 0.01)"
    found = "the end" if ended else repr(str(token))
    return WhereError(f"expected {expected}, found {found}", text, column)


def _built(tree: Any, text: str, depth: int) -> Expression:
    """The expression of a syntax tree, without parentheses that change nothing."""
    kind, parts = str(tree.data), tree.children
    if kind in ("group", "negation"):
        if depth >= _DEEPEST:
            raise WhereError(f"more than {_DEEPEST} levels of parentheses and `not`", text, 1)
        inner = _built(parts[0], text, depth + 1)
        return inner if kind == "group" else Not(inner)
    if kind in ("any", "all"):
        built = [_built(part, text, depth) for part in parts]
        return joined("or" if kind == "any" else "and", built)
    name, operator, *values = parts
    spelled = str(operator).lower()
    negated = spelled[0] in "!n"
    plain = {"!=": "==", "=": "==", "!~": "~", "in": "in"}
    meant: Any = "in" if kind == "choice" else plain.get(spelled, spelled)
    return Comparison(_name(name.children[0]), meant, tuple(map(_value, values)), negated)


def joined(word: Literal["and", "or"], parts: list[Expression]) -> Expression:
    """The parts joined by a word; parts that are joined by the same word become one list."""
    flat: list[Expression] = []
    for part in parts:
        same = isinstance(part, Junction) and part.word == word
        flat += part.parts if isinstance(part, Junction) and same else [part]
    return Junction(word, tuple(flat))


def _name(token: Any) -> Name:
    column = token.start_pos + 1
    if token.type == "WORD":
        return Name(str(token), column=column)
    match = _BACKTICKED.fullmatch(str(token))
    assert match is not None
    prefix, text, aspect = match.groups("")
    return Name(text.replace("``", "`"), True, prefix, aspect, column)


def _value(tree: Any) -> Value:
    (token,) = tree.children
    text, column = str(token), token.start_pos + 1
    if token.type == "WORD":
        return Value(text, column=column)
    return Value(text[1:-1].replace(text[0] * 2, text[0]), True, column)
