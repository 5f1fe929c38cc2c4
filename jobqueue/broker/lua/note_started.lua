-- Notes jobs as started that were claimed without a message.
-- worker: its id; worker_name; now: RQ's time; messages: queue, id, data, description, timeout.
local seconds = tonumber(redis.call('TIME')[1])
for <<messages>> in messages() do
  call('HSET', key.job .. id, 'status', 'started', 'origin', queue, 'data', data, 'description', description,
    'timeout', timeout, 'created_at', now, 'enqueued_at', now, 'worker_name', worker_name, 'started_at', now,
    'claimed_at', seconds)
  call('ZADD', key.started .. queue, '+inf', id .. ':' .. worker)
  call('SADD', key.queues, key.list .. queue)
end
return 1
