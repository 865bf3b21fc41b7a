"""A message as a table for people: one line a field, sub-field or tag, masked by class."""

from switch.wire import Message

__all__ = ["describe"]


def describe(message: Message) -> str:
    """Lines of offset, length, number, name and value, in wire order.

    Values of class C2 and above are hidden, but for the first six and last four digits of an
    account number: the result may be logged and shown.
    """
    rows = [
        (f"{offset:04d}", f"+{length}", number, name, value)
        for number, name, value, offset, length in message.describe()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
