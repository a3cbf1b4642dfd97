# SPDX-License-Identifier: MIT
"""Finds in C++ text what a mutant can take out: argument checks, flushes and rollbacks.

This reads the project's own conventions (CONTRIBUTING.md), not all of C++:

    check      if (condition) return Failure{...};     also with braces around the return
    flush      a statement that calls flush_*, invalidate* or .spend(
    rollback   a statement that calls undo_* or roll_back_*
"""

import dataclasses
import re

KINDS = ("check", "flush", "rollback")
FLUSH = r"(?:flush_\w*|invalidate\w*)|(?<=[.>])spend"
ROLLBACK = r"undo_\w+|roll_back_\w+"
CALL = re.compile(rf"\b(?:(?P<flush>{FLUSH})|(?P<rollback>{ROLLBACK}))\s*\(")
FAILING_RETURN = re.compile(r"return\s+(?:quire::)?(?:Failure\s*[{(]|Error::)")


@dataclasses.dataclass
class Site:
    kind: str
    file: str
    line: int
    function: str
    text: str  # the statement or the check, white space made single
    # The edit: what is inserted before `begin` and before `end`, with {on} for the switch.
    begin: int
    end: int
    before: str
    after: str
    number: int = 0
    occurrence: int = 1  # among sites of equal kind, function and text

    @property
    def key(self):
        return (self.file, self.function, self.kind, self.text, self.occurrence)


@dataclasses.dataclass
class Unclear:
    """A call that looks like a flush or a rollback, in a form that cannot be taken out."""

    file: str
    line: int
    text: str


def mask(text):
    """The text with comments, literals and preprocessor lines blanked, at equal length."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])

    def literal(match):
        return match[0][0] + " " * (len(match[0]) - 2) + match[0][-1]

    pattern = re.compile(
        r"//[^\n]*|/\*.*?\*/|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*"
        r"|\"(?:\\.|[^\"\\\n])*\"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
        re.DOTALL | re.MULTILINE,
    )
    return pattern.sub(lambda m: literal(m) if m[0][0] in "\"'" else blank(m), text)


def matching(text, at, step=1):
    """The index of the bracket that matches the one at `at`."""
    opening, closing = ("([{", ")]}") if step > 0 else (")]}", "([{")
    depth = 0
    while 0 <= at < len(text):
        if text[at] in opening:
            depth += 1
        elif text[at] in closing:
            depth -= 1
            if depth == 0:
                return at
        at += step
    return -1


def strip_groups(header):
    """A declaration without what stands in brackets, templates' parameters and requirements."""
    header = re.sub(r"\btemplate\s*<", "<", header)
    for _ in range(8):
        shorter = re.sub(r"<[^<>()]*>", " ", header)
        if shorter == header:
            break
        header = shorter
    return header


NOT_A_NAME = set("requires noexcept decltype alignas sizeof if for while switch".split())
FUNCTION_HEAD = re.compile(
    r"operator\s*(?:\(\s*\)|[^\s\w(]+)\s*\(|((?:[\w~]+\s*::\s*)*~?\w+)\s*\(|\(|\)"
)


def function_name(header):
    """The qualified name in a function's header, or None when it is no function's."""
    text = strip_groups(header)
    if not text.rstrip():
        return None
    depth = 0
    for match in FUNCTION_HEAD.finditer(text):
        if match[0] == ")":
            depth -= 1
            continue
        if depth == 0 and match[0] != "(":
            name = re.sub(r"\s+", "", match[0][:-1])
            if name.split("::")[-1] not in NOT_A_NAME and "__attribute__" not in name:
                return name
        depth += 1
    return None


@dataclasses.dataclass
class Scope:
    kind: str  # namespace, type, function, block, value
    name: str
    begin: int


def open_scope(header, stack):
    """The kind and name of the scope that a '{' after this header opens."""
    inside = any(s.kind in ("function", "block") for s in stack)
    text = header.strip()
    if inside:
        # Blocks, lambdas, local types and braced values differ in nothing that matters here,
        # save that the latter hold no statements.
        is_value = bool(re.search(r"(?:[\w>=,({]|\breturn)$", text)) and not re.search(
            r"\b(?:else|do|try|mutable|noexcept|const)$", text
        )
        if re.search(r"\)\s*(?:mutable|noexcept|constexpr)*\s*(?:->\s*[\w:<>*& ]+)?$", text):
            is_value = False
        if re.search(r"\]\s*$", text) or re.search(r"\b(?:struct|class|union|enum)\b[^()]*$", text):
            is_value = False
        return ("value", "") if is_value else ("block", "")
    if re.search(r"\bnamespace\b[\w:\s]*$", text) or re.search(r"\bextern\s*\"\s*\"$", text):
        return "namespace", ""
    head = strip_groups(text)
    head = re.sub(r"\[\[.*?\]\]|\balignas\s*\([^()]*\)", " ", head)
    match = re.search(r"\b(?:class|struct|union|enum(?:\s+class)?)\b\s*(\w*)", head)
    if match and "(" not in head[match.start() :].split(":")[0]:
        return "type", match[1]
    name = function_name(text)
    if name and re.search(r"[)\w\]>}]$", text) and not re.search(r"=\s*$|=\s*[\w:<>]+$", text):
        return "function", name
    return "value", ""


def scopes(masked):
    """(qualified name, position of '{', position of '}') of every function body."""
    stack, bodies = [], []
    last = 0  # where the header of the next '{' starts
    parens = 0
    at = 0
    while at < len(masked):
        char = masked[at]
        if char == "(":
            parens += 1
        elif char == ")":
            parens -= 1
        if char == "{":
            kind, name = open_scope(masked[last:at], stack)
            # A braced member initialiser is no body: the header goes on after it.
            tail = masked[last:at].replace("::", "  ").rstrip()
            if kind == "function" and re.search(r"[)\s]:[^;]*[\w>]$", tail):
                if not re.search(r"\b(?:const|noexcept|override|final|mutable)$", tail):
                    at = matching(masked, at) + 1
                    continue
            stack.append(Scope(kind, name, at))
            last, parens = at + 1, 0
        elif char == "}":
            if stack:
                scope = stack.pop()
                if scope.kind == "function":
                    types = [s.name for s in stack if s.kind == "type" and s.name]
                    bodies.append(("::".join(types + [scope.name]), scope.begin, at))
            last, parens = at + 1, 0
        elif char == ";" and parens <= 0:
            last = at + 1
        at += 1
    return sorted(bodies, key=lambda body: body[1])


def one_space(text):
    """Without comments, and on one line."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", text).strip()


def find_checks(text, masked, begin, end):
    """(start, condition's start and end, whole end) of each check in a body."""
    for match in re.finditer(r"\bif\s*\(", masked[begin:end]):
        start = begin + match.start()
        paren = begin + match.end() - 1
        close = matching(masked, paren)
        rest = re.compile(r"\s*(?P<brace>\{\s*)?").match(masked, close + 1)
        statement = FAILING_RETURN.match(masked, rest.end())
        if not statement:
            continue
        stop = rest.end()
        while masked[stop] != ";":
            stop = matching(masked, stop) + 1 if masked[stop] in "({[" else stop + 1
        if rest["brace"] and masked[stop + 1 :].lstrip()[:1] != "}":
            continue
        # `if (auto x = f(); condition)`: the switch belongs to the condition.
        condition = paren + 1
        depth = 0
        for at in range(paren + 1, close):
            depth += (masked[at] in "([{") - (masked[at] in ")]}")
            if masked[at] == ";" and depth == 0:
                condition = at + 1
        yield start, condition, close, stop + 1


def find_statement(masked, body_begin, at):
    """Start of the statement that holds position `at`, or None when that is inside brackets."""
    index = at - 1
    while index > body_begin:
        char = masked[index]
        if char in ";{}":
            break
        if char in "([":
            return None
        if char in ")]":
            index = matching(masked, index, -1)
        index -= 1
    start = index + 1
    while True:
        match = re.compile(
            r"\s*(?:else\b(?!\s*if)|(?:else\s+)?(?:if|for|while|switch)\s*(?:constexpr\s*)?(?=\()"
            r"|(?:case\b(?:[^:;?]|::)*|default)\s*:(?!:)|do\b)"
        ).match(masked, start)
        if not match:
            break
        start = match.end()
        if masked[start : start + 1] == "(":
            start = matching(masked, start) + 1
            if start > at:
                return None
    return start + len(masked[start:]) - len(masked[start:].lstrip())


EXPRESSION = re.compile(r"^(?:\(void\)\s*|static_cast<void>\(\s*)?[\w:.\->\[\]()*&\s]*$")
DECLARATION = re.compile(r"^(?:return|throw|co_return|auto|const|static|constexpr|using)\b")


def find_sites(text, file):
    """(sites, unclear calls) of one file."""
    masked = mask(text)
    sites, unclear = [], []

    def line_of(at):
        return text.count("\n", 0, at) + 1

    for name, begin, end in scopes(masked):
        for start, condition, close, stop in find_checks(text, masked, begin, end):
            sites.append(
                Site(
                    "check", file, line_of(start), name, one_space(text[start:stop]),
                    condition, close, "(!{on}) && (", ")",
                )
            )  # fmt: skip
        for match in CALL.finditer(masked, begin, end):
            kind = "flush" if match["flush"] else "rollback"
            start = find_statement(masked, begin, match.start())
            stop = masked.find(";", matching(masked, match.end() - 1))
            if start is None:
                at = masked.rfind("\n", 0, match.start()) + 1
                unclear.append(Unclear(file, line_of(match.start()), one_space(text[at:stop])))
                continue
            statement = text[start : stop + 1]
            head = masked[start : match.start()]
            declares = DECLARATION.match(head) or re.search(r"[\w>&*]\s+$", head)
            if declares or not EXPRESSION.match(head):
                unclear.append(Unclear(file, line_of(start), one_space(statement)))
                continue
            sites.append(
                Site(
                    kind, file, line_of(start), name, one_space(statement),
                    start, stop + 1, "{{ if (!{on}) {{ ", " }} }}",
                )
            )  # fmt: skip
    sites.sort(key=lambda site: (site.begin, -site.end))
    seen = {}
    for site in sites:
        same = (site.function, site.kind, site.text)
        site.occurrence = seen[same] = seen.get(same, 0) + 1
    return sites, unclear


def mutate(text, sites):
    """The text with each site under its switch."""
    inserts = []
    for site in sites:
        on = f"quire_mutant({site.number}u)"
        inserts.append((site.begin, 1, site.before.format(on=on)))
        inserts.append((site.end, 0, site.after.format(on=on)))
    for at, _, words in sorted(inserts, key=lambda item: (item[0], item[1]), reverse=True):
        text = text[:at] + words + text[at:]
    return text
