-- Takes or keeps the lead among the relays.
-- ARGV: prefix, who asks, milliseconds for which the lead is taken; 0 gives it up.
-- Returns 1 if the one who asks leads now.
local key, candidate, lease = ARGV[1] .. ':jobqueue:lead', ARGV[2], tonumber(ARGV[3])
local leader = redis.call('GET', key)
if lease == 0 then
  if leader == candidate then
    redis.call('DEL', key)
  end
  return 0
end
if leader and leader ~= candidate then
  return 0
end
redis.call('SET', key, candidate, 'PX', lease)
return 1
