-- Which entries of RQ's started registries were claimed a while ago? At most one caller in so many seconds is told.
-- patience: seconds since the claim; interval: seconds between two answers; queues: their names.
-- Returns {{queue, entry}, ...}.
local now = tonumber(redis.call('TIME')[1])
local old, pause = {}, math.floor(tonumber(interval) * 1000)
if pause > 0 and not call('SET', key.swept, '1', 'NX', 'PX', pause) then
  return old
end
for queue in queues() do
  for _, entry in ipairs(call('ZRANGE', key.started .. queue, 0, -1)) do
    local message = string.match(entry, '^(.*):[^:]*$') or ''
    local claimed_at = tonumber(call('HGET', key.job .. message, 'claimed_at') or 0)
    if not claimed_at or now - claimed_at >= tonumber(patience) then
      old[#old + 1] = {queue, entry}
    end
  end
end
return old
