-- Puts messages at the end of their queues, each at most once.
-- ARGV: prefix, time, then (queue, message id, data, description, time limit) for each message.
-- Returns how many were not queued before.
local prefix, now = ARGV[1], ARGV[2]
local pushed, rung = 0, {}
for i = 3, #ARGV, 5 do
  local queue, message = ARGV[i], ARGV[i + 1]
  local job = prefix .. ':job:' .. message
  local list = prefix .. ':queue:' .. queue
  -- "queued" means "stands in the list", unless somebody deleted the list itself.
  if redis.call('HGET', job, 'status') ~= 'queued' or redis.call('LLEN', list) == 0 then
    redis.call('HSET', job, 'status', 'queued', 'origin', queue, 'data', ARGV[i + 2], 'description', ARGV[i + 3],
      'timeout', ARGV[i + 4], 'created_at', now, 'enqueued_at', now)
    redis.call('RPUSH', list, message)
    pushed = pushed + 1
  end
  if not rung[queue] then
    rung[queue] = true
    redis.call('SADD', prefix .. ':queues', list)
    -- The bell wakes one idle worker; a worker that leaves messages behind rings it again.
    local bell = prefix .. ':jobqueue:bell:' .. queue
    if redis.call('LLEN', bell) == 0 then
      redis.call('RPUSH', bell, '1')
    end
  end
end
return pushed
