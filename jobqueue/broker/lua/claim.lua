-- Takes messages in the order of the queues and notes them as started.
-- count: how many at most; at_once: how many of them can start at once; worker: its id; worker_name; now: RQ's
-- time; window: milliseconds for which a start counts against a rate limit;
-- queues: name, rate (starts a second) and concurrency, '' where there is no such limit.
-- Returns our messages and foreign ones, which are quarantined, both by queue: {{queue, {id, ...}}, ...}; and the
-- milliseconds until a rate limit lets the next message go, if one holds it back.
local clock = redis.call('TIME')
local seconds = tonumber(clock[1])
local milliseconds = seconds * 1000 + math.floor(tonumber(clock[2]) / 1000)
-- Bytes of an id from which on it is no message to RQ either.
local LONGEST_MESSAGE = 8192
local ours, foreign, taken, pause = {}, {}, 0, nil
count, at_once, window = tonumber(count), tonumber(at_once), tonumber(window)

-- How many starts the rate limit leaves now, at most `room`. The times of the last starts stand in a list, the
-- newest first. A list that was lost counts as a second just used up: rather wait than exceed what a provider
-- allows. So does one from the future, of a Redis whose clock was ahead.
local function left_by_rate(queue, room)
  local starts, rate = key.starts .. queue.name, queue.rate
  if rate == 0 then
    return 0
  end
  local text = call('LINDEX', starts, 0)
  local newest = tonumber(text)
  if text and not newest then
    store().set_aside(starts, 'the job queue did not write it, no times stand in it')
  end
  if not newest or newest > milliseconds then
    call('DEL', starts)
    for _ = 1, rate do
      call('LPUSH', starts, milliseconds)
    end
  end
  local left = 0
  while left < room and left < rate do
    local start = tonumber(call('LINDEX', starts, rate - 1 - left))
    if start and start <= milliseconds and start + window > milliseconds then
      local wait = start + window - milliseconds
      pause = pause and math.min(pause, wait) or wait
      break
    end
    left = left + 1
  end
  return left
end

-- How many of the waiting messages of this queue may be taken, and whether a limit holds others back.
local function room_of(queue, waiting)
  local room = math.max(0, at_once - taken)
  if not queue.rate and not queue.concurrency then
    -- What cannot start at once is taken ahead, but not more than half: another worker may be idle.
    return math.min(count - taken, math.max(room, math.ceil(waiting / 2))), false
  end
  local held_back = false
  if queue.concurrency and room > 0 then
    local open = math.max(0, queue.concurrency - call('ZCARD', key.started .. queue.name))
    held_back = open < room
    room = math.min(room, open)
  end
  if queue.rate and room > 0 then
    local wanted = math.min(room, waiting)
    local left = left_by_rate(queue, wanted)
    held_back = held_back or left < wanted
    room = math.min(room, left)
  end
  return room, held_back
end

local function start(message)
  call('HSET', key.job .. message, 'status', 'started', 'worker_name', worker_name,
    'started_at', now, 'claimed_at', seconds)
end

local function count_starts(queue, number)
  local starts = key.starts .. queue.name
  for _ = 1, number do
    call('LPUSH', starts, milliseconds)
  end
  redis.call('LTRIM', starts, 0, queue.rate - 1)
end

local function take(queue, room)
  local name, entries, started, quarantined = queue.name, {}, {}, {}
  for _, message in ipairs(redis.call('LPOP', key.list .. name, room) or {}) do
    if #message > LONGEST_MESSAGE then
      store().note_message(name, message, 'its id is longer than any that RQ or the job queue gives', true)
    elseif is_ours(message) then
      start(message)
      started[#started + 1] = message
      -- No expiry: only our rescue decides that a job is lost, never a count of RQ's registries.
      entries[#entries + 1] = '+inf'
      entries[#entries + 1] = message .. ':' .. worker
    else
      quarantine(name, message, seconds)
      quarantined[#quarantined + 1] = message
    end
  end
  in_chunks('ZADD', key.started .. name, entries)
  if queue.rate and queue.rate > 0 then
    count_starts(queue, #started)
  end
  taken = taken + #started
  ours[#ours + 1] = {name, started}
  foreign[#foreign + 1] = {name, quarantined}
end

local function serve(queue)
  local list = key.list .. queue.name
  local waiting = call('LLEN', list)
  if waiting == 0 then
    return
  end
  local room, held_back = room_of(queue, waiting)
  if room > 0 then
    take(queue, room)
    waiting = call('LLEN', list)
  end
  -- What a limit holds back wakes nobody: its time, or the end of another job, does.
  if waiting > 0 and not held_back then
    ring(queue.name)
  end
end

-- RQ writes a text there. Anything else is set aside, and suspends nobody.
if call('EXISTS', key.suspended) == 0 or not call('GET', key.suspended) then
  for <<queues>> in queues() do
    serve({name = name, rate = tonumber(rate), concurrency = tonumber(concurrency)})
  end
end
return {ours, foreign, pause}
