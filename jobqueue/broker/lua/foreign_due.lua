-- Hands out foreign messages whose time to be looked after has come; another asks 30 seconds later.
-- ARGV: prefix, how many of each queue, then the queues.
-- Returns {queue, message, ...}.
local prefix, most = ARGV[1], tonumber(ARGV[2])
local seconds = tonumber(redis.call('TIME')[1])
local due = {}
for i = 3, #ARGV do
  local foreign = prefix .. ':jobqueue:foreign:' .. ARGV[i]
  for _, message in ipairs(redis.call('ZRANGEBYSCORE', foreign, '-inf', seconds, 'LIMIT', 0, most)) do
    redis.call('ZADD', foreign, seconds + 30, message)
    due[#due + 1] = ARGV[i]
    due[#due + 1] = message
  end
end
return due
