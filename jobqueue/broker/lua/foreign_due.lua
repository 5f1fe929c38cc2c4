-- Hands out foreign messages whose time to be looked after has come; another asks a while later.
-- most: how many of each queue; queues: their names.
-- Returns {{queue, id of a message}, ...}.
local seconds = tonumber(redis.call('TIME')[1])
local due = {}
for queue in queues() do
  local foreign = key.foreign .. queue
  for _, message in ipairs(call('ZRANGEBYSCORE', foreign, '-inf', seconds, 'LIMIT', 0, most)) do
    call('ZADD', foreign, seconds + LOOK_AGAIN, message)
    due[#due + 1] = {queue, message}
  end
end
return due
