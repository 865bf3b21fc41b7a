"""Framing, dialects, codec, messages and their codes; knows no sockets."""

from switch.native import codec, mac

Dialect = codec.Dialect
Framer = codec.Framer
Guard = mac.Guard
KeepAlive = codec.KeepAlive
Leg = codec.Leg
Message = codec.Message

__all__ = ["Dialect", "Framer", "Guard", "KeepAlive", "Leg", "Message"]
