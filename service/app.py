"""The composition root: the only file that knows every part, starts and stops them all."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI

from service import __version__
from service.api import (
    audit,
    databases,
    errors,
    feedback,
    generate,
    health,
    job_streams,
    models,
    promote,
    train_jobs,
    verify,
    verify_batch,
)
from service.api.auth import KeyGuard
from service.api.deps import Parts
from service.api.middleware import RequestContext
from service.demo import build_demo
from service.engine.base import AdapterEngine
from service.engine.make import make_engine
from service.errors import SettingsError
from service.feedback.loop import FeedbackLoop
from service.feedback.proof import Prover
from service.feedback.store import FeedbackStore
from service.generation.context import Contexts
from service.generation.generator import Defaults, Generator
from service.jobs.announcing import Announcer, Reminder
from service.jobs.checks import Checks
from service.jobs.intake import Jobs
from service.jobs.launchers.make import launchers
from service.jobs.outbox import Outbox
from service.jobs.prepare import Preparer
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from service.jobs.validate import Validator
from service.jobs.watching import Watching
from service.jobs.webhooks import Webhooks
from service.metrics import Metrics
from service.models.adapters import AdapterStore
from service.models.canary import Canary, CanaryLimits
from service.models.live import LiveModels
from service.models.live_engine import LiveEngine
from service.models.registry import ServedModel, resolve_model
from service.promotion.dev_sample import DevSample
from service.promotion.promoter import Promoter
from service.protocols import openai_chat, openai_models
from service.sandbox.executor import Executor
from service.settings import Settings, load_settings
from service.text2sql.copies import Copies
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.schema import SchemaCache
from service.text2sql.values.index import ValueIndexes
from service.text2sql.verifier import Verifier

_LOG = logging.getLogger(__name__)
Say = Callable[[str], None]


def create_app(
    settings: Settings | None = None, *, say: Say = _LOG.info, address: str | None = None
) -> FastAPI:
    """The service; `say` gets progress for a person, `address` is named once it answers."""
    settings = settings or load_settings()
    metrics = Metrics()
    app = FastAPI(
        title="VeriSQL",
        version=__version__,
        summary="Text-to-SQL with a reward that is verified by execution.",
        lifespan=partial(_lifespan, settings=settings, metrics=metrics, say=say, address=address),
        responses={"default": {"model": errors.ErrorBody, "description": "Every error."}},
    )
    errors.install(app)
    app.add_middleware(KeyGuard, keys=settings.api_key_set)
    app.add_middleware(  # the last one added is the outermost
        RequestContext, metrics=metrics, max_body_bytes=settings.max_request_mb * 2**20
    )
    asked = (health, generate, feedback, verify, verify_batch, audit)
    spoken = (openai_chat, openai_models)
    for part in (*asked, train_jobs, job_streams, promote, models, databases, *spoken):
        app.include_router(part.router)
    return app


@asynccontextmanager
async def _lifespan(
    app: FastAPI, *, settings: Settings, metrics: Metrics, say: Say, address: str | None
) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        app.state.parts = await _assemble(stack, settings, metrics, say)
        _watch(app.state.parts)
        say(f"answering on {address}; /docs describes the API" if address else "answering")
        yield
        say("stopping")


async def _assemble(stack: AsyncExitStack, settings: Settings, metrics: Metrics, say: Say) -> Parts:
    """Start every part, each to be closed in reverse order by `stack`."""
    data_dirs = [_demo_folder(settings), *settings.data_dirs]
    registry = DatabaseRegistry.scan(data_dirs)
    say(f"{len(registry.ids())} databases, {settings.workers} SQL workers")
    executor = await stack.enter_async_context(
        Executor(
            workers=settings.workers,
            limits=settings.limits,
            max_queued=settings.max_queued,
            queue_timeout_s=settings.queue_timeout_s,
        )
    )
    jobs, supervisor = await _start_jobs(stack, settings, registry, data_dirs, metrics)
    remembered = await _start_feedback(stack, settings, Prover(registry, executor))
    schemas = SchemaCache()
    copies = Copies(settings.home_path / "copies", memory_mb=settings.worker_memory_mb)
    stack.push_async_callback(copies.close)
    indexes = ValueIndexes(settings.home_path, settings.index_path)
    stack.push_async_callback(indexes.close)
    contexts = Contexts(executor, registry, schemas, indexes)
    engine, models = await _start_engine(stack, settings, say, contexts, executor)
    verifier = Verifier(registry, executor, settings.policy, copies)
    defaults = _defaults(settings)
    sample = DevSample(engine, contexts, verifier, defaults)
    return Parts(
        settings=settings,
        metrics=metrics,
        registry=registry,
        executor=executor,
        schemas=schemas,
        verifier=verifier,
        engine=engine,
        models=models,
        generator=Generator(executor, contexts, engine, remembered, defaults),
        jobs=jobs,
        promoter=Promoter(jobs, models, sample),
        supervisor=supervisor,
        watching=Watching(jobs.get, settings.job_poll_s),
        feedback=remembered,
    )


def _defaults(settings: Settings) -> Defaults:
    return Defaults(
        settings.template, settings.values, settings.max_model_len, settings.answer_timeout_s
    )


def _demo_folder(settings: Settings) -> Path:
    """The folder of the demo database, built where it is missing or changed."""
    try:
        settings.home_path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"VERISQL_HOME={settings.home_path} cannot be made: {error.strerror}", param="home"
        ) from error
    folder = settings.home_path / "databases"
    build_demo(folder)
    return folder


async def _start_jobs(
    stack: AsyncExitStack,
    settings: Settings,
    registry: DatabaseRegistry,
    data_dirs: list[Path],
    metrics: Metrics,
) -> tuple[Jobs, Supervisor]:
    store = JobStore(settings.store_address)
    await store.open()
    stack.push_async_callback(store.close)
    values = settings.index_path or settings.home_path
    preparer = Preparer(
        data_dirs,
        settings.models_path,
        settings.limits,
        values,
        verify_urls=settings.verify_url_list,
    )
    validator = Validator(registry, settings.limits, settings.job_audit_s)
    placed = await stack.enter_async_context(launchers(settings))
    webhooks = await _start_webhooks(stack, settings, store, metrics)
    observe = Announcer(store, metrics.count_job_over, webhooks).noted
    supervisor = Supervisor(store, placed, preparer, validator, settings, observe=observe)
    await supervisor.start()
    stack.push_async_callback(supervisor.close)
    checks = Checks(
        registry,
        data_dirs,
        settings.models_path,
        settings.runs_path,
        tuple(placed),
        settings.verify_url_list,
    )
    jobs = Jobs(store, checks, settings.runs_path, supervisor.wake, observe)
    return jobs, supervisor


async def _start_webhooks(
    stack: AsyncExitStack, settings: Settings, store: JobStore, metrics: Metrics
) -> Webhooks | None:
    if settings.webhooks is None:
        return None
    outbox = Outbox(settings.store_address)
    webhooks = Webhooks(outbox, settings.webhooks, metrics.count_webhook)
    await webhooks.start()
    stack.push_async_callback(webhooks.close)
    reminder = Reminder(store, outbox, webhooks)
    await reminder.start()
    stack.push_async_callback(reminder.close)
    return webhooks


async def _start_feedback(
    stack: AsyncExitStack, settings: Settings, prover: Prover
) -> FeedbackLoop:
    loop = FeedbackLoop(
        FeedbackStore(settings.store_address),
        prover,
        keep=settings.keep_answers,
        keep_s=settings.keep_answers_days * 86_400,
    )
    stack.push_async_callback(loop.close)
    await loop.start()
    return loop


async def _start_engine(
    stack: AsyncExitStack, settings: Settings, say: Say, contexts: Contexts, executor: Executor
) -> tuple[LiveEngine, LiveModels]:
    base = None
    if settings.engine == "local":
        find = partial(resolve_model, settings.model, settings.models_path, say)
        base = await asyncio.to_thread(find)
    engine = make_engine(settings, base, say)
    stack.push_async_callback(engine.close)
    front = LiveEngine(engine)
    models = LiveModels(
        engine,
        front,
        _adapters(settings, base),
        _canary(settings, engine, executor, contexts),
        max_loaded=settings.max_adapters,
        say=say,
    )
    await models.restore()
    await engine.start()
    return front, models


def _adapters(settings: Settings, base: ServedModel | None) -> AdapterStore:
    roots = [settings.adapters_path, settings.runs_path]
    return AdapterStore(settings.registered_path, roots, base, settings.max_lora_rank)


def _canary(
    settings: Settings, engine: AdapterEngine, executor: Executor, contexts: Contexts
) -> Canary:
    limits = CanaryLimits(
        timeout_s=settings.canary_timeout_s,
        questions=settings.canary_questions,
        drop=settings.canary_drop,
        logprob_tolerance=settings.canary_logprob_tolerance,
    )
    tokens = settings.max_model_len
    return Canary(engine, executor, contexts, settings.template, tokens, limits)


def _watch(parts: Parts) -> None:
    """Gauges that are read when Prometheus asks."""
    watch, executor = parts.metrics.watch, parts.executor
    watch("verisql_workers_alive", "SQL workers alive.", lambda: len(executor.pids()))
    watch("verisql_workers_busy", "SQL workers with a task.", lambda: executor.busy)
    watch("verisql_workers_replaced", "SQL workers killed so far.", lambda: executor.replaced)
    watch("verisql_queue_length", "Tasks waiting for a worker.", lambda: executor.queued)
    answers, known = parts.feedback.answers, parts.feedback.known
    watch("verisql_answers_waiting", "Answers not yet stored.", lambda: answers.waiting)
    watch("verisql_answers_dropped", "Answers never stored: too many.", lambda: answers.dropped)
    watch("verisql_verified_queries", "Verified queries in memory.", lambda: len(known))
    watch(
        "verisql_engine_ready",
        "1 when the model answers.",
        lambda: float(parts.engine.state.status == "ready"),
    )
