// Bull 4: worker and producer.
'use strict';

const Queue = require('bull');
const { main, payload, port } = require('./producer');

const open = () => new Queue('email', { redis: { host: '127.0.0.1', port, db: 3 } });

main({
  startWorker(concurrency, body) {
    const queue = open();
    queue.process(concurrency, (job) => body(job.data));
    return () => queue.close();
  },
  makeClient() {
    const queue = open();
    return {
      add: (work, number) => queue.add(payload(work, number)),
      addMany: (work, numbers) => queue.addBulk(numbers.map((number) => ({ data: payload(work, number) }))),
      addAt(work, number, due) {
        const timestamp = Date.now();
        return queue.add(payload(work, number), { timestamp, delay: Math.round(due * 1000) - timestamp });
      },
    };
  },
});
