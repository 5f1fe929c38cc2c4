-- Which entries of RQ's started registries were claimed a while ago? At most one caller in so many seconds is told.
-- ARGV: prefix, seconds since the claim, seconds between two answers, then the queues.
-- Returns (queue, entry) pairs.
local prefix, patience, interval = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(redis.call('TIME')[1])
local old = {}
if interval > 0 and not redis.call('SET', prefix .. ':jobqueue:swept', '1', 'NX', 'PX', math.floor(interval * 1000)) then
  return old
end
for i = 4, #ARGV do
  for _, entry in ipairs(redis.call('ZRANGE', prefix .. ':wip:' .. ARGV[i], 0, -1)) do
    local message = string.match(entry, '^(.*):[^:]*$') or ''
    local claimed_at = tonumber(redis.call('HGET', prefix .. ':job:' .. message, 'claimed_at') or 0)
    if not claimed_at or now - claimed_at >= patience then
      old[#old + 1] = ARGV[i]
      old[#old + 1] = entry
    end
  end
end
return old
