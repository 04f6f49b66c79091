"""Region: the context manager between a Meter and a Reading."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from .reading import Reading
from .resolution import Snapshot

if TYPE_CHECKING:
    from .meter import Meter


class Region:
    """What ``Meter.region`` returns; it can be entered once."""

    def __init__(self, meter: Meter, name: str, flops: float | None, sync: Callable[[], object] | None) -> None:
        """Nothing is read yet."""
        self.meter = meter
        self.sync = sync
        self.thread = 0
        self.reading = Reading(name, flops, meter._on_missing)
        self.start: Snapshot | None = None

    def __enter__(self) -> Reading:
        """Wait for the GPU, if any, and read the counters."""
        if self.start is not None:
            raise RuntimeError(f"the region {self.reading.name!r} was entered before; make a new one")
        meter, reading = self.meter, self.reading
        self.thread = threading.get_ident()
        reading._flags.update(meter._flags)
        reading._zones = meter._zones_with_ticks
        if self.sync:
            self.sync()
        self.start = meter._begin(self)
        return reading

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Wait for the GPU, read the counters, record the reading; an exception goes on."""
        try:
            if self.sync:
                self.sync()
        except BaseException as failure:
            error = error or failure
            raise
        finally:
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        meter, reading = self.meter, self.reading
        assert self.start is not None
        reading._idle = meter.idle
        if error is not None:
            reading.error = f"{type(error).__name__}: {error}"
            reading._flags.add("failed")
        if meter._closed:
            reading._fault = reading._fault or "the meter was closed inside the region"
            reading._flags.add("failed")
        end = self.start._replace(before_ns=meter.clock()) if reading._fault else meter._end(self)
        reading._window = (self.start, end)
        meter.readings.append(reading)
