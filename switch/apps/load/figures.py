"""What thresholds ask of histograms and counts."""

from collections.abc import Mapping, Sequence

from switch.apps.load.model import Kind
from switch.native import load

__all__ = ["DUE", "SENT", "Counted", "Measured"]

DUE = " due"
SENT = " sent"


class Counted:
    """Counts of a stretch, by kind; "0200 due" is of kind 0200."""

    def __init__(self, kinds: Sequence[Kind], seconds: float) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._seconds = seconds

    @property
    def seconds(self) -> float:
        return self._seconds

    def count(self, entry: str, name: str) -> int | None:
        kind = entry.removesuffix(DUE).removesuffix(SENT)
        if kind and kind not in self._kinds:
            return None
        kinds = [self._kinds[kind]] if kind else list(self._kinds.values())
        return sum(_count(one, name) for one in kinds)


class Measured(Counted):
    """With histograms. A kind's bare name ("0200") means from due time."""

    def __init__(
        self,
        histograms: Mapping[str, "load.Histogram"],
        kinds: Sequence[Kind],
        seconds: float,
    ) -> None:
        super().__init__(kinds, seconds)
        self._histograms = histograms

    @property
    def entries(self) -> Sequence[str]:
        return list(self._histograms)

    def duration_ns(self, entry: str, figure: str) -> float | None:
        histogram = self._histograms.get(entry) or self._histograms.get(entry + DUE)
        if histogram is None or not len(histogram):
            return None
        match figure:
            case "max":
                return histogram.maximum
            case "mean":
                return histogram.mean()
            case _:
                return histogram.quantile(float(figure) / 100)


def _count(kind: Kind, name: str) -> int:
    match name:
        case "sent":
            return kind.offered - kind.not_sent
        case "approved":
            return kind.answered - kind.declined
        case _:
            value = getattr(kind, name)
            assert isinstance(value, int)
            return value
