"""Framing, dialects, codec and messages; knows no sockets."""

from switch.native import codec

Dialect = codec.Dialect
Framer = codec.Framer
Leg = codec.Leg
Message = codec.Message

__all__ = ["Dialect", "Framer", "Leg", "Message"]
