-- Takes up to n messages in the order of the queues and notes them as started.
-- ARGV: prefix, n, how many of them can start at once, worker id, worker name, time, then for each queue:
--   its name, its rate limit (starts a second) and its concurrency limit; -1 is no limit.
-- Returns {queue, message, ...} of ours, {queue, message, ...} of foreign ones, which are quarantined,
--   and the milliseconds until a rate limit lets the next message go; -1 if none holds one back.
local prefix, wanted, free = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local worker, name, now = ARGV[4], ARGV[5], ARGV[6]
local clock = redis.call('TIME')
local seconds = tonumber(clock[1])
local milliseconds = seconds * 1000 + math.floor(tonumber(clock[2]) / 1000)
local ours, foreign, pause = {}, {}, -1
-- A rate limit is about any second in which jobs start, and they start a little after their claim, some later
-- than others: so much longer is the time in which claims are counted. late_starts.lua counts those that took
-- longer. As queues.py knows it.
local WINDOW = 1100

-- <job id>-<attempt> or <job id>-<attempt>-<database>, as MESSAGE_ID in queues.py.
local function is_ours(message)
  local job, attempt, rest = string.match(message, '^(%d+)%-(%d+)(.*)$')
  if not job or #job > 18 or #attempt > 9 then
    return false
  end
  return rest == '' or (#rest <= 65 and string.match(rest, '^%-[%w_]+$') ~= nil)
end

local function ring(queue)
  local bell = prefix .. ':jobqueue:bell:' .. queue
  if redis.call('LLEN', bell) == 0 then
    redis.call('RPUSH', bell, '1')
  end
end

-- How many starts the rate limit leaves now, at most `room`. The times of the last starts stand in a list, the
-- newest first. A list that was lost counts as a second just used up: rather wait than exceed what a provider
-- allows. So does one from the future, of a Redis whose clock was ahead.
local function left_by_rate(starts, rate, room)
  if rate == 0 then
    return 0
  end
  local newest = tonumber(redis.call('LINDEX', starts, 0))
  if not newest or newest > milliseconds then
    redis.call('DEL', starts)
    for _ = 1, rate do
      redis.call('LPUSH', starts, milliseconds)
    end
  end
  local left = 0
  while left < room and left < rate do
    local start = tonumber(redis.call('LINDEX', starts, rate - 1 - left))
    if start and start + WINDOW > milliseconds then
      local wait = start + WINDOW - milliseconds
      if pause < 0 or wait < pause then
        pause = wait
      end
      break
    end
    left = left + 1
  end
  return left
end

if redis.call('EXISTS', prefix .. ':suspended') == 1 then
  return {ours, foreign, pause}
end
for i = 7, #ARGV, 3 do
  local queue, rate, concurrency = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local list, wip = prefix .. ':queue:' .. queue, prefix .. ':wip:' .. queue
  local starts = prefix .. ':jobqueue:starts:' .. queue
  local taken = #ours / 2
  local waiting = redis.call('LLEN', list)
  local limited = rate >= 0 or concurrency >= 0
  local room = math.max(0, free - taken)
  if not limited then
    -- What cannot start at once is taken ahead, but not more than half: another worker may be idle.
    room = math.min(wanted - taken, math.max(room, math.ceil(waiting / 2)))
  end
  local held_back = false
  if room > 0 and waiting > 0 then
    if concurrency >= 0 then
      local open = math.max(0, concurrency - redis.call('ZCARD', wip))
      held_back = open < room
      room = math.min(room, open)
    end
    if rate >= 0 and room > 0 then
      local left = left_by_rate(starts, rate, math.min(room, waiting))
      held_back = held_back or left < math.min(room, waiting)
      room = math.min(room, left)
    end
  end
  if room > 0 and waiting > 0 then
    local entries, started = {}, 0
    for _, message in ipairs(redis.call('LPOP', list, room) or {}) do
      if is_ours(message) then
        redis.call('HSET', prefix .. ':job:' .. message, 'status', 'started', 'worker_name', name,
          'started_at', now, 'claimed_at', seconds)
        -- No expiry: only our rescue decides that a job is lost, never a count of RQ's registries.
        entries[#entries + 1] = '+inf'
        entries[#entries + 1] = message .. ':' .. worker
        ours[#ours + 1] = queue
        ours[#ours + 1] = message
        started = started + 1
      else
        redis.call('ZADD', prefix .. ':failed:' .. queue, seconds + 31536000, message)
        -- Until somebody has decided about it: this worker now, another if this one dies.
        redis.call('ZADD', prefix .. ':jobqueue:foreign:' .. queue, seconds + 5, message)
        foreign[#foreign + 1] = queue
        foreign[#foreign + 1] = message
      end
      if #entries >= 1000 then
        redis.call('ZADD', wip, unpack(entries))
        entries = {}
      end
    end
    if #entries > 0 then
      redis.call('ZADD', wip, unpack(entries))
    end
    if rate > 0 then
      for _ = 1, started do
        redis.call('LPUSH', starts, milliseconds)
      end
      redis.call('LTRIM', starts, 0, rate - 1)
    end
    waiting = redis.call('LLEN', list)
  end
  -- What a limit holds back wakes nobody: its time, or the end of another job, does.
  if waiting > 0 and not held_back then
    ring(queue)
  end
end
return {ours, foreign, pause}
