"""What a terminal's messages are called, and what its reversal says. Values only: no loop."""

from collections.abc import Mapping

__all__ = ["Values", "answer_mti", "repeat_mti", "reversal_values"]

Values = Mapping[str, str | bytes]


def answer_mti(mti: str) -> str:
    """The MTI that answers a request, an advice, or a repeat of either."""
    return f"{mti[:2]}{int(mti[2]) + 1}0"


def repeat_mti(mti: str) -> str:
    """The MTI of a request's repeat."""
    return f"{mti[:3]}1"


def reversal_values(
    mti: str, request: Values, stan: str, transmission_time: str
) -> dict[str, str | bytes]:
    """The reversal advice that undoes `request`, under numbers of its own; field 90 names the
    original.
    """
    kept = (
        "pan", "processing_code", "amount", "local_time", "local_date", "acquirer_code", "rrn",
        "terminal_id", "merchant_id", "currency", "condition_code",
    )  # fmt: skip
    values = {name: request[name] for name in kept if name in request}
    return values | {
        "stan": stan,
        "transmission_time": transmission_time,
        "original_data.mti": mti,
        "original_data.stan": request["stan"],
        "original_data.transmission_time": request["transmission_time"],
        "original_data.acquirer_code": str(request["acquirer_code"]).zfill(11),
        "original_data.forwarder_code": "0" * 11,
    }
