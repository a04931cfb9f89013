"""Load an adapter beside the live one and try it; one that fails is gone afterwards."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.engine.base import AdapterEngine
from service.errors import AdapterRejected, VeriSQLError
from service.models.adapters import BASE, AdapterModel, AdapterStore
from service.models.canary import Canary
from service.models.check import Check


class FurtherTrial(Protocol):
    """What else an adapter has to pass before it goes live."""

    async def judge(self, name: str, live: str, folder: Path) -> list[Check]:
        """Hold the model `name`, whose files are in `folder`, against `live`; both are loaded."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Tries adapters of one store on one engine."""

    engine: AdapterEngine
    store: AdapterStore
    canary: Canary

    async def run(
        self, adapter: AdapterModel, live: str, further: FurtherTrial | None = None
    ) -> list[Check]:
        """Every check against the live model, `further` ones only where those before passed.

        The adapter stays loaded only if all passed.

        One that was loaded before stays in any case. Raises AdaptersOff, EngineUnavailable,
        EngineTimeout.
        """
        name = adapter.served_name
        keep = name in self.engine.served
        try:
            checks = await self._checks(adapter, live, further)
            keep = keep or all(check.passed for check in checks)
        finally:
            if not keep:
                # A server that cannot be told now is not asked for it either.
                with contextlib.suppress(VeriSQLError):
                    await asyncio.shield(self.engine.unload_adapter(name))
        return checks

    async def _checks(
        self, adapter: AdapterModel, live: str, further: FurtherTrial | None
    ) -> list[Check]:
        name, folder = adapter.served_name, self.store.folder(adapter)
        if not await self.store.intact(adapter):
            return [Check("files", False, None, None, "changed since they were registered")]
        if unfit := self.store.unfit(adapter):
            return [Check("base", False, None, None, f"it {unfit}")]
        try:
            await self.engine.load_adapter(name, folder)
        except AdapterRejected as error:
            return [Check("loads", False, None, None, error.message)]
        base = self.engine.model
        bar = base.name if live == BASE and base else live
        checks = [Check("loads", True, None, None), *await self.canary.judge(name, bar, folder)]
        if further and failures(checks) is None:
            checks += await further.judge(name, bar, folder)
        return checks


def failures(checks: list[Check]) -> str | None:
    """What was not passed, in words; None if all was."""
    failed = [check for check in checks if not check.passed]
    told = (c.detail if c.value is None else f"{c.value:g}, must be {c.limit}" for c in failed)
    named = zip((check.name for check in failed), told, strict=True)
    return "; ".join(f"{name}: {why}" for name, why in named) or None
