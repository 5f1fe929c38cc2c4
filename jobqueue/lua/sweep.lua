-- Removes what workers that are gone left in RQ's started registries.
-- ARGV: prefix, seconds for which a claim is left alone, number of living workers, their ids, then the queues.
-- Returns how many entries went.
local prefix, patience, workers = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(redis.call('TIME')[1])
local living, removed = {}, 0
for i = 4, 3 + workers do
  living[ARGV[i]] = true
end
for i = 4 + workers, #ARGV do
  local wip = prefix .. ':wip:' .. ARGV[i]
  for _, entry in ipairs(redis.call('ZRANGE', wip, 0, -1)) do
    local message, worker = string.match(entry, '^(.*):([^:]*)$')
    if message and not living[worker] then
      -- A worker that registered just now may not be among the living yet.
      local claimed_at = tonumber(redis.call('HGET', prefix .. ':job:' .. message, 'claimed_at') or 0)
      if not claimed_at or now - claimed_at >= patience then
        removed = removed + redis.call('ZREM', wip, entry)
      end
    end
  end
end
return removed
