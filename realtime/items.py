"""Item: one item of a conversation, what was generated of it, and what was heard."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Item:
    """A conversation item as far as the log tells."""

    id: str
    kind: str = "message"
    """message, function_call, function_call_output, mcp_call and so on: the item's own ``type``."""
    role: str = ""
    """user, assistant, system; empty for calls and their outputs."""
    status: str = ""
    """completed, incomplete, in_progress; ``pending`` while a client's is not taken by the API yet, or ``refused``."""
    phase: str = ""
    """commentary or final_answer, on models that think."""
    parts: dict[int, str] = field(default_factory=dict)
    """Written content by content index."""
    transcripts: dict[int, str] = field(default_factory=dict)
    """Spoken content by content index, as the API heard or generated it."""
    name: str = ""
    call_id: str = ""
    arguments: str = ""
    output: str | None = None
    """Of a call: what the tool answered; None while it has not."""
    audio_ms: float = 0.0
    """Sound generated, or for a user's item the stretch of speech."""
    heard_ms: int | None = None
    """Of a truncated item: what was heard."""
    has_audio: bool = False
    failure: str = ""
    """Why a transcription or a response failed."""
    removed: bool = False
    seq_first: int = 0
    """Where on the timeline it first appears."""

    @property
    def text(self) -> str:
        """What was written."""
        return " ".join(text for _, text in sorted(self.parts.items()) if text)

    @property
    def transcript(self) -> str:
        """What was said."""
        return " ".join(text for _, text in sorted(self.transcripts.items()) if text)

    @property
    def truncated(self) -> bool:
        """Whether it was cut short for the listener."""
        return self.heard_ms is not None

    @property
    def heard_text(self) -> str:
        """The part of the transcript that was heard, by proportion of time: the API does not align words with sound."""
        if self.heard_ms is None or not self.audio_ms:
            return self.transcript
        words = self.transcript.split(" ")
        return " ".join(words[: round(len(words) * min(1.0, self.heard_ms / self.audio_ms))])

    @property
    def unheard_text(self) -> str:
        """The rest of the transcript: generated, but cut off for the listener."""
        return self.transcript[len(self.heard_text) :].strip()
