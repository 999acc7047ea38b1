"""The filter language: what words mean, what they refuse, and that a database is asked the same."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from realtime import filters, lines
from realtime.audio import split
from realtime.errors import InvalidFilter
from realtime.events import parse as parse_event
from realtime.filters import Filter, Lookup, parse
from realtime.timeline import Direction, Entry, Leg, Origin, Transit
from tests.realtime.frames import TYPES, entry, frames


def relayed(seq: int, direction: Direction, leg: Leg, origin: Origin, added: int | None = None, **more: Any) -> Entry:
    """A frame that went through the relay."""
    return Entry(seq, seq, "ev", direction, leg, origin, parse_event('{"type":"a"}'), transit=Transit(added), **more)


LOG = [
    entry({"type": "session.update", "session": {}}, 1, "sent"),
    entry({"type": "input_audio_buffer.append", "audio": "AAAA"}, 2, "sent"),
    entry({"type": "conversation.item.added", "item": {"id": "item_1"}}, 3),
    entry({"type": "response.created", "response": {"id": "resp_1"}}, 4),
    entry({"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "item_2", "delta": "a"}, 5),
    entry({"type": "response.done", "response": {"id": "resp_1", "status": "incomplete"}}, 6),
    entry({"type": "error", "error": {"message": "no"}}, 7),
    Entry(8, 8, "note", note="skip", text="A frame was left out: \"two  words\" of Paris."),
    Entry(9, 9, "note", note="problem", text="The microphone is silent."),
    Entry(10, 10, "close", text="bye", data={"by": "client", "code": 1000}),
    entry({"type": "response.output_audio_transcript.delta", "response_id": "resp_2", "delta": "a"}, 11),
]
RELAYED = [
    relayed(1, "sent", "client", "app", pair=1),
    relayed(2, "sent", "upstream", "app", 70, pair=1),
    relayed(3, "sent", "upstream", "composer"),
    relayed(4, "received", "upstream", "api", data={"withheld": "console"}),
    relayed(5, "sent", "client", "app", data={"refused": "event_not_allowed"}),
    relayed(6, "received", "client", "console", 2000, data={"binary": 960}),
]


def found(text: str) -> list[int]:
    """The entries a filter lets through, by seq."""
    wanted = parse(text)
    return [one.seq for one in LOG if wanted.matches(one)]


@pytest.mark.parametrize(
    ("text", "seqs"),
    [
        ("leg:client", [1, 5, 6]),
        ("leg:upstream dir:sent", [2, 3]),
        ("origin:composer", [3]),
        ("-origin:app -origin:api", [3, 6]),
        ("is:changed", [1, 2]),
        ("is:withheld", [4]),
        ("is:refused", [5]),
        ("is:binary", [6]),
        ("added:>70us", [6]),
        ("added:<1ms", [2]),
        ("-added:>1ms", [1, 2, 3, 4, 5]),
        ("added:<2s", [2, 6]),
    ],
)
def test_words_about_the_relay(text: str, seqs: list[int]) -> None:
    """Which side, who said it, what was changed, withheld or refused, and how long it took."""
    wanted = parse(text)
    assert [one.seq for one in RELAYED if wanted.matches(one)] == seqs


@pytest.mark.parametrize(
    ("text", "seqs"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        ("type:response.*", [4, 5, 6, 11]),
        ("type:*.delta", [5, 11]),
        ("type:*text*", [5]),
        ("type:response.done", [6]),
        ("type:Response.done", []),
        ("type:response", []),
        ("type:response?done", []),
        ("type:response.* -type:*.delta", [4, 6]),
        ("dir:sent", [1, 2]),
        ("-dir:received", [1, 2, 8, 9, 10]),
        ("dir:console", [8, 9, 10]),
        ("is:error", [7, 9]),
        ("is:warning", [6, 8]),
        ("is:note", [8, 9]),
        ("is:fold", [2, 5, 11]),
        ("is:audio", [2]),
        ("item:item_1", [3]),
        ("response:resp_1", [4, 5, 6]),
        ("response:resp", []),
        ("response:resp_1 -is:fold is:warning", [6]),
        ("RESPONSE", [4, 5, 6, 11]),
        ("paris", [8]),
        ('"microphone is"', [9]),
        (r'"\"two  words\""', [8]),
        ("close", [10]),
        ("INCOMPLETE", [6]),
        ('"status": "incomplete"', [6]),
        ("AAAA", []),
        ("-type", [8, 9, 10]),
        ("-session -response", [2, 3, 7, 8, 9, 10]),
        ('type:"response.done"', [6]),
    ],
)
def test_words_mean(text: str, seqs: list[int]) -> None:
    """Each word lets through what its help says; all words must hold; a minus turns one round."""
    assert found(text) == seqs


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("said", ["Zürich", "東京", "a \"b\" c", "C:\\temp", "two\nlines", "💥"])
def test_a_word_is_found_however_json_writes_it(said: str, ascii_only: bool) -> None:
    """Some write all but ASCII as escapes, and quotation marks nobody can leave as they are: the reader need not care."""
    frame = json.dumps({"type": "response.output_text.done", "text": f"It is {said}."}, ensure_ascii=ascii_only)
    one = Entry(1, 1, "ev", "received", event=parse_event(frame))
    for word in (said, said.upper(), said.lower()):
        term = filters.Word(word)
        assert term.matches(one)
        assert parse(str(term)).matches(one)
        assert any(asked(lookup, one) for lookup in term.where().any_of)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("type:", '"type:": something must follow the colon.'),
        ('item:""', '"item:""": something must follow the colon.'),
        ('speech ""', '"""": something must follow.'),
        ("from:me", '"from:me": there is no operator "from:"; there are type:, dir:, is:, item:, response:, leg:, origin:, added:.'),
        ("http://x", '"http://x": there is no operator "http:"'),
        ("dir:up", '"dir:up": a direction is sent, received or console.'),
        ("-is:bad", '"-is:bad": after is: comes error, warning, note, fold, audio, changed, withheld, refused, binary.'),
        ("leg:middle", '"leg:middle": a leg is client or upstream.'),
        ("origin:me", '"origin:me": an origin is app, browser, tool, composer, console, replay or api.'),
        ("added:1ms", '"added:1ms": after added: comes > or < and a time such as 200us, 1ms or 2s.'),
        ("added:>9999s", '"added:>9999s": after added: comes'),
        ('"one', 'A quotation mark is missing its partner: "one'),
        ('one "two three', "A quotation mark is missing its partner"),
        (r'"one\"', "A quotation mark is missing its partner"),
        (r'"a\" "', None),
        ('item:"', '"item:": something must follow the colon.'),
        ("type:*a*b*c*d*", "a type can have 4 stars at most."),
    ],
)
def test_what_cannot_be_read_is_named(text: str, reason: str | None) -> None:
    """A filter that cannot be read is refused with the word and the reason; one that can, is not."""
    if reason is None:
        assert parse(text).terms
        return
    with pytest.raises(InvalidFilter, match=re.escape(reason)):
        parse(text)


words = st.text(st.sampled_from('abct:ype"-\\* \t\n.é[]')) | st.text()
texts = st.one_of(
    words,
    st.lists(
        st.sampled_from(["-", "type:", "dir:", "is:", "item:", '"', "\\", " ", "sent", "error", "*", "a b", "x:", "--"]) | words,
        max_size=8,
    ).map("".join),
)


@given(texts)
@example(r'"a\" "')
@example('"type:x" "-a" "a\tb" "a\\"b c" -"" ')
def test_a_filter_says_itself_again(text: str) -> None:
    """Any text is read or refused; what was read can be written and read again, and means the same."""
    try:
        wanted = parse(text)
    except InvalidFilter as error:
        assert str(error)
        return
    again = parse(str(wanted))
    assert again == wanted
    assert str(again) == str(wanted)


@given(st.sampled_from([*filters.OPERATORS, filters.Word]), st.text(min_size=1), st.booleans())
def test_any_value_can_be_asked_for(operator: type[filters.Term], value: str, negated: bool) -> None:
    """Whatever one looks for can be written as a word of a filter, quotes, minus signs and line ends among it."""
    term = operator(value, negated)
    try:
        term.check()
    except InvalidFilter:
        assume(False)
    assert parse(str(Filter((term,)))).terms == (term,)


def asked(lookup: Lookup, one: Entry) -> bool:
    """What a database answers for the columns that are stored of an entry."""
    field, how, value = lookup
    stored = {
        "type": one.type, "text": one.text, "direction": one.direction, "kind": one.kind, "level": lines.level(one),
        "item_id": one.event.item_id if one.event else "", "response_id": one.event.response_id if one.event else "",
        "leg": one.leg, "origin": one.origin, "pair": one.pair, "added_us": one.transit and one.transit.added_us,
        "payload": split(one.event.raw, one.type).text if one.event else "",
        **{f"data__{name}": one.data.get(name) for name in ("withheld", "refused", "binary")},
    }[field]  # fmt: skip
    if how == "isnull":
        return (stored is None) is value
    if how in ("gt", "lt"):
        return stored is not None and (stored > value if how == "gt" else stored < value)
    if how == "regex":
        return re.search(str(value), stored) is not None
    return str(value).lower() in stored.lower() if how == "icontains" else stored == value


globs = st.lists(st.sampled_from([*"*.", "response", "delta", "[a-z]", "(", "output_text"]), min_size=1, max_size=6).map("".join)
terms = st.one_of(
    st.builds(filters.Type, globs | st.sampled_from(TYPES), st.booleans()),
    st.builds(filters.Direction, st.sampled_from(["sent", "received", "console"]), st.booleans()),
    st.builds(filters.Is, st.sampled_from(["error", "warning", "note", "changed", "withheld", "refused", "binary"]), st.booleans()),
    st.builds(filters.OnLeg, st.sampled_from(["client", "upstream"]), st.booleans()),
    st.builds(filters.By, st.sampled_from(["app", "composer", "api"]), st.booleans()),
    st.builds(filters.Added, st.sampled_from([">70us", "<1ms", "<2s"]), st.booleans()),
    st.builds(filters.Item, st.just("item_1"), st.booleans()),
    st.builds(filters.Response, st.just("resp_1"), st.booleans()),
    st.builds(filters.Word, st.sampled_from(["audio", "RESPONSE", "paris", "l", "skip", "é", "Straße", '":"']), st.booleans()),
)


@given(terms, st.sampled_from([*LOG, *RELAYED]) | frames.map(entry))
def test_a_database_is_asked_the_same(term: filters.Term, one: Entry) -> None:
    """The condition as data holds for an entry exactly when the term lets it through."""
    condition = term.where()
    assert term.matches(one) is (any(asked(lookup, one) for lookup in condition.any_of) is not condition.negated)


def test_folds_and_sound_are_asked_by_their_columns() -> None:
    """What only the whole row knows is left to the database."""
    assert parse("is:fold").terms[0].where().any_of == (("fold_count", "gt", 1),)
    assert parse("is:audio").terms[0].where().any_of == (("audio_ms", "gt", 0),)


@given(globs)
def test_globs_are_read_by_every_database(glob: str) -> None:
    """A glob's expression has nothing but literals and ``.*``: PostgreSQL has no atomic groups."""
    try:
        [term] = parse(f"type:{glob}").terms
    except InvalidFilter:
        return
    [(_, how, value)] = term.lookups()
    assert how == ("regex" if "*" in glob else "exact")
    assert "(?" not in str(value)


def test_every_operator_has_help() -> None:
    """The help names each operator once."""
    assert len(filters.HELP) == len(filters.OPERATORS) + 1
    for operator, text in zip(filters.OPERATORS, filters.HELP, strict=False):
        assert text.startswith(f"{operator.name}:")
        assert " — " in text
