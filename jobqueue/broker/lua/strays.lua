-- Quarantines what plain RQ keeps for its scheduler, or until other jobs have ended: nobody starts it here.
-- most: how many of each registry; queues: their names; registries: queue, registry; the sorted sets in which such
-- messages wait, and their queue, or '' where only the messages themselves say it.
-- Returns {{queue, id of a message}, ...}.
local seconds = tonumber(redis.call('TIME')[1])
local is_served, found = {}, {}
for queue in queues() do
  is_served[queue] = true
end
for <<registries>> in registries() do
  for _, message in ipairs(call('ZRANGE', registry, 0, most - 1)) do
    local its = queue ~= '' and queue or call('HGET', key.job .. message, 'origin')
    if its and is_served[its] then
      call('ZREM', registry, message)
      quarantine(its, message, seconds)
      found[#found + 1] = {its, message}
    end
  end
end
return found
