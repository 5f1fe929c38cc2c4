-- Says in RQ's words how a foreign job stands that was adopted.
-- queue; id; enqueued_at: when RQ enqueued it; status; text: about a failure; now: RQ's time; keep_finished,
-- keep_failed: for how many seconds, unless the job says so itself.
-- Returns 0 if there was nothing to say it about.
local job, foreign, failed = key.job .. id, key.foreign .. queue, key.failed .. queue
local seconds = tonumber(redis.call('TIME')[1])

local function keep(registry, field, default)
  local own = string.match(redis.call('HGET', job, field) or '', '^%-?%d+$')
  local ttl = tonumber(own and #own < 10 and own or default)
  if ttl == 0 then
    redis.call('DEL', job)
  elseif ttl < 0 then
    redis.call('PERSIST', job)
    redis.call('ZADD', registry, '+inf', id)
  else
    redis.call('EXPIRE', job, ttl)
    redis.call('ZADD', registry, seconds + ttl, id)
  end
end

if redis.call('TYPE', job).ok ~= 'hash' then
  redis.call('ZREM', foreign, id)
  redis.call('ZREM', failed, id)
  return 0
end
-- Enqueued anew since then: this is about another run.
if (redis.call('HGET', job, 'enqueued_at') or '') ~= enqueued_at then
  return 0
end
if status == 'started' then
  -- Without an entry it has ended meanwhile.
  if not redis.call('ZSCORE', foreign, id) then
    return 0
  end
  redis.call('ZADD', foreign, seconds + LOOK_AGAIN, id)
  redis.call('ZREM', failed, id)
  redis.call('HSET', job, 'status', status, 'started_at', now)
  redis.call('HDEL', job, 'exc_info', 'ended_at')
  redis.call('PERSIST', job)
  return 1
end
redis.call('ZREM', foreign, id)
redis.call('ZREM', failed, id)
redis.call('HSET', job, 'status', status, 'ended_at', now)
redis.call('HDEL', job, 'exc_info')
if status == 'finished' then
  keep(key.finished .. queue, 'result_ttl', keep_finished)
elseif status == 'failed' then
  redis.call('HSET', job, 'exc_info', text)
  keep(failed, 'failure_ttl', keep_failed)
else
  redis.call('ZADD', key.canceled .. queue, seconds, id)
end
return 1
