"""The LoRA adapters of one model server: loaded, unloaded, loaded again when it comes back."""

from collections.abc import Collection, Mapping
from pathlib import Path

import httpx

from service.engine.client import EngineClient
from service.errors import AdapterRejected, AdaptersOff, UnknownModel, VeriSQLError

LOAD_TIMEOUT_S = 120.0
_LOAD, _UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
_SHOWN = 500  # characters of a refusal that are repeated


class ServerAdapters:
    """Which adapters one server holds; the names are its own, `name@revision` of ours."""

    def __init__(self) -> None:
        self._held: dict[str, Path] = {}
        self._lost: dict[str, str] = {}

    @property
    def held(self) -> tuple[str, ...]:
        """Those that answer, as far as is known."""
        return tuple(name for name in self._held if name not in self._lost)

    @property
    def lost(self) -> Mapping[str, str]:
        """Those that the server would not load again, each with its words."""
        return self._lost

    def hold(self, name: str, folder: Path) -> None:
        """To be loaded before the server is ready."""
        self._lost.pop(name, None)
        self._held[name] = folder

    def lose(self, name: str, why: str) -> None:
        """It cannot be had; the base answers instead."""
        self._lost[name] = why

    async def load(self, client: EngineClient, name: str, folder: Path) -> None:
        """Load one now; nothing happens if the server holds it.

        Raises AdapterRejected, AdaptersOff, EngineUnavailable, EngineTimeout.
        """
        if name not in self.held:
            await load(client, name, folder)
            self.hold(name, folder)

    async def unload(self, client: EngineClient | None, name: str) -> None:
        """Forget one; requests under way finish on it. Raises EngineUnavailable, EngineTimeout."""
        self._lost.pop(name, None)
        if self._held.pop(name, None) and client:
            await client.post(_UNLOAD, {"lora_name": name}, LOAD_TIMEOUT_S)

    async def restore(self, client: EngineClient, served: Collection[str] = ()) -> None:
        """Load what is held and not `served`; one that the server refuses is lost.

        Raises EngineUnavailable, EngineTimeout.
        """
        for name, folder in list(self._held.items()):
            if name in served or (served and name in self._lost):
                continue
            try:
                await load(client, name, folder)
                self._lost.pop(name, None)
            except (AdapterRejected, AdaptersOff) as error:
                self._lost[name] = error.message


async def load(client: EngineClient, name: str, folder: Path) -> None:
    """Ask a server for one adapter under a name that is new to it.

    Raises AdapterRejected, AdaptersOff, EngineUnavailable, EngineTimeout.
    """
    body = {"lora_name": name, "lora_path": str(folder)}
    response = await client.post(_LOAD, body, LOAD_TIMEOUT_S)
    if response.status_code != httpx.codes.OK:
        raise _refused(name, response)


def unknown_model(name: str, known: Collection[str]) -> UnknownModel:
    """No server holds a model of that name."""
    shown = ", ".join(known) or "none yet"
    return UnknownModel(f"no served model is named {name[:200]!r}; served: {shown}", param="model")


def _refused(name: str, response: httpx.Response) -> VeriSQLError:
    try:
        told = response.json()
    except ValueError:
        told = None
    error = told.get("error") if isinstance(told, dict) else None
    if isinstance(error, dict) and error.get("message"):
        return AdapterRejected(
            f"the model server does not load {name}: {str(error['message'])[:_SHOWN]}", param="name"
        )
    return AdaptersOff(
        f"the model server has no {_LOAD} ({response.status_code}): start vLLM with --enable-lora, "
        "--max-lora-rank and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, or set VERISQL_ADAPTERS=true for "
        "a server of our own"
    )
