"""Framing, dialects, codec and messages; knows no sockets."""

from switch.native import codec

Dialect = codec.Dialect
Framer = codec.Framer
KeepAlive = codec.KeepAlive
Leg = codec.Leg
Message = codec.Message

__all__ = ["Dialect", "Framer", "KeepAlive", "Leg", "Message"]
