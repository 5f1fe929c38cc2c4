-- Puts messages at the end of their queues, each at most once.
-- now: RQ's time; only_new: '1' if only messages that Redis does not know at all are put there;
-- messages: queue, id, data, description, timeout.
-- Returns how many were not queued before.
local pushed, queues = 0, {}

-- The number of the list that messages are put into, and whether the list begins with them.
local function number_to_push(queue)
  local number = number_of_list(queue)
  if call('LLEN', key.list .. queue) > 0 then
    return number, false
  end
  local clock = redis.call('TIME')
  local microseconds = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
  number = string.format('%.0f', math.max(microseconds, (tonumber(number) or 0) + 1))
  redis.call('SET', key.number .. queue, number)
  return number, true
end

local function begin(queue)
  local number, is_new = number_to_push(queue)
  queues[queue] = {number = number, is_new = is_new, messages = {}}
  return queues[queue]
end

for <<messages>> in messages() do
  local list = queues[queue] or begin(queue)
  local known = call('HMGET', key.job .. id, 'status', 'list')
  local is_queued = known[1] == 'queued'
    and (known[2] == list.number or not list.is_new and (list.number == '' or (known[2] or '') == ''))
  if not is_queued and not (only_new == '1' and known[1]) then
    redis.call('HSET', key.job .. id, 'status', 'queued', 'list', list.number, 'origin', queue, 'data', data,
      'description', description, 'timeout', timeout, 'created_at', now, 'enqueued_at', now)
    pushed = pushed + 1
    list.messages[#list.messages + 1] = id
  end
end
for queue, list in pairs(queues) do
  in_chunks('RPUSH', key.list .. queue, list.messages)
  call('SADD', key.queues, key.list .. queue)
  ring(queue)
end
return pushed
