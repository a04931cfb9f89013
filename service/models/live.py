"""Which model is live: register, activate after a trial, roll back, forget."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from service.engine.base import AdapterEngine
from service.errors import (
    ActivationInProgress,
    Conflict,
    EngineUnavailable,
    ModelInUse,
    VeriSQLError,
)
from service.models.adapters import BASE, AdapterModel, AdapterStore, LiveChoice
from service.models.canary import Canary
from service.models.check import Check
from service.models.live_engine import LiveEngine
from service.models.outcome import ModelState, ModelStatus, Outcome
from service.models.trial import FurtherTrial, Trial, failures


class LiveModels:
    """One activation at a time; requests never wait for one."""

    def __init__(
        self,
        engine: AdapterEngine,
        front: LiveEngine,
        store: AdapterStore,
        canary: Canary,
        *,
        max_loaded: int,
        say: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._front = front
        self._store = store
        self._trial = Trial(engine, store, canary)
        self._max_loaded = max_loaded
        self._say = say
        self._busy: str | None = None
        self._choice = LiveChoice()
        self._failed: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self.problem: str | None = None
        """Why the base answers although another model should be live; None if all is well."""

    @property
    def live(self) -> str:
        """The live model: name@revision or `base`."""
        return self._front.live or BASE

    @property
    def merged(self) -> str | None:
        """The adapter that is part of the base model's weights, as name@revision."""
        base = self._engine.model
        return base.adapter if base else None

    async def restore(self) -> None:
        """Before the engine starts: what was live last shall be live again, if it is unchanged."""
        await asyncio.to_thread(self._store.open)
        self._choice = choice = self._store.choice()
        for name in (choice.previous, choice.live):
            adapter = self._store.find(name) if name else None
            unfit = await self._unfit(adapter)
            if adapter and not unfit:
                self._engine.hold_adapter(adapter.served_name, self._store.folder(adapter))
                self._touch(adapter.served_name)
                if name == choice.live:
                    self._front.switch(name)
            elif name and name == choice.live:
                self.problem = f"{name} was live, and {unfit}: base answers"
                self._say(self.problem)

    async def _unfit(self, adapter: AdapterModel | None) -> str | None:
        if adapter is None or not await self._store.intact(adapter):
            return "its files are gone or changed"
        return self._store.unfit(adapter)

    async def register(
        self,
        folder: Path,
        name: str,
        parent: str | None = None,
        lineage: dict[str, Any] | None = None,
    ) -> AdapterModel:
        """Take a copy of an adapter; raises AdapterRejected, InvalidRequest, Conflict."""
        return await self._store.register(folder, name, parent, lineage or {})

    def find(self, name: str) -> AdapterModel:
        """By name or name@revision; raises UnknownModel."""
        return self._store.get(name)

    def source(self, name: str, path: str | None) -> Path:
        """The folder that a request means; raises InvalidRequest."""
        return self._store.source(name, path)

    def all(self) -> list[ModelStatus]:
        """The base, then every adapter, the oldest first."""
        state: ModelState = "loaded" if self._front.live else "live"
        base = ModelStatus(BASE, state, self._since.get(BASE), self.problem, None)
        return [base, *map(self.status, self._store.all())]

    def status(self, adapter: AdapterModel) -> ModelStatus:
        """How it stands with one adapter."""
        name = adapter.served_name
        why = self._engine.lost.get(name) or self._failed.get(name)
        state: ModelState = "failed" if why else "registered"
        if name in self._engine.served:
            state = "live" if self._front.live == name else "loaded"
        since = self._since.get(name, adapter.registered_at)
        return ModelStatus(adapter.name, state, since, why, adapter)

    async def activate(self, name: str, further: FurtherTrial | None = None) -> Outcome:
        """Try a model, and make it the live one if it passes, `further` included.

        Raises UnknownModel, ActivationInProgress, EngineUnavailable while the engine is not ready,
        AdaptersOff, AdapterRejected.
        """
        adapter = None if name == BASE else self._store.get(name)
        async with self._alone(name):
            if self._engine.state.status != "ready" and adapter:
                raise EngineUnavailable(
                    f"no model can be tried now: {self._engine.state.detail}", retry_after_s=5
                )
            return await self._activate(adapter, further)

    async def roll_back(self) -> Outcome:
        """Make live again what was before, at once where the server holds it still.

        Without a trial then: it has passed one, and the way back must not depend on how the model
        does that people want to be rid of. Raises Conflict when there is none, and as `activate`.
        """
        choice = self._choice
        if choice.live == choice.previous:
            raise Conflict("no other model has been live: there is nothing to roll back to")
        name = choice.previous
        adapter = self._store.find(name) if name else None
        if adapter is None or not await self._held(adapter):
            return await self.activate(name or BASE)
        async with self._alone(adapter.name):
            before = self.live
            await self._go_live(adapter)
            return Outcome(adapter.served_name, True, self.live, before, [], None, 0.0)

    async def _held(self, adapter: AdapterModel) -> bool:
        name = adapter.served_name
        there = name in self._engine.served and name not in self._engine.lost
        return there and await self._store.intact(adapter)

    async def forget(self, name: str) -> AdapterModel:
        """Unload and delete an adapter; raises UnknownModel, ModelInUse, ActivationInProgress."""
        adapter = self._store.get(name)
        async with self._alone(name):
            served = adapter.served_name
            if served in (self._front.live, self._choice.live):
                raise ModelInUse(f"{name} is live: activate another one first", param="name")
            await self._unload(served)
            if self._choice.previous == served:
                await self._choose(LiveChoice(self._choice.live, None, self._choice.since))
            await asyncio.to_thread(self._store.remove, adapter)
            self._failed.pop(served, None)
            return adapter

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        if self._busy is not None:
            raise ActivationInProgress(f"{self._busy} is under way, {name} has to wait")
        self._busy = name
        try:
            yield
        finally:
            self._busy = None

    async def _activate(
        self, adapter: AdapterModel | None, further: FurtherTrial | None
    ) -> Outcome:
        began, before = time.perf_counter(), self.live
        wanted = adapter.served_name if adapter else BASE
        checks: list[Check] = []
        if adapter and wanted != before:
            checks = await self._tried(adapter, before, further)
        reason = failures(checks)
        if reason is None and adapter and wanted not in self._engine.served:
            reason = "the model server lost it after its trial"
        if reason is None:
            await self._go_live(adapter)
            await self._make_room()
        took = round(time.perf_counter() - began, 3)
        return Outcome(wanted, reason is None, self.live, before, checks, reason, took)

    async def _tried(
        self, adapter: AdapterModel, live: str, further: FurtherTrial | None
    ) -> list[Check]:
        name = adapter.served_name
        try:
            checks = await self._trial.run(adapter, live, further)
        except VeriSQLError as error:
            self._failed[name] = error.message
            raise
        self._failed.pop(name, None)
        if reason := failures(checks):
            self._failed[name] = reason
            self._say(f"{name} failed its trial, {live} stays live: {reason}")
        return checks

    async def _go_live(self, adapter: AdapterModel | None) -> None:
        """The switch; written down first, so that a restart does not undo it."""
        name = adapter.served_name if adapter else None
        if name != self._choice.live:
            await self._choose(LiveChoice(name, self._choice.live, time.time()))
        self._front.switch(name)
        self.problem = None
        self._touch(name or BASE)
        self._say(f"live: {name or BASE}")

    async def _choose(self, choice: LiveChoice) -> None:
        await asyncio.to_thread(self._store.choose, choice)
        self._choice = choice

    async def _make_room(self) -> None:
        """Unload what was used longest ago; never the live one or the one before it."""
        needed = (self._choice.live, self._choice.previous)
        ours = {adapter.served_name for adapter in self._store.all()}
        loaded = [name for name in self._engine.served if name in ours]
        spare = sorted((n for n in loaded if n not in needed), key=lambda n: self._since.get(n, 0))
        # One place is kept free for the next one that is tried.
        for name in spare[: max(0, len(loaded) - self._max_loaded + 1)]:
            await self._unload(name)

    async def _unload(self, name: str) -> None:
        try:
            await self._engine.unload_adapter(name)
        except VeriSQLError as error:
            self._say(f"{name} could not be unloaded: {error.message}")

    def _touch(self, name: str) -> None:
        self._since[name] = time.time()
