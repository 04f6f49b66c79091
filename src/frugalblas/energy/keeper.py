"""What a meter asks of the process: to be called every so often, and after a fork. Nothing happens at import."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any

# Starts calling a method every so many seconds; what it returns stops that. The method's object may die meanwhile.
Every = Callable[[float, Callable[[], None]], Callable[[], None]]


def in_background(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    """Call a bound method every ``seconds`` in a daemon thread until it is stopped or its object is gone."""
    assert isinstance(call, MethodType)
    method: weakref.WeakMethod[Any] = weakref.WeakMethod(call)
    stop = threading.Event()
    weakref.finalize(call.__self__, stop.set)

    def run() -> None:
        while not stop.wait(seconds):
            alive = method()
            if alive is None:
                return
            alive()
            del alive

    thread = threading.Thread(target=run, name="frugalblas-energy-keeper", daemon=True)
    thread.start()

    def cancel() -> None:
        stop.set()
        if thread is not threading.current_thread():
            thread.join()

    return cancel


_methods: list[weakref.WeakMethod[Any]] = []


def after_fork(call: Callable[[], None]) -> None:
    """Call a bound method in every child process from now on, for as long as its object lives."""
    _register_once()
    _methods[:] = [method for method in _methods if method() is not None]
    _methods.append(weakref.WeakMethod(call))


@functools.cache
def _register_once() -> None:
    os.register_at_fork(after_in_child=_in_child)


def _in_child() -> None:
    for method in _methods:
        call = method()
        if call is not None:
            call()
