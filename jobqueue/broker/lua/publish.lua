-- Puts messages at the end of their queues, each at most once.
-- ARGV: prefix, time, "new" or "any", then (queue, message id, data, description, time limit) for each message.
-- With "new" only messages that Redis does not know at all are put there.
-- Returns how many were not queued before.
local prefix, now, only_new = ARGV[1], ARGV[2], ARGV[3] == 'new'
local MOST = 1000
local pushed, lists, begun = 0, {}, {}

local function push(queue)
  redis.call('RPUSH', prefix .. ':queue:' .. queue, unpack(lists[queue]))
  lists[queue] = {}
end

-- The number of the queue's list, another one each time the list begins anew: a message counts as queued only in
-- the list that it was put into. So it is known which went with a list that was evicted or deleted. Where a number
-- is missing, a list that is not empty has the message.
local function number_of_list(queue)
  local key = prefix .. ':jobqueue:list:' .. queue
  local number = redis.call('GET', key) or ''
  if redis.call('LLEN', prefix .. ':queue:' .. queue) == 0 then
    local clock = redis.call('TIME')
    local microseconds = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
    number = string.format('%.0f', math.max(microseconds, (tonumber(number) or 0) + 1))
    redis.call('SET', key, number)
    return {number = number, is_new = true}
  end
  return {number = number, is_new = false}
end

for i = 4, #ARGV, 5 do
  local queue, message = ARGV[i], ARGV[i + 1]
  local job = prefix .. ':job:' .. message
  if not lists[queue] then
    lists[queue], begun[queue] = {}, number_of_list(queue)
  end
  local known = redis.call('HMGET', job, 'status', 'list')
  local number = begun[queue].number
  local is_queued = known[1] == 'queued'
    and (known[2] == number or not begun[queue].is_new and (number == '' or (known[2] or '') == ''))
  if not is_queued and not (only_new and known[1]) then
    redis.call('HSET', job, 'status', 'queued', 'list', number, 'origin', queue, 'data', ARGV[i + 2],
      'description', ARGV[i + 3], 'timeout', ARGV[i + 4], 'created_at', now, 'enqueued_at', now)
    local list = lists[queue]
    list[#list + 1] = message
    pushed = pushed + 1
    if #list == MOST then
      push(queue)
    end
  end
end
for queue, list in pairs(lists) do
  if #list > 0 then
    push(queue)
  end
  redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
  -- The bell wakes one idle worker; a worker that leaves messages behind rings it again.
  local bell = prefix .. ':jobqueue:bell:' .. queue
  if redis.call('LLEN', bell) == 0 then
    redis.call('RPUSH', bell, '1')
  end
end
return pushed
