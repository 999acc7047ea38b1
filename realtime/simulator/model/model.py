"""The model: plans answers and tool calls from small talk and two tools, and says openly that it is a simulator."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from realtime.simulator.model.cities import places_in
from realtime.simulator.shared.response_plan import CallTool, ModelInput, ModelItem, Plan, Say

STORY = (
    "Once upon a time, on a small island with a tall lighthouse, there lived a keeper named Mara. "
    "Every evening she climbed two hundred and twelve steps and lit the lamp. "
    "Every morning she climbed down again and wrote one line in her book. "
    "Most lines were about the weather, and some were about birds. "
    "One night a storm blew the lamp out, and the sea turned as black as ink. "
    "Far away she heard a horn, three short calls and a long one. "
    "Mara had no lamp, but she had a kettle, a mirror, and a great deal of patience. "
    "She lit a fire in the kettle and held the mirror behind it until her arms ached. "
    "Out on the water a small light answered, turned, and came slowly home. "
    "In the morning she climbed down and wrote one line in her book. "
    "It said, last night the kettle was a lighthouse, and nobody needed tea. "
    "And that is the end of the story."
)
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty twenty-one twenty-two twenty-three twenty-four twenty-five twenty-six twenty-seven twenty-eight "
    "twenty-nine thirty"
).split()
HELP = "Ask me for the weather in a city, ask me to remember something, or ask for a long story and interrupt me."
_WEATHER = re.compile(r"\b(?:weather|temperature|forecast|how (?:warm|cold|hot))\b")
_WISH = re.compile(r"\b(?:call|use|run)\b")
_NAME = re.compile(r"[\w-]+")
_FACT = re.compile(r"\bmy ((?:\w+ ){0,3}?\w+) (?:is|are) (?:called )?(.+)", re.IGNORECASE)
_ASKED = re.compile(r"\b(?:what(?:'s| is| are)|who is|tell me|do you (?:know|remember)) my ((?:\w+ ){0,3}?\w+?)\s*[?.!]*$", re.IGNORECASE)


def plan(context: ModelInput) -> Plan:
    """Decide. The same conversation gives the same plan."""
    if outputs := _fresh_outputs(context.items):
        return [Say(" ".join(_describe_output(call, output.text) for call, output in outputs))]
    asked = _question(context)
    calls = _calls(context, asked)
    if calls:
        return [Say(_before(calls), "commentary"), *calls]
    if context.last is not None and context.last.images:
        return [Say(f"I see {_listed(context.last.images)}. I am a simulator, so I cannot make out what is in it.")]
    return [Say(_answer(context, asked))]


def _question(context: ModelInput) -> str:
    """Return the user's last message; system instructions if the user has said nothing."""
    for said in reversed(context.items):
        if said.kind in ("user", "system") and said.text:
            return said.text.strip()
    return ""


def _listed(things: Sequence[str]) -> str:
    return " and ".join((", ".join(things[:-1]), things[-1])) if len(things) > 1 else things[0]


def _fresh_outputs(said: Sequence[ModelItem]) -> list[tuple[ModelItem, ModelItem]]:
    """Calls answered since the model last spoke: (call, output)."""
    calls = {s.call_id: s for s in said if s.kind == "call"}
    fresh = []
    for entry in reversed(said):
        if entry.kind == "output" and entry.call_id in calls:
            fresh.append((calls[entry.call_id], entry))
        elif entry.kind in ("user", "assistant"):
            break
    return fresh[::-1]


# ── Calling ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _calls(context: ModelInput, asked: str) -> Plan:
    """Return the calls that a question needs, among the functions available."""
    lower = asked.lower()
    forced = context.forced
    if context.last is None or (context.last.kind == "output" and not forced):
        return []
    if "get_weather" in context.tools and _WEATHER.search(lower):
        return [
            CallTool("get_weather", json.dumps({"lat": place.lat, "lng": place.lng, "location": place.name}))
            for place in places_in(asked)[:4]
        ] or _forced(context, asked)
    if "set_memory" in context.tools and (facts := _facts(asked)):
        return [CallTool("set_memory", json.dumps({"key": key, "value": value})) for key, value in facts]
    if wish := _WISH.search(lower):  # no pattern is made of a tool's name: Python would keep it for ever
        words = set(_NAME.findall(lower, wish.end()))
        for name in context.tools:
            if name.lower() in words:
                return [CallTool(name, _arguments(context.tools[name], asked))]
    return _forced(context, asked)


def _forced(context: ModelInput, asked: str) -> Plan:
    """``tool_choice`` leaves no choice."""
    name = next(iter(context.tools), "") if context.forced == "*" else context.forced
    return [CallTool(name, _arguments(context.tools[name], asked))] if name in context.tools else []


def _facts(asked: str) -> list[tuple[str, str]]:
    """Return the facts that the user wants kept: "my name is Ada" → name, Ada."""
    if asked.endswith("?") or _ASKED.search(asked):
        return []
    found = _FACT.search(asked)
    if found is None:
        remember = re.search(r"\b(?:remember|keep in mind|note)(?: that)? (.+)", asked, re.IGNORECASE)
        return [("note", remember.group(1).strip(" .!"))] if remember else []
    value = found.group(2).strip(" .!")
    return [(_key(found.group(1)), value)] if value else []


def _key(words: str) -> str:
    return re.sub(r"\W+", "_", words.lower()).strip("_")[:64] or "note"


def _arguments(tool: dict[str, Any], asked: str) -> str:
    """Return arguments that fit a function's schema, taken from the question where possible."""
    numbers = re.findall(r"-?\d{1,15}(?:\.\d{1,15})?", asked)
    schema = tool.get("parameters") or {}
    values: dict[str, Any] = {}
    properties = schema.get("properties")
    for name, field in properties.items() if isinstance(properties, dict) else ():
        kind = field.get("type") if isinstance(field, dict) else None
        if isinstance(field, dict) and isinstance(field.get("enum"), list) and field["enum"]:
            values[name] = field["enum"][0]
        elif kind in ("number", "integer"):
            value = float(numbers.pop(0)) if numbers else 1
            values[name] = int(value) if kind == "integer" else value
        elif kind == "boolean":
            values[name] = True
        elif kind == "array":
            values[name] = []
        elif kind == "object":
            values[name] = {}
        else:
            values[name] = numbers.pop(0) if numbers else asked or name
    return json.dumps(values, ensure_ascii=False)


def _before(calls: Plan) -> str:
    names = {call.name for call in calls if isinstance(call, CallTool)}
    if names == {"get_weather"}:
        return "Let me look at the weather."
    return "I will note that." if names == {"set_memory"} else "One moment."


# ── Answering ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _describe_output(call: ModelItem, text: str) -> str:
    """A tool's answer in words."""
    try:
        output = json.loads(text)
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return f"{call.name} answered: {text[:200]}"
    if isinstance(output, dict) and "error" in output:
        return f"That did not work. {output['error']}"
    if call.name == "get_weather" and isinstance(output, dict):
        return _describe_weather(output, arguments if isinstance(arguments, dict) else {})
    if call.name == "set_memory" and isinstance(arguments, dict):
        return f"I will remember that your {str(arguments.get('key', '')).replace('_', ' ')} is {arguments.get('value')}."
    return f"{call.name} answered: {json.dumps(output, ensure_ascii=False)[:200]}"


def _describe_weather(output: dict[str, Any], arguments: dict[str, Any]) -> str:
    where = output.get("location") or arguments.get("location") or "that place"
    facts = []
    if isinstance(temperature := output.get("temperature"), dict):
        facts.append(f"{temperature.get('value')} degrees {'Fahrenheit' if 'F' in str(temperature.get('unit')) else 'Celsius'}")
    if isinstance(wind := output.get("wind"), dict):
        unit = {"km/h": "kilometres an hour", "mph": "miles an hour", "m/s": "metres a second"}.get(str(wind.get("unit")), "")
        facts.append(f"a wind of {wind.get('value')} {unit or wind.get('unit')}")
    sky = f" It is {output['conditions']}." if output.get("conditions") else ""
    if not facts:
        return f"The weather in {where}: {json.dumps(output, ensure_ascii=False)[:160]}"
    return f"In {where} it is {' with '.join(facts)}.{sky}"


def _answer(context: ModelInput, asked: str) -> str:
    lower = asked.lower().strip(" .!?")
    if known := _recall(context, asked):
        return known
    for pattern, answer in _ANSWERS:
        if re.search(pattern, lower):
            return answer
    if _WEATHER.search(lower):
        return "Which city do you mean? I know about two hundred of them." if "get_weather" in context.tools else _no_tool("get_weather")
    if facts := _facts(asked):
        return f"Your {facts[0][0].replace('_', ' ')} is {facts[0][1]}. I will keep that in mind while we talk."
    if re.search(r"\btime\b", lower):
        return f"It is {context.now:%H:%M} on this machine." if context.now else "I have no clock."
    if found := re.search(r"\bcount (?:up )?to (\w+(?:-\w+)?)", lower):
        return _count(found.group(1))
    if found := re.search(r"\bspell (\w+)", asked, re.IGNORECASE):
        return f"{found.group(1)}: {', '.join(found.group(1).upper())}."
    if found := re.search(r"\b(?:repeat after me|say|repeat)[:,]? (.+)", asked, re.IGNORECASE):
        return found.group(1)
    if re.fullmatch(r"\([\d.]+ s of speech\)", asked):
        return f"I heard {asked[1:-1].replace(' s ', ' seconds ')}, but I only understand a few sentences. {HELP}"
    if not asked:
        return f"Hello. {HELP}"
    shown = asked if len(asked) < 80 else asked[:77] + "…"
    shown = shown if shown[-1] in ".!?…" else f"{shown}."
    return f"You said: {shown} I am a simulator, so I have no opinion on that. {HELP}"


def _no_tool(name: str) -> str:
    return f"I would need the function {name} for that, and this session does not offer it."


def _recall(context: ModelInput, asked: str) -> str:
    """Answer "what is my name?" from facts noted or said in this conversation."""
    known: dict[str, str] = {}
    for said in context.items:
        if said.kind == "call" and said.name == "set_memory":
            try:
                arguments = json.loads(said.arguments)
                known[str(arguments["key"])] = str(arguments["value"])
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
        elif said.kind in ("user", "system"):
            known.update(_facts(said.text))
    if re.search(r"\bwhat do you (?:know|remember) about me\b", asked.lower()):
        facts = ", ".join(f"your {key.replace('_', ' ')} is {value}" for key, value in known.items())
        return f"I know that {facts}." if facts else "You have not told me anything yet."
    if found := _ASKED.search(asked):
        key = _key(found.group(1))
        name = found.group(1).lower()
        return f"Your {name} is {known[key]}." if key in known else f"You have not told me your {name} yet."
    return ""


def _count(word: str) -> str:
    limit = _NUMBERS.index(word) + 1 if word in _NUMBERS else int(word[:3]) if word.isdecimal() else 10
    return ", ".join(_NUMBERS[: max(1, min(limit, len(_NUMBERS)))]).capitalize() + "."


_ANSWERS = (
    (r"\bstory\b", STORY),
    (r"^(?:please )?(?:stop|be quiet|enough|wait)\b", "All right, I am quiet."),
    (r"^(?:hello|hi|hey|good (?:morning|evening|afternoon))\b", f"Hello, this is the built-in simulator. {HELP}"),
    (r"\bhow are you\b", "Very well, for a program without feelings. How can I help?"),
    (r"\bthank", "You are welcome."),
    (r"\b(?:bye|goodbye)\b", "Goodbye. The whole session is kept, and you can play it back."),
    (r"\bwho are you\b", "I am the simulator built into this console. I speak the Realtime API, and I run on your machine."),
    (r"\bwhat can you do\b|\bhelp\b", HELP),
    (r"\b(?:password|credit card|medical|legal advice)\b", "I am sorry, I cannot help with that."),
)
