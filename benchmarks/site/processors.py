"""The benchmark's job as a processor of this project."""

from benchmarks.work import body
from jobqueue.jobs import processor

run = processor("benchmark.run", queue="email")(body.run)
