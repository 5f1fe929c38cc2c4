-- Forgets messages whose jobs are settled, and counts their outcomes, once for each batch.
-- batch: its id; seconds: unix time; keep: seconds to keep finished messages; worker: its id;
-- finished: queue, id; those are kept for a while for RQ's tools; others: the same; counters: field, amount;
-- chart: period, group, the group of the rest, and the group's cells, each with its amount behind it.
local queues = {}
-- Seconds after which nobody tells of a batch again.
local REPEATED_WITHIN = 600
-- Characters of a number that no counter reaches; one that does may be infinite to others.
local LONGEST_SUM = 60
-- Groups of a period that are counted by themselves, others with the rest; seconds it is kept.
local MOST_GROUPS, KEEP_CHART = 128, 49 * 3600

-- A batch whose answer was lost is sent again; it must not count twice.
if not call('SET', key.batch .. batch, '1', 'NX', 'EX', REPEATED_WITHIN) then
  return 0
end
local function begin(queue)
  queues[queue] = {entries = {}, kept = {}}
  return queues[queue]
end

for <<finished>> in finished() do
  local its = queues[queue] or begin(queue)
  its.entries[#its.entries + 1] = id .. ':' .. worker
  call('HSET', key.job .. id, 'status', 'finished')
  redis.call('EXPIRE', key.job .. id, keep)
  its.kept[#its.kept + 1] = seconds + keep
  its.kept[#its.kept + 1] = id
end
for <<others>> in others() do
  local its = queues[queue] or begin(queue)
  its.entries[#its.entries + 1] = id .. ':' .. worker
  -- Not to delete what somebody else put there: on that this command fails.
  call('HLEN', key.job .. id)
  redis.call('DEL', key.job .. id)
end
for queue, its in pairs(queues) do
  in_chunks('ZREM', key.started .. queue, its.entries)
  if #its.kept > 0 then
    in_chunks('ZADD', key.finished .. queue, its.kept)
    redis.call('ZREMRANGEBYSCORE', key.finished .. queue, 0, seconds)
  end
  -- What a concurrency limit held back may go now.
  if call('LLEN', key.list .. queue) > 0 then
    ring(queue)
  end
end
for <<counters>> in counters() do
  local sum = call('HINCRBYFLOAT', key.counters, field, amount)
  if #sum > LONGEST_SUM then
    store().set_field_aside(key.counters, field, 'the job queue did not write it, nobody counts that far')
    call('HINCRBYFLOAT', key.counters, field, amount)
  end
end
for <<chart>> in chart() do
  local name = key.chart .. period
  if call('HEXISTS', name, group .. 'n') == 0 then
    if tonumber(call('HINCRBYFLOAT', name, 'groups', 1)) > MOST_GROUPS then
      group = rest
    end
  end
  for cell, number in string.gmatch(cells, '(%a%d*) (%d+)') do
    call('HINCRBYFLOAT', name, group .. cell, number)
  end
  -- By which a reader knows whether it has read all of that.
  call('HSET', name, 'told', batch)
  redis.call('EXPIRE', name, KEEP_CHART)
end
return 1
