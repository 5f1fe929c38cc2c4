-- Takes up to n messages in the order of the queues and notes them as started.
-- ARGV: prefix, n, worker id, worker name, time, then the queues.
-- Returns {queue, message, ...} of ours and {queue, message, ...} of foreign ones, which are quarantined.
local prefix, wanted = ARGV[1], tonumber(ARGV[2])
local worker, name, now = ARGV[3], ARGV[4], ARGV[5]
local seconds = tonumber(redis.call('TIME')[1])
local ours, foreign = {}, {}

-- <job id>-<attempt> or <job id>-<attempt>-<database>, as MESSAGE_ID in queues.py.
local function is_ours(message)
  local job, attempt, rest = string.match(message, '^(%d+)%-(%d+)(.*)$')
  if not job or #job > 18 or #attempt > 9 then
    return false
  end
  return rest == '' or (#rest <= 65 and string.match(rest, '^%-[%w_]+$') ~= nil)
end

if redis.call('EXISTS', prefix .. ':suspended') == 1 then
  return {ours, foreign}
end
for i = 6, #ARGV do
  local queue = ARGV[i]
  local list = prefix .. ':queue:' .. queue
  local room = wanted - #ours / 2
  if room > 0 then
    for _, message in ipairs(redis.call('LPOP', list, room) or {}) do
      local job = prefix .. ':job:' .. message
      if is_ours(message) then
        redis.call('HSET', job, 'status', 'started', 'worker_name', name, 'started_at', now,
          'claimed_at', seconds)
        -- No expiry: only our rescue decides that a job is lost, never a count of RQ's registries.
        redis.call('ZADD', prefix .. ':wip:' .. queue, '+inf', message .. ':' .. worker)
        table.insert(ours, queue)
        table.insert(ours, message)
      else
        redis.call('ZADD', prefix .. ':failed:' .. queue, seconds + 31536000, message)
        table.insert(foreign, queue)
        table.insert(foreign, message)
      end
    end
  end
  if redis.call('LLEN', list) > 0 then
    local bell = prefix .. ':jobqueue:bell:' .. queue
    if redis.call('LLEN', bell) == 0 then
      redis.call('RPUSH', bell, '1')
    end
  end
end
return {ours, foreign}
