-- Stands before every script: the keys, and what the scripts share.
-- What is in double angle brackets is filled in by scripts.py: here the keys from keys.py and the shape of a
-- message's id from message.py. In a script, the name of a list stands so for the fields of its records.
-- Between this and the script stands what it is given, by name: values as texts, and lists to go through, as in
-- `for (fields) in messages() do`.

-- RQ's own keys, and ours. What is marked + is completed: `key.list .. queue`, `key.job .. message`.
local key = {
  queues = <<queues>>,        --   RQ: set of the lists' keys
  suspended = <<suspended>>,  --   RQ: while it exists nobody works
  list = <<list>>,            -- + RQ: messages that wait in a queue, the next one first
  job = <<job>>,              -- + RQ: hash of a message
  started = <<started>>,      -- + RQ: sorted set of '<message>:<worker>', which run
  finished = <<finished>>,    -- + RQ: sorted set of messages that finished, by when they are forgotten
  failed = <<failed>>,        -- + RQ: the same of those that failed; foreign messages are quarantined there
  canceled = <<canceled>>,    -- + RQ: the same of those that were cancelled
  number = <<number>>,        -- + number of a queue's list, see number_of_list
  bell = <<bell>>,            -- + list of at most one token: wakes one idle worker of a queue
  starts = <<starts>>,        -- + list of milliseconds: the last starts of a queue with a rate limit, the newest first
  foreign = <<foreign>>,      -- + sorted set of foreign messages of a queue, by when to look after them
  batch = <<batch>>,          -- + mark of a batch of outcomes that was counted
  counters = <<counters>>,    --   hash of the counters
  lead = <<lead>>,            --   who leads among the relays
  swept = <<swept>>,          --   mark that the started registries were looked through
}

-- Seconds until somebody else looks after a foreign message that was handed out.
local LOOK_AGAIN = 30
-- The most arguments of one command: Lua's stack holds some thousands.
local MOST = 1000

local function in_chunks(command, target, items)
  for first = 1, #items, MOST do
    redis.call(command, target, unpack(items, first, math.min(first + MOST - 1, #items)))
  end
end

-- One token is enough: who leaves messages behind rings again.
local function ring(queue)
  local bell = key.bell .. queue
  if redis.call('LLEN', bell) == 0 then
    redis.call('RPUSH', bell, '1')
  end
end

-- The number of a queue's list, '' if it has none. It is another one each time the list begins anew: a message
-- counts as queued only in the list that it was put into. So it is known which went with a list that was evicted
-- or deleted. Where a number is missing, a list that is not empty has the message.
local function number_of_list(queue)
  return redis.call('GET', key.number .. queue) or ''
end

-- <job id>-<attempt> or <job id>-<attempt>-<database>.
local function is_ours(message)
  local job, attempt, rest = string.match(message, '^(%d+)%-(%d+)(.*)$')
  if not job or #job > <<job_digits>> or #attempt > <<attempt_digits>> then
    return false
  end
  return rest == '' or (#rest <= 1 + <<alias_length>> and string.match(rest, '^%-[%w_]+$') ~= nil)
end
