-- Puts messages at the end of their queues, each at most once.
-- ARGV: prefix, time, "new" or "any", then (queue, message id, data, description, time limit) for each message.
-- With "new" only messages that Redis does not know at all are put there.
-- Returns how many were not queued before.
local prefix, now, only_new = ARGV[1], ARGV[2], ARGV[3] == 'new'
local MOST = 1000
local pushed, lists, lengths = 0, {}, {}

local function push(queue)
  redis.call('RPUSH', prefix .. ':queue:' .. queue, unpack(lists[queue]))
  lists[queue] = {}
end

for i = 4, #ARGV, 5 do
  local queue, message = ARGV[i], ARGV[i + 1]
  local job = prefix .. ':job:' .. message
  if not lists[queue] then
    lists[queue], lengths[queue] = {}, redis.call('LLEN', prefix .. ':queue:' .. queue)
  end
  local status = redis.call('HGET', job, 'status')
  -- "queued" means "stands in the list", unless somebody deleted the list itself.
  local is_known = status == 'queued' and (lengths[queue] > 0 or #lists[queue] > 0)
  if not is_known and not (only_new and status) then
    redis.call('HSET', job, 'status', 'queued', 'origin', queue, 'data', ARGV[i + 2], 'description', ARGV[i + 3],
      'timeout', ARGV[i + 4], 'created_at', now, 'enqueued_at', now)
    local list = lists[queue]
    list[#list + 1] = message
    pushed = pushed + 1
    if #list == MOST then
      push(queue)
      lengths[queue] = lengths[queue] + MOST
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
