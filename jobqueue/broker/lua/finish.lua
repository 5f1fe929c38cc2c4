-- Forgets messages whose jobs are settled, and counts their outcomes, once for each batch.
-- ARGV: prefix, batch id, unix time, seconds to keep finished messages, worker id, number of queues; then for
--   each queue its name, the number of its finished messages, the number of its other ones, the finished
--   messages, the other ones; then (field, amount) for each counter.
local prefix, batch, now, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local worker, queues = ARGV[5], tonumber(ARGV[6])
-- A batch whose answer was lost is sent again; it must not count twice.
if not redis.call('SET', prefix .. ':jobqueue:batch:' .. batch, '1', 'NX', 'EX', 600) then
  return 0
end
local MOST = 1000

local function in_chunks(command, key, items)
  for first = 1, #items, MOST do
    redis.call(command, key, unpack(items, first, math.min(first + MOST - 1, #items)))
  end
end

local at = 7
for _ = 1, queues do
  local queue, finished, others = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local entries, kept = {}, {}
  for i = at + 3, at + 2 + finished + others do
    local message = ARGV[i]
    local job = prefix .. ':job:' .. message
    entries[#entries + 1] = message .. ':' .. worker
    if i <= at + 2 + finished and keep > 0 then
      redis.call('HSET', job, 'status', 'finished')
      redis.call('EXPIRE', job, keep)
      kept[#kept + 1] = now + keep
      kept[#kept + 1] = message
    else
      redis.call('DEL', job)
    end
  end
  in_chunks('ZREM', prefix .. ':wip:' .. queue, entries)
  if #kept > 0 then
    local registry = prefix .. ':finished:' .. queue
    in_chunks('ZADD', registry, kept)
    redis.call('ZREMRANGEBYSCORE', registry, 0, now)
  end
  -- What a concurrency limit held back may go now.
  if redis.call('LLEN', prefix .. ':queue:' .. queue) > 0 then
    local bell = prefix .. ':jobqueue:bell:' .. queue
    if redis.call('LLEN', bell) == 0 then
      redis.call('RPUSH', bell, '1')
    end
  end
  at = at + 3 + finished + others
end
local counters = prefix .. ':jobqueue:counters'
for i = at, #ARGV, 2 do
  redis.call('HINCRBYFLOAT', counters, ARGV[i], ARGV[i + 1])
end
return 1
