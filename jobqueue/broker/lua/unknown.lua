-- Which of these messages does Redis not know as queued or as started just now by a worker that lives?
-- patience: seconds a claim may take; workers: the ids of those that live; messages: queue, id.
-- Returns the ids of the unknown messages.
-- A claim from the future was made before the clock of this Redis stepped back.
local now = tonumber(redis.call('TIME')[1])
local unknown = {}

local function is_queued(queue, list)
  local number = number_of_list(queue)
  return call('LLEN', key.list .. queue) > 0 and (list == number or number == '' or (list or '') == '')
end

local function is_started(queue, message)
  local claimed_at = tonumber(call('HGET', key.job .. message, 'claimed_at') or 0)
  -- What is no time of this clock is none that a claim wrote.
  if not claimed_at or claimed_at > now + tonumber(patience) then
    claimed_at = 0
  end
  local known = false
  for worker in workers() do
    local entry = message .. ':' .. worker
    if call('ZSCORE', key.started .. queue, entry) then
      if math.abs(now - claimed_at) < tonumber(patience) then
        known = true
      else
        -- Its worker never heard of it and will not clean up.
        call('ZREM', key.started .. queue, entry)
      end
    end
  end
  return known
end

for <<messages>> in messages() do
  local status, list = unpack(call('HMGET', key.job .. id, 'status', 'list'))
  local known = status == 'queued' and is_queued(queue, list) or status == 'started' and is_started(queue, id)
  if not known then
    unknown[#unknown + 1] = id
  end
end
return unknown
