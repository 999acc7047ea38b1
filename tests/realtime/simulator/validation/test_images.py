"""Images in items: what is one, how large it is, what it costs, and what is said of it."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from realtime.simulator.validation.images import is_image, size, tokens
from tests.realtime.simulator.harness import GET_WEATHER, Event, SimulatorHarness, done, errors, spoken_words


def png(width: int, height: int) -> str:
    """The head of a PNG as a data URI."""
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5B", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    return f"data:image/png;base64,{base64.b64encode(head).decode()}"


def jpeg(width: int, height: int) -> str:
    """A JPEG's segments up to its size: a remark of the camera's stands before it."""
    head = b"\xff\xd8\xff\xe1" + struct.pack(">H", 102) + bytes(100)
    head += b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes(20)
    return f"data:image/jpeg;base64,{base64.b64encode(head).decode()}"


def shown(url: str, text: str = "", **fields: Any) -> Event:
    """A user's message with an image."""
    content = [{"type": "input_image", "image_url": url, **fields}]
    return {"type": "message", "role": "user", "content": [*([{"type": "input_text", "text": text}] if text else []), *content]}


@pytest.mark.parametrize("make", [png, jpeg])
def test_the_size_is_read(make: Any) -> None:
    """Width and height stand in the head of a PNG and among the segments of a JPEG."""
    assert size(make(640, 480)) == (640, 480)


@pytest.mark.parametrize(
    "url", ["", "data:image/png;base64,AA==", png(0, 5), png(640, 480)[:45], jpeg(640, 480)[:80], "data:image/png;base64,A"]
)
def test_a_size_that_cannot_be_read(url: str) -> None:
    """What is broken has no size, and nothing breaks."""
    assert size(url) is None


@pytest.mark.parametrize(
    ("width", "height", "detail", "cost"),
    [(640, 480, "low", 85), (512, 512, "high", 255), (640, 480, "auto", 425), (1024, 1024, None, 765), (2048, 4096, "high", 1105)],
)
def test_what_an_image_costs(width: int, height: int, detail: str | None, cost: int) -> None:
    """A flat price, and at high detail more for each tile of the image scaled down."""
    assert tokens({"image_url": png(width, height), "detail": detail}) == cost


@pytest.mark.parametrize(
    ("url", "good"),
    [(png(1, 1), True), (jpeg(1, 1), True), ("data:image/png;base64,AA==", True), ("data:image/gif;base64,AA==", False),
     ("https://example.com/a.png", False), ("data:image/png;base64,", False), ("data:image/png;base64,??", False)],
)  # fmt: skip
def test_what_is_an_image(url: str, good: bool) -> None:
    """A data URI of a PNG or JPEG in base64; anything else is refused by its field."""
    assert is_image(url) is good
    events = SimulatorHarness().send("conversation.item.create", item=shown(url))
    assert errors(events) == ([] if good else [("invalid_value", "item.content[0].image_url")])


def test_an_image_is_seen() -> None:
    """The answer tells what can be told, and the response counts the image's tokens apart."""
    stage = SimulatorHarness()
    stage.send("conversation.item.create", item=shown(png(640, 480), "What do you see?"))
    events = stage.respond(output_modalities=["text"])
    assert spoken_words(events).startswith("I see a PNG image of 640 by 480 pixels. ")
    assert done(events)["usage"]["input_token_details"]["image_tokens"] == 425


def test_several_images() -> None:
    """Each is named, also one whose size cannot be read."""
    stage = SimulatorHarness()
    item = shown(png(1, 2))
    item["content"] += shown(jpeg(3, 4))["content"] + shown("data:image/png;base64,AA==")["content"]
    stage.send("conversation.item.create", item=item)
    seen = "I see a PNG image of 1 by 2 pixels, a JPEG image of 3 by 4 pixels and a PNG image of a size I cannot read."
    assert spoken_words(stage.respond(output_modalities=["text"])).startswith(seen)


def test_a_tool_comes_before_an_image() -> None:
    """A question that a function answers is answered by it, with an image or without."""
    stage = SimulatorHarness()
    stage.update(tools=[GET_WEATHER])
    stage.send("conversation.item.create", item=shown(png(1, 1), "What is the weather in Lisbon?"))
    assert done(stage.respond())["output"][0]["type"] == "function_call"
