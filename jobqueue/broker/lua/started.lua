-- Which entries of RQ's started registries were claimed a while ago? Of each queue at most one caller in so many
-- seconds is told.
-- patience: seconds since the claim; interval: seconds between two answers; queues: their names.
-- Returns {{queue, entry}, ...}.
-- A claim from the future was made before the clock of this Redis stepped back.
local now = tonumber(redis.call('TIME')[1])
-- Milliseconds that no pause between two answers exceeds, in any version or configuration.
local LONGEST_PAUSE = 3600 * 1000
local old, pause = {}, math.floor(tonumber(interval) * 1000)

local function is_due(mark)
  if pause == 0 or call('SET', mark, '1', 'NX', 'PX', pause) then
    return true
  end
  -- A mark that outlives the pause is none of ours.
  local left = redis.call('PTTL', mark)
  if left >= 0 and left <= math.max(LONGEST_PAUSE, pause) then
    return false
  end
  store().set_aside(mark, 'the job queue did not write it, it would never end')
  call('SET', mark, '1', 'PX', pause)
  return true
end

local function look_through(queue)
  for _, entry in ipairs(call('ZRANGE', key.started .. queue, 0, -1)) do
    local message = string.match(entry, '^(.*):[^:]*$') or ''
    local claimed_at = tonumber(call('HGET', key.job .. message, 'claimed_at') or 0)
    if not claimed_at or math.abs(now - claimed_at) >= tonumber(patience) then
      old[#old + 1] = {queue, entry}
    end
  end
end

for queue in queues() do
  if is_due(key.swept .. queue) then
    look_through(queue)
  end
end
return old
