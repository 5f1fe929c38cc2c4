-- Says in RQ's words how a foreign job stands that was adopted.
-- queue; id; enqueued_at: when RQ enqueued it; status; text: about a failure; now: RQ's time; keep_finished,
-- keep_failed: for how many seconds, unless the job says so itself.
-- Returns 0 if there was nothing to say it about.
local job, foreign, failed = key.job .. id, key.foreign .. queue, key.failed .. queue
local seconds = tonumber(redis.call('TIME')[1])

local function keep(registry, field, default)
  local own = string.match(call('HGET', job, field) or '', '^%-?%d+$')
  local ttl = tonumber(own and #own < 10 and own or default)
  if ttl == 0 then
    call('DEL', job)
  elseif ttl < 0 then
    call('PERSIST', job)
    call('ZADD', registry, '+inf', id)
  else
    call('EXPIRE', job, ttl)
    call('ZADD', registry, seconds + ttl, id)
  end
end

if call('TYPE', job).ok ~= 'hash' then
  call('ZREM', foreign, id)
  call('ZREM', failed, id)
  return 0
end
-- Enqueued anew since then: this is about another run.
if (call('HGET', job, 'enqueued_at') or '') ~= enqueued_at then
  return 0
end
local aside = store()
aside.forget('message', aside.name_of_message(queue, id))
if status == 'started' then
  -- Without an entry it has ended meanwhile.
  if not call('ZSCORE', foreign, id) then
    return 0
  end
  call('ZADD', foreign, seconds + LOOK_AGAIN, id)
  call('ZREM', failed, id)
  call('HSET', job, 'status', status, 'started_at', now)
  call('HDEL', job, 'exc_info', 'ended_at')
  call('PERSIST', job)
  return 1
end
call('ZREM', foreign, id)
call('ZREM', failed, id)
call('HSET', job, 'status', status, 'ended_at', now)
call('HDEL', job, 'exc_info')
if status == 'finished' then
  keep(key.finished .. queue, 'result_ttl', keep_finished)
elseif status == 'failed' then
  call('HSET', job, 'exc_info', text)
  keep(failed, 'failure_ttl', keep_failed)
else
  call('ZADD', key.canceled .. queue, seconds, id)
end
return 1
