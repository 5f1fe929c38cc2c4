-- Which of these messages does Redis not know as queued or as started by a worker that lives?
-- ARGV: prefix, number of living workers, their ids, then (queue, message) pairs. Returns the unknown messages.
local prefix, workers = ARGV[1], tonumber(ARGV[2])
local unknown = {}
for i = 3 + workers, #ARGV, 2 do
  local queue, message = ARGV[i], ARGV[i + 1]
  local job = prefix .. ':job:' .. message
  local status = redis.call('HGET', job, 'status')
  local known = false
  if status == 'queued' then
    known = redis.call('LLEN', prefix .. ':queue:' .. queue) > 0
  elseif status == 'started' then
    for w = 3, 2 + workers do
      if redis.call('ZSCORE', prefix .. ':wip:' .. queue, message .. ':' .. ARGV[w]) then
        known = true
      end
    end
  end
  if not known then
    table.insert(unknown, message)
  end
end
return unknown
