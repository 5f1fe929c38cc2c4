// BullMQ: worker and producer.
'use strict';

const { Queue, Worker } = require('bullmq');
const { main, payload, port } = require('./producer');

const connection = { host: '127.0.0.1', port, db: 4, maxRetriesPerRequest: null };

main({
  startWorker(concurrency, body) {
    const worker = new Worker('email', (job) => body(job.data), { connection, concurrency });
    worker.on('error', (error) => console.error(error));
    return () => worker.close();
  },
  makeClient() {
    const queue = new Queue('email', { connection });
    return {
      add: (work, number) => queue.add('run', payload(work, number)),
      addMany: (work, numbers) =>
        queue.addBulk(numbers.map((number) => ({ name: 'run', data: payload(work, number) }))),
      addAt(work, number, due) {
        const timestamp = Date.now();
        return queue.add('run', payload(work, number), {
          timestamp,
          delay: Math.round(due * 1000) - timestamp,
        });
      },
    };
  },
});
