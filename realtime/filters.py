"""The filter language: one class per operator, each with its help; a filter is words that must all be true.

    type:response.*  -type:*.delta  dir:sent  is:error  item:item_AbC  response:resp_XyZ  speech  "paris"

A word without an operator, or words in quotes, are looked for in the type, in what the console noted and in the whole
frame but its sound. A ``-`` in front turns a word round. Each term says its condition as data (``where``), so that a
database can be asked the same.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

from realtime.audio import split
from realtime.errors import InvalidFilter
from realtime.lines import level
from realtime.timeline import Entry, Leg, Origin, is_stream

Lookup = tuple[str, str, object]
"""A field of a stored entry, a way to compare (``exact``, ``regex``, ``icontains``, ``gt``, ``lt``, ``isnull``), a value.
``data__NAME`` is a fact of an entry's ``data``, ``payload`` its frame without the sound; for a row any that it gathers."""

_WORD = re.compile(r'\s*(-?)([a-z]+:)?(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))', re.DOTALL)
"""One word: its sign, its operator, and its value in quotes or bare."""
_BARE = re.compile(r'[^\s"]+')
"""A value that needs no quotes after an operator."""
_BARE_WORD = re.compile(r'-|(?!-|[a-z]+:)[^\s"]+')
"""A value that needs no quotes without one."""
MOST_US = 2**31 - 1
"""Microseconds a database can compare with: 35 minutes."""
MOST_STARS = 4
"""A glob with more takes long to try on long names, and is a mistake."""


@dataclass(frozen=True)
class Condition:
    """What a term asks of a stored entry: any of these, or none of them."""

    any_of: tuple[Lookup, ...]
    negated: bool


@dataclass(frozen=True)
class Term(ABC):
    """One word of a filter."""

    value: str
    negated: bool = False
    name: ClassVar[str] = ""
    help: ClassVar[str] = ""

    def check(self) -> None:  # noqa: B027  (most operators take any value)
        """Raise InvalidFilter when the value makes no sense for this operator."""

    @abstractmethod
    def lookups(self) -> tuple[Lookup, ...]:
        """The condition without its sign."""

    @abstractmethod
    def holds(self, entry: Entry) -> bool:
        """Whether an entry meets the condition, without its sign."""

    def matches(self, entry: Entry) -> bool:
        """Whether an entry is let through."""
        return self.holds(entry) is not self.negated

    def where(self) -> Condition:
        """The same, as data."""
        return Condition(self.lookups(), self.negated)

    def __str__(self) -> str:
        bare = (_BARE if self.name else _BARE_WORD).fullmatch(self.value)
        value = self.value if bare else '"' + re.sub(r'(["\\])', r"\\\1", self.value) + '"'
        return f"{'-' if self.negated else ''}{self.name + ':' if self.name else ''}{value}"


class Type(Term):
    """``type:response.*``"""

    name = "type"
    help = "type:GLOB — events of a type; * stands for anything"

    def check(self) -> None:
        """A glob has a few stars."""
        if len(re.findall(r"\*+", self.value)) > MOST_STARS:
            raise InvalidFilter(f'"{self}": a type can have {MOST_STARS} stars at most.')

    def lookups(self) -> tuple[Lookup, ...]:
        """A type without stars is compared as it is; with stars in words that Python and PostgreSQL both read."""
        if "*" not in self.value:
            return (("type", "exact", self.value),)
        return (("type", "regex", f"^{'.*'.join(re.escape(part) for part in re.split(r'[*]+', self.value))}$"),)

    def holds(self, entry: Entry) -> bool:
        """Case matters, as on the wire."""
        [(_, how, value)] = self.lookups()
        return bool(re.search(str(value), entry.type)) if how == "regex" else entry.type == value


class Direction(Term):
    """``dir:sent``"""

    name = "dir"
    help = "dir:sent, dir:received or dir:console — which way it went"

    def check(self) -> None:
        """Three directions there are."""
        if self.value not in ("sent", "received", "console"):
            raise InvalidFilter(f'"{self}": a direction is sent, received or console.')

    def lookups(self) -> tuple[Lookup, ...]:
        """Stored as it is."""
        return (("direction", "exact", self.value),)

    def holds(self, entry: Entry) -> bool:
        """As it was placed."""
        return entry.direction == self.value


class OnLeg(Term):
    """``leg:client``"""

    name = "leg"
    help = "leg:client or leg:upstream — which side of the relay; without a relay all is upstream"

    def check(self) -> None:
        """Two legs there are."""
        if self.value not in get_args(Leg):
            raise InvalidFilter(f'"{self}": a leg is {_listed(get_args(Leg))}.')

    def lookups(self) -> tuple[Lookup, ...]:
        """Stored as it is."""
        return (("leg", "exact", self.value),)

    def holds(self, entry: Entry) -> bool:
        """As it was placed."""
        return entry.leg == self.value


class By(Term):
    """``origin:composer``"""

    name = "origin"
    help = "origin:app, origin:browser, origin:composer, origin:tool, origin:console or origin:api — who said it"

    def check(self) -> None:
        """Only these."""
        if self.value not in get_args(Origin):
            raise InvalidFilter(f'"{self}": an origin is {_listed(get_args(Origin))}.')

    def lookups(self) -> tuple[Lookup, ...]:
        """Stored as it is."""
        return (("origin", "exact", self.value),)

    def holds(self, entry: Entry) -> bool:
        """As it was placed."""
        return entry.origin == self.value


class Added(Term):
    """``added:>1ms``"""

    name = "added"
    help = "added:>1ms, added:<200us — how long the relay had a frame; of a fold, its first"
    _VALUE: ClassVar[re.Pattern[str]] = re.compile(r"([<>])([0-9]{1,9})(us|µs|ms|s)")
    _UNITS: ClassVar[dict[str, int]] = {"us": 1, "µs": 1, "ms": 1000, "s": 1_000_000}

    def check(self) -> None:
        """More or less than so many microseconds, milliseconds or seconds."""
        found = self._VALUE.fullmatch(self.value)
        if found is None or int(found[2]) * self._UNITS[found[3]] > MOST_US:
            raise InvalidFilter(f'"{self}": after added: comes > or < and a time such as 200us, 1ms or 2s.')

    def _limit(self) -> tuple[str, int]:
        found = self._VALUE.fullmatch(self.value)
        assert found is not None  # checked
        return found[1], int(found[2]) * self._UNITS[found[3]]

    def lookups(self) -> tuple[Lookup, ...]:
        """Kept in microseconds; what was not relayed, or never left, has none."""
        sign, limit = self._limit()
        return (("added_us", "gt" if sign == ">" else "lt", limit),)

    def holds(self, entry: Entry) -> bool:
        """Of what was relayed and has left."""
        sign, limit = self._limit()
        added = entry.transit.added_us if entry.transit is not None else None
        return added is not None and (added > limit if sign == ">" else added < limit)


class Is(Term):
    """``is:error``"""

    name = "is"
    help = (
        "is:error, is:warning, is:note, is:fold, is:audio, is:changed, is:withheld, is:refused or is:binary — what it is, "
        "or what the relay did with it"
    )
    _LOOKUPS: ClassVar[dict[str, Lookup]] = {
        "error": ("level", "exact", "error"),
        "warning": ("level", "exact", "warning"),
        "note": ("kind", "exact", "note"),
        "fold": ("fold_count", "gt", 1),
        "audio": ("audio_ms", "gt", 0),
        "changed": ("pair", "isnull", False),
        "withheld": ("data__withheld", "isnull", False),
        "refused": ("data__refused", "isnull", False),
        "binary": ("data__binary", "isnull", False),
    }

    def check(self) -> None:
        """Only these."""
        if self.value not in self._LOOKUPS:
            raise InvalidFilter(f'"{self}": after is: comes {", ".join(self._LOOKUPS)}.')

    def lookups(self) -> tuple[Lookup, ...]:
        """A column each."""
        return (self._LOOKUPS[self.value],)

    def holds(self, entry: Entry) -> bool:
        """Judged from the entry alone; a fold is what can be one."""
        if self.value in ("error", "warning"):
            return level(entry) == self.value
        if self.value == "note":
            return entry.kind == "note"
        if self.value == "changed":
            return entry.pair is not None
        if self.value in ("withheld", "refused", "binary"):
            return self.value in entry.data
        return is_stream(entry.type) and (self.value == "fold" or ("audio" in entry.type and "transcript" not in entry.type))


class Item(Term):
    """``item:ID``"""

    name = "item"
    help = "item:ID — what belongs to a conversation item"

    def lookups(self) -> tuple[Lookup, ...]:
        """Stored as it is."""
        return (("item_id", "exact", self.value),)

    def holds(self, entry: Entry) -> bool:
        """The event's own item id."""
        return entry.event is not None and entry.event.item_id == self.value


class Response(Term):
    """``response:ID``"""

    name = "response"
    help = "response:ID — what belongs to a response"

    def lookups(self) -> tuple[Lookup, ...]:
        """Stored as it is."""
        return (("response_id", "exact", self.value),)

    def holds(self, entry: Entry) -> bool:
        """The event's own response id."""
        return entry.event is not None and entry.event.response_id == self.value


class Word(Term):
    """``speech``, ``"two words"``"""

    help = 'paris, "in Paris" — anywhere: in the type, in the frame but its sound, in what the console noted'

    def _cases(self) -> list[str]:
        """The word in the cases to ask for: of all but ASCII a database may not know that two letters are the same."""
        cases = (self.value,) if self.value.isascii() else (self.value, self.value.lower(), self.value.upper())
        return list(dict.fromkeys(cases))

    def _in_json(self) -> list[str]:
        """As the word may be written in a frame: some escape all but ASCII, nobody leaves a quotation mark as it is."""
        escaped = (json.dumps(case, ensure_ascii=ascii)[1:-1] for case in self._cases() for ascii in (False, True))
        return list(dict.fromkeys((*self._cases(), *escaped)))

    def lookups(self) -> tuple[Lookup, ...]:
        """Type, note or frame."""
        noted: list[Lookup] = [("text", "icontains", case) for case in self._cases()]
        payload: list[Lookup] = [("payload", "icontains", form) for form in self._in_json()]
        return (("type", "icontains", self.value), *noted, *payload)

    def holds(self, entry: Entry) -> bool:
        """Case does not matter."""
        payload = split(entry.event.raw, entry.type).text if entry.event is not None else ""
        places = ((entry.type, [self.value]), (entry.text, self._cases()), (payload, self._in_json()))
        return any(form.lower() in text.lower() for text, forms in places for form in forms)


OPERATORS: tuple[type[Term], ...] = (Type, Direction, Is, Item, Response, OnLeg, By, Added)
HELP = [*(operator.help for operator in OPERATORS), Word.help]


@dataclass(frozen=True)
class Filter:
    """A parsed filter. Without terms it lets everything through."""

    terms: Sequence[Term] = ()

    def matches(self, entry: Entry) -> bool:
        """Whether every term lets the entry through."""
        return all(term.matches(entry) for term in self.terms)

    def __str__(self) -> str:
        return " ".join(str(term) for term in self.terms)


def parse(text: str) -> Filter:
    """Read a filter. Raises InvalidFilter, naming the word that cannot be read."""
    terms: list[Term] = []
    end = 0
    while text[end:].strip():
        found = _WORD.match(text, end)
        assert found is not None  # every part of it may be missing
        sign, name, quoted, bare = found.groups()
        word = found.group().strip()
        if not word:
            raise InvalidFilter(f"A quotation mark is missing its partner: {text}")
        end = found.end()
        if word == "-":
            sign, bare = "", "-"
        operator = next((operator for operator in OPERATORS if f"{operator.name}:" == name), Word)
        if name and operator is Word:
            raise InvalidFilter(f'"{word}": there is no operator "{name}"; there are {_names()}.')
        term = operator(bare if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted), bool(sign))
        if not term.value:
            raise InvalidFilter(f'"{word}": something must follow{" the colon" if name else ""}.')
        term.check()
        terms.append(term)
    return Filter(tuple(terms))


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _names() -> str:
    return ", ".join(f"{operator.name}:" for operator in OPERATORS)
