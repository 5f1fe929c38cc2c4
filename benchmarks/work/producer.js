// What the peers on node share: the job's body, and the producer's tasks as in produce.py.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const Redis = require('ioredis');

const EFFECTS = 'benchmark:effects';
const EFFECTS_DATABASE = 5;
const PADDING = 'x'.repeat(140);
const CHUNK = 1000;
const WARM_UP = 20;
const PATIENCE = 60;
const port = Number(process.env.BENCHMARK_REDIS_PORT);

// Seconds since the epoch with microseconds: Date.now() alone rounds every time down by up to 1 ms. Each look
// at both clocks gives that offset or less (less by what is rounded off and by what passes between the two).
const offset = (() => {
  const until = performance.now() + 20;
  let most = -Infinity;
  while (performance.now() < until) most = Math.max(most, Date.now() - performance.now());
  return most;
})();
const now = () => (offset + performance.now()) / 1000;

const connect = () => new Redis({ host: '127.0.0.1', port, db: EFFECTS_DATABASE });

function makeBody() {
  const effects = connect();
  return async ({ work, number }) => {
    if (work === 'io5') await sleep(5);
    await effects.rpush(EFFECTS, `${number} ${now().toFixed(6)}`);
  };
}

const payload = (work, number) => ({ work, number, padding: PADDING });
const range = (start, end) => Array.from({ length: end - start }, (_, index) => start + index);

async function awaitEffects(effects, count) {
  const deadline = now() + PATIENCE;
  while ((await effects.llen(EFFECTS)) < count) {
    if (now() > deadline) throw new Error(`fewer than ${count} jobs ran within ${PATIENCE} s`);
    await sleep(1);
  }
}

async function warmUp(client, effects) {
  for (const number of range(-WARM_UP, 0)) await client.add('noop', number);
  await awaitEffects(effects, WARM_UP);
  await effects.del(EFFECTS);
}

const tasks = {
  async fill(client, { work, count }) {
    for (let start = 0; start < count; start += CHUNK) {
      await client.addMany(work, range(start, Math.min(count, start + CHUNK)));
    }
    return {};
  },

  async single(client, { count }) {
    for (const number of range(-WARM_UP, 0)) await client.add('noop', number);
    const started = performance.now();
    for (let number = 0; number < count; number++) await client.add('noop', number);
    return { seconds: (performance.now() - started) / 1000 };
  },

  async bulk(client, { count }) {
    await client.addMany('noop', range(-WARM_UP, 0));
    const started = performance.now();
    await tasks.fill(client, { work: 'noop', count });
    return { seconds: (performance.now() - started) / 1000 };
  },

  async lone(client, { count, longest_gap: longest }) {
    const effects = connect();
    await warmUp(client, effects);
    const called = [];
    for (let number = 0; number < count; number++) {
      await sleep(1000 * (longest / 5 + Math.random() * longest * 0.8));
      called.push(now());
      await client.add('noop', number);
      await awaitEffects(effects, number + 1);
    }
    return { called };
  },

  async delayed(client, { count, rate, lead }) {
    await warmUp(client, connect());
    const first = now() + lead;
    const due = range(0, count).map((number) => Math.round(1000 * (first + number / rate)) / 1000);
    for (let number = 0; number < count; number++) await client.addAt('noop', number, due[number]);
    if (now() > first) throw new Error(`enqueueing ${count} delayed jobs took more than ${lead} s`);
    return { due };
  },
};

// `work <concurrency>` runs a worker, `produce <task> <options as JSON>` a producer.
async function main({ startWorker, makeClient }) {
  const [mode, first, second] = process.argv.slice(2);
  if (mode === 'work') {
    const stop = startWorker(Number(first), makeBody());
    process.once('SIGTERM', async () => {
      await stop();
      process.exit(0);
    });
    return;
  }
  const result = await tasks[first](makeClient(), JSON.parse(second));
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

module.exports = { main, payload, port };
