"""A session object as the values of the settings form, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LOGPROBS = "item.input_audio_transcription.logprobs"


def session_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Cleaned fields → partial session object."""
    output = _filled(
        format=_format(data["output_format"]),
        voice={"id": data["voice_id"]} if data["voice_id"] else data["voice"] or None,
        speed=data["speed"],
    )
    sound = {
        "input": {
            **_filled(format=_format(data["input_format"])),
            "transcription": _transcription(data),
            "noise_reduction": {"type": data["noise_reduction"]} if data["noise_reduction"] else None,
            "turn_detection": _turn_detection(data),
        },
        "output": output,
    }
    choice = data["tool_choice"].strip()
    known = ("", "auto", "none", "required")
    prompt = _filled(id=data["prompt_id"] or None, version=data["prompt_version"] or None, variables=data["prompt_variables"])
    return {
        **_filled(
            output_modalities=[data["output_modality"]] if data["output_modality"] else None,
            instructions=data["instructions"] or None,
            tool_choice=choice or None if choice in known else _named_choice(choice),
            parallel_tool_calls=_boolean(data["parallel_tool_calls"]),
            max_output_tokens=data["max_output_tokens"],
            truncation=_truncation(data),
            reasoning={"effort": data["reasoning_effort"]} if data["reasoning_effort"] else None,
        ),
        "tools": data["tools"],
        "tracing": data["tracing"],
        "prompt": prompt or None,
        "include": [LOGPROBS] if data["logprobs"] else None,
        "audio": sound,
    }


def values_of(session: Mapping[str, Any]) -> dict[str, Any]:
    """A session object, whole or partial → the fields' values. Odd shapes leave a field empty."""
    sound = _object(session.get("audio"))
    hears, says = _object(sound.get("input")), _object(sound.get("output"))
    detection, transcription = _object(hears.get("turn_detection")), _object(hears.get("transcription"))
    truncation, prompt, voice = session.get("truncation"), _object(session.get("prompt")), says.get("voice")
    choice, tracing = session.get("tool_choice"), session.get("tracing")
    return {
        "instructions": session.get("instructions") or "",
        "voice": voice if isinstance(voice, str) else "",
        "voice_id": _object(voice).get("id", ""),
        "speed": says.get("speed"),
        "output_modality": next(iter(_list(session.get("output_modalities"))), "audio"),
        "output_format": _object(says.get("format")).get("type", "audio/pcm"),
        "turn_detection": detection.get("type", ""),
        **{name: detection.get(name) for name in ("threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms")},
        "eagerness": detection.get("eagerness") or "",
        "create_response": _yes_no(detection.get("create_response")),
        "interrupt_response": _yes_no(detection.get("interrupt_response")),
        "transcription_model": transcription.get("model") or "",
        "transcription_language": transcription.get("language") or "",
        "transcription_prompt": transcription.get("prompt") or "",
        "transcription_languages": _listed(transcription.get("languages")),
        "transcription_keywords": _listed(transcription.get("keywords")),
        "transcription_delay": transcription.get("delay") or "",
        "logprobs": LOGPROBS in _list(session.get("include")),
        "noise_reduction": _object(hears.get("noise_reduction")).get("type", ""),
        "input_format": _object(hears.get("format")).get("type", "audio/pcm"),
        "tools": session.get("tools") or [],
        "tool_choice": choice if isinstance(choice, str) else _object(choice).get("name") or _object(choice).get("server_label") or "",
        "parallel_tool_calls": _yes_no(session.get("parallel_tool_calls")),
        "max_output_tokens": str(session.get("max_output_tokens") or ""),
        "reasoning_effort": _object(session.get("reasoning")).get("effort", ""),
        "truncation": truncation if isinstance(truncation, str) else _object(truncation).get("type", "auto"),
        "retention_ratio": _object(truncation).get("retention_ratio"),
        "token_limit": _object(_object(truncation).get("token_limits")).get("post_instructions"),
        "tracing": tracing if isinstance(tracing, str) else json.dumps(tracing) if tracing else "",
        "prompt_id": prompt.get("id", ""),
        "prompt_version": prompt.get("version") or "",
        "prompt_variables": prompt.get("variables") or "",
    }


def _turn_detection(data: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = data["turn_detection"]
    if not kind:
        return None
    flags = _filled(
        create_response=_boolean(data["create_response"]), interrupt_response=_boolean(data["interrupt_response"])
    )
    if kind == "semantic_vad":
        return {"type": kind, **_filled(eagerness=data["eagerness"] or None), **flags}
    numbers = {name: data[name] for name in ("threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms")}
    return {"type": kind, **_filled(**numbers), **flags}


def _transcription(data: Mapping[str, Any]) -> dict[str, Any] | None:
    if not data["transcription_model"]:
        return None
    return _filled(
        model=data["transcription_model"],
        language=data["transcription_language"] or None,
        prompt=data["transcription_prompt"] or None,
        languages=_words(data["transcription_languages"]),
        keywords=_words(data["transcription_keywords"]),
        delay=data["transcription_delay"] or None,
    )


def _truncation(data: Mapping[str, Any]) -> Any:
    if data["truncation"] != "retention_ratio":
        return data["truncation"] or None
    limits = {} if data["token_limit"] is None else {"token_limits": {"post_instructions": data["token_limit"]}}
    return {"type": "retention_ratio", "retention_ratio": data["retention_ratio"], **limits}


def _named_choice(name: str) -> dict[str, str]:
    return {"type": "function", "name": name}


def _format(type_: str) -> dict[str, Any] | None:
    if not type_:
        return None
    return {"type": type_, "rate": 24000} if type_ == "audio/pcm" else {"type": type_}


def _words(text: str) -> list[str] | None:
    return [word.strip() for word in text.split(",") if word.strip()] or None


def _listed(value: Any) -> str:
    return ", ".join(str(word) for word in _list(value))


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text)


def _yes_no(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, "") if isinstance(value, bool) else ""


def _filled(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
