-- Which of these messages does Redis not know as queued or as started just now by a worker that lives?
-- ARGV: prefix, seconds a claim may take, number of living workers, their ids, then (queue, message) pairs.
-- Returns the unknown messages.
local prefix, patience, workers = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(redis.call('TIME')[1])
local unknown = {}
for i = 4 + workers, #ARGV, 2 do
  local queue, message = ARGV[i], ARGV[i + 1]
  local job = prefix .. ':job:' .. message
  local status, list = unpack(redis.call('HMGET', job, 'status', 'list'))
  local known = false
  if status == 'queued' then
    -- As publish.lua numbers the lists.
    local number = redis.call('GET', prefix .. ':jobqueue:list:' .. queue) or ''
    known = redis.call('LLEN', prefix .. ':queue:' .. queue) > 0
      and (list == number or number == '' or (list or '') == '')
  elseif status == 'started' then
    local claimed_at = tonumber(redis.call('HGET', job, 'claimed_at') or 0)
    for w = 4, 3 + workers do
      local entry = message .. ':' .. ARGV[w]
      if redis.call('ZSCORE', prefix .. ':wip:' .. queue, entry) then
        if now - claimed_at < patience then
          known = true
        else
          -- Its worker never heard of it and will not clean up.
          redis.call('ZREM', prefix .. ':wip:' .. queue, entry)
        end
      end
    end
  end
  if not known then
    table.insert(unknown, message)
  end
end
return unknown
