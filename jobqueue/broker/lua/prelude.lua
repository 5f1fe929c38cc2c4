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
  starts_of = <<starts_of>>,  -- + the same of a processor with a rate limit
  foreign = <<foreign>>,      -- + sorted set of foreign messages of a queue, by when to look after them
  batch = <<batch>>,          -- + mark of a batch of outcomes that was counted
  counters = <<counters>>,    --   hash of the counters
  chart = <<chart>>,          -- + hash of what ended in five minutes, by their number
  lead = <<lead>>,            --   who leads among the relays
  swept = <<swept>>,          -- + mark that a queue's started registry was looked through
  alive = <<alive>>,          --   sorted set of the workers, each with what it says of itself, by its last word
  shared = <<shared>>,        --   text that tells of another installation in this database of Redis
  aside = <<aside>>,          -- + a key that was set aside, under the name that it has there
  aside_names = <<aside_names>>, -- + sorted set of the names of what was set aside of a kind, by when
  aside_notes = <<aside_notes>>, -- hash of what is known of each, by its kind and name
  aside_news = <<aside_news>>,   -- list of the names of keys that were set aside and stand in no log yet
}

-- Seconds until somebody else looks after a foreign message that was handed out.
local LOOK_AGAIN = 30
-- The most arguments of one command: Lua's stack holds some thousands.
local MOST = 1000

-- What sets aside, with a note for operators, what somebody else wrote; nothing of it is deleted.
-- Made when it is needed: whatever stands here by itself is made anew by every script that runs.
local function store()
  -- The longest name of what is set aside; a longer one is cut, and told apart by its hash.
  local LONGEST_NAME = 200
  -- How many names of keys wait to be logged, at most.
  local MOST_NEWS = 1000
  -- How the size of a key is asked for, by its type, and in which words it is told.
  local SIZES = {
    string = {'STRLEN', 'bytes'}, list = {'LLEN', 'entries'}, set = {'SCARD', 'members'},
    zset = {'ZCARD', 'members'}, hash = {'HLEN', 'fields'}, stream = {'XLEN', 'entries'},
  }

  local function type_of(name)
    return redis.call('TYPE', name).ok
  end

  local function described(name)
    local kind = type_of(name)
    local size = SIZES[kind]
    return size and string.format('a %s of %d %s', kind, redis.call(size[1], name), size[2]) or 'a ' .. kind
  end

  -- A name that any page can show: what somebody else wrote might name people, or be no text.
  local function shortened(name)
    local plain = string.match(name, '^[%w_:%.~ /%-]*')
    if #plain == #name and #name <= LONGEST_NAME then
      return name
    end
    if #plain < #name then
      -- The word that goes on with an @, say, may be a person's name.
      plain = string.match(plain, '^.*[: ]') or ''
    end
    return string.sub(plain, 1, LONGEST_NAME - 41) .. '~' .. redis.sha1hex(name)
  end

  local function write_note(kind, name, about)
    about.since = tonumber(redis.call('TIME')[1])
    redis.call('ZADD', key.aside_names .. kind, about.since, name)
    redis.call('HSET', key.aside_notes, kind .. ' ' .. name, cjson.encode(about))
  end

  -- What stands in the place of the store itself moves out of its way, before anything else.
  local function make(kind)
    local expected = {[key.aside_names .. kind] = 'zset', [key.aside_notes] = 'hash', [key.aside_news] = 'list'}
    local moved = {}
    for name, should_be in pairs(expected) do
      local is = type_of(name)
      if is ~= 'none' and is ~= should_be then
        local free = name .. '~' .. table.concat(redis.call('TIME'), '.')
        moved[free] = {key = name, reason = 'the job queue did not write it', content = described(name)}
        redis.call('RENAME', name, key.aside .. free)
      end
    end
    for free, about in pairs(moved) do
      write_note('key', free, about)
    end
  end

  local function note(kind, name, about)
    make(kind)
    write_note(kind, name, about)
  end

  local function forget(kind, name)
    make(kind)
    redis.call('ZREM', key.aside_names .. kind, name)
    redis.call('HDEL', key.aside_notes, kind .. ' ' .. name)
  end

  -- What was noted, or nil.
  local function read(kind, name)
    make(kind)
    local text = redis.call('HGET', key.aside_notes, kind .. ' ' .. name)
    local is_read, about = pcall(cjson.decode, text or '')
    return is_read and type(about) == 'table' and about or nil
  end

  -- A name under which nothing is set aside yet.
  local function free_name(name)
    make('key')
    local number, free = 1, shortened(name)
    while redis.call('ZSCORE', key.aside_names .. 'key', free) or redis.call('EXISTS', key.aside .. free) == 1 do
      number = number + 1
      free = shortened(name) .. '~' .. number
    end
    return free
  end

  local function note_key(name, about)
    note('key', name, about)
    redis.call('RPUSH', key.aside_news, name)
    redis.call('LTRIM', key.aside_news, -MOST_NEWS, -1)
  end

  local function set_aside(name, reason)
    local free = free_name(name)
    if redis.call('EXISTS', name) == 0 then
      return  -- it stood in the way of the store itself
    end
    local content = described(name)
    redis.call('RENAME', name, key.aside .. free)
    note_key(free, {key = name, reason = reason, content = content})
  end

  -- One field of a hash: its value is kept, the other fields stay.
  local function set_field_aside(name, field, reason)
    local value, free = redis.call('HGET', name, field), free_name(name .. ' ' .. field)
    redis.call('SET', key.aside .. free, value)
    redis.call('HDEL', name, field)
    note_key(free, {key = name, field = field, reason = reason, content = 'a field of ' .. #value .. ' bytes'})
  end

  local function name_of_message(queue, message)
    return shortened(queue .. ' ' .. message)
  end

  -- A message that is in quarantine, in RQ's failed registry; without that it is kept here itself.
  local function note_message(queue, message, reason, is_kept_here)
    local name = name_of_message(queue, message)
    local about = {queue = queue, reason = reason, content = 'a message with an id of ' .. #message .. ' bytes'}
    if is_kept_here then
      redis.call('SET', key.aside .. 'message ' .. name, message)
    else
      about.id = message
    end
    note('message', name, about)
  end

  return {type_of = type_of, note = note, forget = forget, read = read, note_message = note_message,
    name_of_message = name_of_message, set_aside = set_aside, set_field_aside = set_field_aside}
end

-- A command failed. If that is because of what somebody else wrote, this is set aside and the command runs again,
-- now on nothing; all other errors are raised.
local function mended(trouble, command, name, ...)
  if string.find(trouble, 'WRONGTYPE', 1, true) then
    store().set_aside(name, 'the job queue did not write it, and ' .. command .. ' does not work on it')
  elseif command == 'HINCRBYFLOAT'
    and (string.find(trouble, 'hash value is not', 1, true) or string.find(trouble, 'NaN or Inf', 1, true)) then
    store().set_field_aside(name, (...), 'the job queue did not write it, and nothing can be added to it')
  end
  return redis.call(command, name, ...)
end

-- As redis.call, for the first command of a script on a key: somebody else may have written to it. Further ones
-- on the same key may do without; through this, 200 messages take up to 9 % longer.
local function call(command, name, ...)
  local answer = redis.pcall(command, name, ...)
  if type(answer) == 'table' and answer.err then
    return mended(answer.err, command, name, ...)
  end
  return answer
end

local function in_chunks(command, target, items)
  for first = 1, #items, MOST do
    call(command, target, unpack(items, first, math.min(first + MOST - 1, #items)))
  end
end

-- A foreign message is noted until somebody has looked after it. The worker that took it has so many seconds for
-- that, another does it if it dies; and so long it stays in RQ's failed registry, unless somebody decides otherwise.
local function quarantine(queue, message, now)
  local DECIDES_WITHIN, YEAR = 5, 365 * 24 * 3600
  call('ZADD', key.failed .. queue, now + YEAR, message)
  call('ZADD', key.foreign .. queue, now + DECIDES_WITHIN, message)
end

-- One token is enough: who leaves messages behind rings again.
local function ring(queue)
  local bell = key.bell .. queue
  if call('LLEN', bell) == 0 then
    redis.call('RPUSH', bell, '1')
  end
end

-- Digits that the number of a list, microseconds of a clock, does not have.
local LONGEST_NUMBER = 18

-- The number of a queue's list, '' if it has none. It is another one each time the list begins anew: a message
-- counts as queued only in the list that it was put into. So it is known which went with a list that was evicted
-- or deleted. Where a number is missing, a list that is not empty has the message.
local function number_of_list(queue)
  local number = call('GET', key.number .. queue) or ''
  if string.match(number, '^%d*$') and #number < LONGEST_NUMBER then
    return number
  end
  store().set_aside(key.number .. queue, 'the job queue did not write it, it is no number of a list')
  return ''
end

-- <job id>-<attempt> or <job id>-<attempt>-<database>.
local function is_ours(message)
  local job, attempt, rest = string.match(message, '^(%d+)%-(%d+)(.*)$')
  if not job or #job > <<job_digits>> or #attempt > <<attempt_digits>> then
    return false
  end
  -- As texts: Lua's numbers are not exact there.
  if #job == <<job_digits>> and job > '<<most_jobs>>' then
    return false
  end
  -- The same job under another spelling would be another message.
  if string.match(job, '^0%d') or string.match(attempt, '^0%d') then
    return false
  end
  return rest == '' or (#rest <= 1 + <<alias_length>> and string.match(rest, '^%-[%w_]+$') ~= nil)
end
