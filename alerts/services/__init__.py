"""The service layer: all that people, scripts and the console may ask of the central side.

The services are synchronous and safe to call from any thread; from asyncio call them in a thread
pool (``nicegui.run.io_bound``, ``starlette.concurrency.run_in_threadpool``). They return frozen values, never
database rows. :func:`alerts.services.bundle.open_services` makes them all.
"""
