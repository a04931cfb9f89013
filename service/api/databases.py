"""GET /databases and GET /databases/{db_id}: what can be asked about."""

from fastapi import APIRouter
from pydantic import BaseModel

from service.api.deps import Parts, PartsDep
from service.text2sql.schema import Table

router = APIRouter(prefix="/databases", tags=["databases"])


class DatabaseItem(BaseModel):
    """A registered database; `size_bytes` is null while its file is missing."""

    db_id: str
    size_bytes: int | None


class DatabaseList(BaseModel):
    """All of them, by name."""

    data: list[DatabaseItem]


class DatabaseDetail(BaseModel):
    """One database: its file's hash, its tables with columns, keys, row counts, examples.

    `warnings`: what could not be read of the files that describe it.
    """

    db_id: str
    size_bytes: int
    sha256: str
    tables: list[Table]
    warnings: list[str]


@router.get("")
async def list_databases(parts: PartsDep) -> DatabaseList:
    """All registered databases."""
    sizes = parts.registry.sizes()
    return DatabaseList(data=[DatabaseItem(db_id=k, size_bytes=v) for k, v in sizes.items()])


@router.get("/{db_id}")
async def get_database(db_id: str, parts: PartsDep) -> DatabaseDetail:
    """One database's schema as the model sees it."""
    return await _describe(db_id, parts)


async def _describe(db_id: str, parts: Parts) -> DatabaseDetail:
    database = parts.registry.get(db_id)
    sha256 = await parts.registry.sha256_async(db_id)
    schema = await parts.schemas.get(parts.executor, database, sha256)
    return DatabaseDetail(
        db_id=db_id,
        size_bytes=database.path.stat().st_size,
        sha256=sha256,
        tables=list(schema.tables),
        warnings=list(schema.warnings),
    )
