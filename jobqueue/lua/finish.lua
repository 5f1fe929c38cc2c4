-- Forgets messages whose jobs are settled, and counts their outcomes, once for each batch.
-- ARGV: prefix, batch id, unix time, seconds to keep finished messages, number of messages,
--   then (queue, message, worker id, "finished" or "") for each message, then (field, amount) for each counter.
local prefix, batch, now, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
-- A batch whose answer was lost is sent again; it must not count twice.
if not redis.call('SET', prefix .. ':jobqueue:batch:' .. batch, '1', 'NX', 'EX', 600) then
  return 0
end
local last = 5 + 4 * tonumber(ARGV[5])
local trimmed = {}
for i = 6, last, 4 do
  local queue, message = ARGV[i], ARGV[i + 1]
  local job = prefix .. ':job:' .. message
  redis.call('ZREM', prefix .. ':wip:' .. queue, message .. ':' .. ARGV[i + 2])
  if ARGV[i + 3] == 'finished' and keep > 0 then
    local finished = prefix .. ':finished:' .. queue
    redis.call('HSET', job, 'status', 'finished')
    redis.call('EXPIRE', job, keep)
    redis.call('ZADD', finished, now + keep, message)
    if not trimmed[queue] then
      trimmed[queue] = true
      redis.call('ZREMRANGEBYSCORE', finished, 0, now)
    end
  else
    redis.call('DEL', job)
  end
end
local counters = prefix .. ':jobqueue:counters'
for i = last + 1, #ARGV, 2 do
  redis.call('HINCRBYFLOAT', counters, ARGV[i], ARGV[i + 1])
end
return 1
